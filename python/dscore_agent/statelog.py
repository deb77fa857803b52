"""The state of the connection in a log, line for line as in the DeepStream contract."""

from dscore_agent.status import Status

_CODES = {
    0: "none",
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no code",
    1006: "abnormal closure",
    1007: "invalid text",
    1008: "policy violation",
    1009: "message too big",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    4409: "taken over",
}


def lines(status: Status) -> list[str]:
    """The block, one line each."""
    return [
        "=== WebSocket State ===",
        f"State: {status.state:d} ({status.state.name.lower()})",
        f"Reconnect attempts: {status.reconnect_attempts}",
        f"Last close code: {status.last_close_code} ({close_code_text(status.last_close_code)})",
        f"Server shutting down: {str(status.server_shutting_down).lower()}",
        f"Last health status: {status.health}",
        "======================",
    ]


def close_code_text(code: int) -> str:
    """What a close code says, in words."""
    return _CODES.get(code, "unknown")
