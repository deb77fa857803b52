"""A drain: whom, in which order, how long, and what to make of it (PROTOCOL.md §6). `now` is passed
in.

Telling, deadlines and acks are the core's; here is what the answers add up to.

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

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from dscore.messages import Intent
from dscore.states import OutcomeName

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


class Drain:
    """The account of one drain: one outcome for each agent that was connected at its start."""

    def __init__(self, intent: Intent, now: int, started_at: float) -> None:
        self.intent: Intent = intent
        self.state: DrainState = "telling"
        self.total = 0
        self.report: DrainReport | None = None
        self.pending: dict[int, str] = {}
        """Connection -> agent id, of those without an outcome."""
        self._started = now
        self._started_at = started_at
        self._counts: dict[OutcomeName, int] = dict.fromkeys(get_args(OutcomeName), 0)
        self._incomplete = 0
        self._latencies: list[float] = []
        self._not_acked: list[str] = []

    def count_in(self, agents: Mapping[int, str]) -> None:
        """Those who are connected at the start: connection -> agent id."""
        self.pending.update(agents)
        self.total = len(self.pending)

    def settle(
        self,
        conn: int,
        outcome: OutcomeName,
        latency_ms: float = 0.0,
        words: str | None = None,
    ) -> bool:
        """Counts an outcome.

        Args:
            conn: Whose it is.
            outcome: How terminate_app ended.
            latency_ms: Of an ack.
            words: Of an ack whose stream did not reach its end.

        Returns:
            Whether it was waited for: False for a connection that was not there at the start, or
            has an outcome.
        """
        agent_id = self.pending.pop(conn, None)
        if agent_id is None:
            return False
        self._counts[outcome] += 1
        if words is not None:
            self._incomplete += 1
        if outcome == "acked":
            self._latencies.append(latency_ms)
        elif self.intent == "terminate":
            self._not_acked.append(agent_id)
        return True

    def advance(self, what: Input) -> None:
        following = TABLE.get((self.state, what))
        if following is None:
            raise RuntimeError(f"drain: {what} while {self.state}")
        self.state = following

    def give_up(self) -> None:
        """The core has not reported in time: an agent without an outcome timed out."""
        self.advance("overdue")
        for conn in list(self.pending):
            self.settle(conn, "timed_out")

    def finish(self, now: int) -> DrainReport:
        """The report. Every agent has its outcome."""
        latencies = sorted(self._latencies)
        self.report = DrainReport(
            self.intent,
            self.total,
            **self._counts,
            incomplete=self._incomplete,
            latency_ms={
                "p50": _percentile(latencies, 50),
                "p99": _percentile(latencies, 99),
                "max": _percentile(latencies, 100),
            },
            not_acked=self._not_acked,
            duration_ms=float(now - self._started),
        )
        return self.report

    def status(self) -> DrainStatus:
        return DrainStatus(
            self.intent,
            self.state,
            self.total,
            **self._counts,
            incomplete=self._incomplete,
            pending=len(self.pending),
            started_at=self._started_at,
            report=self.report,
        )


def reconnect_window_ms(setting: float | None, agents: int) -> int:
    """Over how long a fleet of this size is asked to come back: 1 s per 1,000 agents, at least 5 s,
    unless set."""
    return round(max(5.0, agents / 1000) * 1000) if setting is None else round(setting * 1000)


def _percentile(ordered: list[float], percent: int) -> float | None:
    """Nearest rank: the least value that at least `percent` of all do not exceed."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[rank - 1], 3)
