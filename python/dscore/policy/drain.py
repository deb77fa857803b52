"""A drain: whom, in which order, how long, and what to make of it (PROTOCOL.md §6). `now` is passed
in.

Telling, deadlines and acks are the core's, and the fleet keeps the account of the answers; here is
what follows upon what, and the report.

The table, a cell is the next state. Empty cells cannot happen: they raise.

| state   | told    | settled | overdue | emptied | cut  |
|---------|---------|---------|---------|---------|------|
| telling | waiting |         |         |         |      |
| waiting |         | closing | closing |         |      |
| closing |         |         |         | done    | done |
| done    |         |         |         |         |      |

told: every agent has its terminate_app (or server_shutdown) on the way; settled: none is waited for
    any more (restart: the notice is over); overdue: the core has not reported in time; emptied: no
    WebSocket is left; cut: the closing handshakes took longer than they may.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from dscore.messages import Intent

if TYPE_CHECKING:
    from dscore._core import Fleet

DrainState: TypeAlias = Literal["telling", "waiting", "closing", "done"]
Input: TypeAlias = Literal["told", "settled", "overdue", "emptied", "cut"]

MAX_TIMEOUT: Final = 86_400.0
"""Seconds that an agent may be given at most to answer: a longer wait is a slip of the keyboard."""

TABLE: Final[dict[tuple[DrainState, Input], DrainState]] = {
    ("telling", "told"): "waiting",
    ("waiting", "settled"): "closing",
    ("waiting", "overdue"): "closing",
    ("closing", "emptied"): "done",
    ("closing", "cut"): "done",
}


class DrainReport(NamedTuple):
    """What a drain came to; its fields are the report of PROTOCOL.md §6."""

    intent: Intent
    total: int
    acked: int
    failed: int
    timed_out: int
    vanished: int
    notified: int
    incomplete: int
    """Of the acked: stopped as asked, but a stream did not reach its end."""
    latency_ms: dict[str, float | None]
    """p50, p99 and max of the acks; None without any."""
    not_acked: list[str]
    """Agents that were asked to terminate and did not say OK."""
    duration_ms: float
    cut: list[str]
    """Settings of `shutdown` that `shutdown.deadline` left less time than they ask for."""

    @property
    def exit_code(self) -> int:
        """0, or 3 if an agent failed, timed out or vanished."""
        return 3 if self.failed or self.timed_out or self.vanished else 0

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


class DrainStatus(NamedTuple):
    """A drain as it stands."""

    intent: Intent
    state: DrainState
    total: int
    acked: int
    failed: int
    timed_out: int
    vanished: int
    notified: int
    incomplete: int
    """Of the acked, as in the report."""
    pending: int
    started_at: float
    """Unix seconds."""
    report: DrainReport | None
    """Once it is done."""


class DrainLeft(NamedTuple):
    """An agent that a drain waits for."""

    id: str
    deadline: float | None
    """Unix seconds; None: it is not asked to stop, or it has no more time."""
    stage: str | None
    """What it says that it is at (termination_progress)."""


class DrainDetail(NamedTuple):
    """More of a drain as it stands."""

    left: list[DrainLeft]
    """As many as were asked for."""
    latency_ms: dict[str, float | None]
    """As in the report, of the acks so far."""
    not_acked: list[str]
    """As in the report, so far."""


class Drain:
    """One drain: its state, and what its account says.

    The account itself is the fleet's, which counts one outcome for each agent that was connected
    when `Fleet.begin_drain` was called.
    """

    def __init__(self, intent: Intent, now: int, started_at: float, fleet: "Fleet") -> None:
        """
        Args:
            now: the pool's clock.
            started_at: Unix seconds.
        """
        self.intent: Intent = intent
        self.state: DrainState = "telling"
        self.report: DrainReport | None = None
        self._fleet = fleet
        self._started = now
        self._started_at = started_at

    @property
    def pending(self) -> int:
        """Agents without an outcome."""
        return self._fleet.drain_pending()

    def advance(self, what: Input) -> None:
        following = TABLE.get((self.state, what))
        if following is None:
            raise RuntimeError(f"drain: {what} while {self.state}")
        self.state = following

    def give_up(self) -> None:
        """The core has not reported in time: an agent without an outcome timed out."""
        self.advance("overdue")
        self._fleet.give_up_drain()

    def finish(self, now: int, cut: Sequence[str] = ()) -> DrainReport:
        """The report. Every agent has its outcome.

        Args:
            now: the pool's clock.
            cut: settings that had less time than they ask for.
        """
        duration_ms = float(now - self._started)
        self.report = DrainReport(
            self.intent, **self._fleet.drain_report(), duration_ms=duration_ms, cut=list(cut)
        )
        return self.report

    def status(self) -> DrainStatus:
        return DrainStatus(
            self.intent,
            self.state,
            **self._fleet.drain_counts(),
            pending=self.pending,
            started_at=self._started_at,
            report=self.report,
        )


def reconnect_window_ms(setting: float | None, agents: int) -> int:
    """Over how long a fleet of this size is asked to come back: 1 s per 1,000 agents, at least 5 s,
    unless set."""
    return round(max(5.0, agents / 1000) * 1000) if setting is None else round(setting * 1000)
