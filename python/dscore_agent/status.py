"""State, status and exit codes of an agent."""

from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    """Where the agent is in its life."""

    IDLE = 0
    CONNECTING = 1
    INTRODUCING = 2
    """The WebSocket is open, the server has not acknowledged the agent yet."""
    READY = 3
    WAITING = 4
    """Away; the next attempt has its time."""
    TERMINATING = 5
    """The application is being stopped."""
    CLOSED = 6


class Exit(IntEnum):
    """What `Agent.run` returns; the exit code of `dscore-agent`."""

    STOPPED = 0
    """Told to stop, and everything stopped cleanly and came to its end."""
    FAILED = 1
    FORCED = 3
    """Told to stop, and the application did not do it cleanly or in time."""
    INCOMPLETE = 5
    """Told to stop, and it stopped, but a stream did not reach its end: a recording may lack its
    index."""
    ENDED = 6
    """A live pipeline came to its end, and was not told to: its camera is gone."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """A snapshot.

    Attributes:
        state: Where the agent is.
        reconnect_attempts: Attempts since the last connection that held.
        retry_in: The wait that was chosen when the agent last began to wait, in seconds; None
            unless it waits.
        last_close_code: Of the last connection that ended; 0: none has, 1006: it was cut.
        last_close_reason: Its words.
        server_shutting_down: New work is refused.
        health: What the health page last said: "ok", "shutting_down", "unreachable", or "unknown"
            before the first answer.
        session_restored: The server still knew this agent when it came back.
        queued: Messages that wait for the connection.
        dropped: Messages lost because too many waited.
    """

    state: State
    reconnect_attempts: int
    retry_in: float | None
    last_close_code: int
    last_close_reason: str
    server_shutting_down: bool
    health: str
    session_restored: bool
    queued: int
    dropped: int
