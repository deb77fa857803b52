"""What the commands read of the operator API's documents (PROTOCOL.md §8): what else answers at the
address, whatever it is, is told apart by it."""

from typing import Final

from dscore.cli.client import Shape

NUMBER: Final = (int, float)
MAYBE_TEXT: Final = (str, type(None))

AGENT: Final[Shape] = {
    "id": str,
    "status": str,
    "state": str,
    "reason_code": MAYBE_TEXT,
    "connected": bool,
    "ip": MAYBE_TEXT,
    "connected_at": MAYBE_TEXT,
    "last_heartbeat": MAYBE_TEXT,
    "rtt_ms": (*NUMBER, type(None)),
}
AGENTS: Final[Shape] = {"items": [AGENT], "next_cursor": MAYBE_TEXT}
EVENTS: Final[Shape] = {
    "agent": AGENT,
    "items": [{"number": int, "at": str, "kind": str, "text": str, "data": dict}],
}
STATUS: Final[Shape] = {
    "status": str,
    "version": str,
    "pid": int,
    "page": str,
    "uptime": NUMBER,
    "connections": {"total": int, "authenticated": int, "unauthenticated": int},
    "agents": {"total": int, "online": int, "offline": int, "states": dict},
    "store": {"status": str, "reason": MAYBE_TEXT, "waiting": int, "lost": int},
    "loop_lag_ms": NUMBER,
}
_COUNTS: Final[dict[str, Shape]] = {
    "total": int,
    "acked": int,
    "failed": int,
    "timed_out": int,
    "vanished": int,
    "notified": int,
}
_REPORT: Final[Shape] = {**_COUNTS, "duration_ms": NUMBER, "not_acked": [str]}
DRAIN: Final[Shape] = {**_COUNTS, "state": str, "pending": int, "report": (_REPORT, type(None))}
MAINTENANCE: Final[Shape] = {"enabled": bool}
OPERATION: Final[Shape] = {
    "id": MAYBE_TEXT,
    "state": str,
    "why": str,
    "total": int,
    "asked": int,
    "answered": int,
    "outcomes": dict,
    "failures": [{"id": str, "outcome": str, "message": str}],
    "left": [str],
    "left_total": int,
}
DELIVERY: Final[Shape] = {"delivered": bool}
TERMINATION: Final[Shape] = {"outcome": str, "latency_ms": NUMBER}
