"""When to come back: the waits of the wire contract's section 7. No clock, no socket, no asyncio.

The machine: a phase, an event, the next phase.

    IDLE        begin       ATTEMPTING  at once
    WAITING     due         ATTEMPTING
    WAITING     renewed     WAITING     the credentials differ from those that were refused
    ATTEMPTING  refused     WAITING     no connection came of it; n grows by one
    ATTEMPTING  opened      CONNECTED   the WebSocket is open
    CONNECTED   hinted      CONNECTED   the server said when to come back
    CONNECTED   closed      WAITING     n is 0 if the connection lived long enough, else one more
    CONNECTED   closed      STOPPED     with a code that means: stay away
    any         stop        STOPPED

Everything else is an error in the caller.

n numbers the attempts from 0. The first connection of all is not one of them: nothing was lost yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

MAX_HINT = 3600.0
"""Seconds; a hint beyond it is taken for this much, so that no server can send an agent away for
good."""


class Phase(Enum):
    """Where the agent is between being away and being connected."""

    IDLE = "idle"
    WAITING = "waiting"
    ATTEMPTING = "attempting"
    CONNECTED = "connected"
    STOPPED = "stopped"


class Row(Enum):
    """The rows of the table of waits."""

    GOING_AWAY = "going_away"
    SHUTTING_DOWN = "shutting_down"
    TAKEN_OVER = "taken_over"
    """Another agent came in under this agent's id."""
    UNAUTHENTICATED = "unauthenticated"
    """The server did not take the token."""
    FINAL = "final"
    OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class ReconnectPolicy:
    """The numbers of the table, in seconds.

    Attributes:
        restart_delay: The least wait after 1001.
        shutdown_delay: The least wait after 1013, or when health says `shutting_down`.
        shutdown_step: What each further attempt adds to that.
        base: The first wait after anything else; it doubles with each attempt.
        cap: No wait of the table is longer, but for the least ones and those of the identity.
        identity_delay: The first wait after a takeover or a refused token; it doubles too.
        identity_cap: The longest of these.
        exponential: False keeps every wait at the first of its row.
        jitter: Spread the waits evenly over what lies above the least one.
        stable_after: Only a connection that lived this long resets the count of attempts.
    """

    restart_delay: float = 5.0
    shutdown_delay: float = 10.0
    shutdown_step: float = 5.0
    base: float = 1.0
    cap: float = 60.0
    identity_delay: float = 300.0
    identity_cap: float = 3600.0
    exponential: bool = True
    jitter: bool = True
    stable_after: float = 10.0

    def delay(self, row: Row, n: int, random: Callable[[], float]) -> float:
        """Seconds to wait before attempt `n`.

        Args:
            row: Why the agent is away; not FINAL.
            n: The number of the attempt, from 0.
            random: Gives numbers in [0, 1).
        """
        if not self.exponential:
            n = 0
        least, most = self._bounds(row, n)
        return least + (most - least) * random() if self.jitter else most

    def _bounds(self, row: Row, n: int) -> tuple[float, float]:
        if row is Row.SHUTTING_DOWN:
            most = min(self.shutdown_delay + n * self.shutdown_step, self.cap)
            return min(self.shutdown_delay, most), most
        if row in (Row.TAKEN_OVER, Row.UNAUTHENTICATED):
            return 0.0, _doubled(self.identity_delay, n, self.identity_cap)
        doubled = _doubled(self.base, n, self.cap)
        if row is Row.GOING_AWAY:
            return self.restart_delay, max(self.restart_delay, doubled)
        return 0.0, doubled


def _doubled(first: float, n: int, cap: float) -> float:
    # Bounded before it is used: 2.0 ** 1024 overflows, and a server may be away for days.
    return min(first * 2.0 ** min(n, 60), cap)


_ROWS = {1001: Row.GOING_AWAY, 1013: Row.SHUTTING_DOWN, 4409: Row.TAKEN_OVER}
_ROWS_BY_REASON = {
    (1000, "Client terminated"): Row.FINAL,
    (1008, "authentication failed"): Row.UNAUTHENTICATED,
}


def row_of(code: int, reason: str) -> Row:
    """The row for a connection of an agent that was closed like this."""
    return _ROWS_BY_REASON.get((code, reason)) or _ROWS.get(code, Row.OTHER)


class Reconnector:
    """The machine of one agent. `now` is any clock that only goes forward, in seconds."""

    def __init__(self, policy: ReconnectPolicy, random: Callable[[], float]) -> None:
        """Nothing was tried yet.

        Args:
            policy: The numbers.
            random: Gives numbers in [0, 1).
        """
        self._policy = policy
        self._random = random
        self._opened_at = 0.0
        self._hint: float | None = None
        self.phase = Phase.IDLE
        self.attempt = -1
        """The number of the attempt that runs or comes next."""

    @property
    def attempts(self) -> int:
        """Attempts made since the last connection that held."""
        if self.phase in (Phase.ATTEMPTING, Phase.CONNECTED):
            return self.attempt + 1
        return max(self.attempt, 0)

    def begin(self) -> None:
        """The first connection is tried now."""
        self._pass(Phase.IDLE, Phase.ATTEMPTING)

    def due(self) -> None:
        """The wait is over."""
        self._pass(Phase.WAITING, Phase.ATTEMPTING)

    def renewed(self) -> float:
        """The credentials that the server refused have been replaced.

        Returns:
            Seconds to wait before the next attempt, from now.
        """
        self._pass(Phase.WAITING, Phase.WAITING)
        return self._policy.delay(Row.OTHER, self.attempt, self._random)

    def refused(self, row: Row = Row.OTHER, *, retry_after: float | None = None) -> float:
        """The attempt made no connection, or the server's health forbade it.

        Args:
            row: Why.
            retry_after: The seconds of a `Retry-After`, which wins over the table like a hint.

        Returns:
            Seconds to wait before the next one.
        """
        self._pass(Phase.ATTEMPTING, Phase.WAITING)
        self.attempt += 1
        if retry_after is not None:
            return self._bounded(retry_after)
        return self._policy.delay(row, self.attempt, self._random)

    def opened(self, now: float) -> None:
        """The WebSocket is open."""
        self._pass(Phase.ATTEMPTING, Phase.CONNECTED)
        self._opened_at = now

    def hinted(self, seconds: float) -> None:
        """The server said how long to stay away after the close.

        Less than the first wait of the table is not done: a server whose hint is 0 would have the
        whole fleet back without a pause.
        """
        self._pass(Phase.CONNECTED, Phase.CONNECTED)
        self._hint = self._bounded(seconds)

    def closed(self, code: int, reason: str, now: float) -> float | None:
        """The connection has ended.

        Returns:
            Seconds to wait before the next attempt; None: do not come back.
        """
        row = row_of(code, reason)
        hint, self._hint = self._hint, None
        if row is Row.FINAL:
            self._pass(Phase.CONNECTED, Phase.STOPPED)
            return None
        self._pass(Phase.CONNECTED, Phase.WAITING)
        held = now - self._opened_at >= self._policy.stable_after
        self.attempt = 0 if held else self.attempt + 1
        return self._policy.delay(row, self.attempt, self._random) if hint is None else hint

    def stop(self) -> None:
        """No attempt comes any more."""
        self.phase = Phase.STOPPED

    def _bounded(self, seconds: float) -> float:
        return min(max(seconds, self._policy.base), MAX_HINT)

    def _pass(self, expected: Phase, following: Phase) -> None:
        if self.phase is not expected:
            raise RuntimeError(f"{self.phase.value}, not {expected.value}")
        self.phase = following
