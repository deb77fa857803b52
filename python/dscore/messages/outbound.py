"""What the server says to agents (PROTOCOL.md §3) and to watchers (§4).

Each class has `dump`, the JSON text with its keys in the order of the protocol's tables.
What is not here is written by the core: connection checks, terminate_app, errors, and the answers
to all heartbeats but those that introduce an agent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import orjson

RefusalCode: TypeAlias = Literal[
    "bad_json",
    "bad_type",
    "missing_field",
    "bad_field",
    "wrong_id",
    "not_introduced",
    "forbidden",
]
Status: TypeAlias = Literal["online", "offline"]
Intent: TypeAlias = Literal["terminate", "restart"]
Dialect: TypeAlias = Literal["raw", "socketio"]
"""What a connection speaks."""
ReasonCode: TypeAlias = Literal[
    "reconnect_timeout",
    "heartbeat_timeout",
    "missed_heartbeats",
    "no_connection",
    "terminated",
    "taken_over",
    "shutdown",
    "ping_timeout",
    "protocol_error",
    "slow_consumer",
    "operator",
]


def timestamp(unix_seconds: float) -> str:
    """ISO-8601 in UTC with milliseconds and Z."""
    second, microsecond = divmod(round(unix_seconds * 1_000_000), 1_000_000)
    return f"{_second(second)}.{microsecond // 1000:03d}Z"


def timestamp_now() -> str:
    """The present moment, as `timestamp` writes it."""
    return timestamp(time.time())


@lru_cache(maxsize=512)
def _second(second: int) -> str:
    # What is told at one time, a list or a storm, happened in few seconds.
    return datetime.fromtimestamp(second, timezone.utc).replace(tzinfo=None).isoformat()


@dataclass(frozen=True, slots=True)
class AppReadyAck:
    """The answer to an `app_ready` that is no reconnection."""

    session_restored: bool
    next_heartbeat_in: int
    """Milliseconds."""

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "type": "app_ready_ack",
                "status": "ok",
                "session_restored": self.session_restored,
                "server_status": "running",
                "nextHeartbeatIn": self.next_heartbeat_in,
            }
        )


@dataclass(frozen=True, slots=True)
class ReconnectionAck:
    """The answer to an `app_ready` with `reconnection` true."""

    session_restored: bool
    """The truth, not a constant."""

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "type": "reconnection_ack",
                "status": "ok",
                "session_restored": self.session_restored,
                "server_status": "running",
            }
        )


@dataclass(frozen=True, slots=True)
class HeartbeatResponse:
    """The answer to a `heartbeat`."""

    timestamp: str
    message: str
    next_heartbeat_in: int | None
    """Milliseconds; None: the heartbeat could not be dealt with, and the agent should reconnect."""

    def dump(self) -> bytes:
        ok = self.next_heartbeat_in is not None
        return orjson.dumps(
            {
                "type": "heartbeat_response",
                "status": "ok" if ok else "error",
                "timestamp": self.timestamp,
                "message": self.message,
                **(
                    {"nextHeartbeatIn": self.next_heartbeat_in} if ok else {"shouldReconnect": True}
                ),
            }
        )


@dataclass(frozen=True, slots=True)
class ServerShutdown:
    """The server goes away, and says when to come back."""

    message: str
    timestamp: str
    reconnect_after: int
    """Milliseconds, counted from the close."""

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "type": "server_shutdown",
                "message": self.message,
                "timestamp": self.timestamp,
                "reconnectAfter": self.reconnect_after,
            }
        )


@dataclass(frozen=True, slots=True)
class ServerStatusResponse:
    """The answer to a `client_status_request`."""

    server_status: Literal["online", "shutting_down", "error"]
    timestamp: str
    message: str
    client_status: Status | None = None
    """Of the agent that was asked about; not sent with "error"."""
    server_uptime: float = 0.0
    """Seconds; not sent with "error"."""

    def dump(self) -> bytes:
        if self.server_status == "error":
            answer: dict[str, object] = {"timestamp": self.timestamp, "message": self.message}
        else:
            answer = {
                "clientStatus": self.client_status,
                "timestamp": self.timestamp,
                "serverUptime": self.server_uptime,
                "message": self.message,
            }
        return orjson.dumps(
            {"type": "server_status_response", "serverStatus": self.server_status, **answer}
        )


class ClientStatusChanged(NamedTuple):
    """An agent went online or offline; to watchers. There are many, and a tuple is made in less
    time than a frozen dataclass."""

    agent_id: str
    status: Status
    reason: str | None
    """For people, in the language of `log.language`; None when online."""
    reason_code: ReasonCode | None
    """For programs; None when online."""
    last_heartbeat: str | None
    snapshot: bool = False
    """Whether this is not a change but the state a new watcher starts from."""

    def dump(self) -> bytes:
        document: dict[str, object] = {
            "type": "client_status_changed",
            "id": self.agent_id,
            "name": self.agent_id,
            "status": self.status,
            "reason": self.reason,
            "reason_code": self.reason_code,
            "lastHeartbeat": self.last_heartbeat,
        }
        if self.snapshot:
            document["snapshot"] = True
        return orjson.dumps(document)


@dataclass(frozen=True, slots=True)
class ClientReconnected:
    """An agent came back within its grace period; to watchers."""

    client_name: str
    timestamp: str

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "type": "client_reconnected",
                "clientName": self.client_name,
                "timestamp": self.timestamp,
            }
        )


@dataclass(frozen=True, slots=True)
class MaintenanceChanged:
    """Maintenance was switched on or off; to watchers."""

    enabled: bool

    def dump(self) -> bytes:
        return orjson.dumps({"type": "maintenance_changed", "enabled": self.enabled})


@dataclass(frozen=True, slots=True)
class DrainProgress:
    """How far a drain is; to watchers."""

    intent: Intent
    total: int
    acked: int
    failed: int
    timed_out: int
    vanished: int
    notified: int
    incomplete: int
    pending: int

    def dump(self) -> bytes:
        return orjson.dumps(
            {
                "type": "drain_progress",
                "intent": self.intent,
                "total": self.total,
                "acked": self.acked,
                "failed": self.failed,
                "timed_out": self.timed_out,
                "vanished": self.vanished,
                "notified": self.notified,
                "incomplete": self.incomplete,
                "pending": self.pending,
            }
        )
