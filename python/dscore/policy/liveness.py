"""Which agents are online: PROTOCOL.md §5 as a state machine, with `now` passed in.

It decides and reports; who is told is not its business. Heartbeats are answered by the core and
never come here: an agent that misses them does, and its next sign of life.

The table. `online` for watchers are connected, late and reconnecting; a cell is the next state,
with what happens to the grace period: + armed, - cancelled. Empty cells cannot happen: they raise.

| state        | introduced, beat, missed | overdue | lost           | timed_out | over   | ended  |
|--------------|--------------------------|---------|----------------|-----------|--------|--------|
| connected    | connected                | late +  | reconnecting + | gone      |        | gone   |
| late         | connected -              | late    | reconnecting + | gone -    | silent | gone - |
| silent       | connected                | silent  | gone           | gone      |        | gone   |
| reconnecting | connected -  [1]         |         |                |           | gone   | gone - |
| gone         | connected  [1]           |         |                |           |        | gone   |

[1] only introduced: the others cannot happen.

introduced: a connection of this agent was let in (a takeover included); beat: a heartbeat or check
response after misses; missed: silent for an interval, fewer than max_missed_heartbeats in a row
(after a beat that was not heard of); overdue: that many; lost: its connection ended; timed_out: the
core closed it at offline_timeout; over (`grace_over`): its grace period ran out; ended: terminated,
or removed by an operator.

Reasons of going offline: timed_out heartbeat_timeout; grace_over missed_heartbeats when late,
reconnect_timeout when reconnecting; ended the caller's.
"""

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from dscore.messages import ReasonCode
from dscore.registry import ONLINE_STATES, AgentRecord, State

if TYPE_CHECKING:
    from dscore._core import Wheel
    from dscore.config import MonitoringConfig

Input: TypeAlias = Literal[
    "introduced", "beat", "missed", "overdue", "lost", "timed_out", "grace_over", "ended"
]
Grace: TypeAlias = Literal["keep", "cancel", "reconnection", "heartbeat"]


class Step(NamedTuple):
    state: State
    grace: Grace
    reason: ReasonCode | None = None


# fmt: off
TABLE: Final[dict[tuple[State, Input], Step]] = {
    ("connected", "introduced"): Step("connected", "keep"),
    ("connected", "beat"): Step("connected", "keep"),
    ("connected", "missed"): Step("connected", "keep"),
    ("connected", "overdue"): Step("late", "heartbeat"),
    ("connected", "lost"): Step("reconnecting", "reconnection"),
    ("connected", "timed_out"): Step("gone", "keep", "heartbeat_timeout"),
    ("connected", "ended"): Step("gone", "keep"),

    ("late", "introduced"): Step("connected", "cancel"),
    ("late", "beat"): Step("connected", "cancel"),
    ("late", "missed"): Step("connected", "cancel"),
    ("late", "overdue"): Step("late", "keep"),
    ("late", "lost"): Step("reconnecting", "reconnection"),
    ("late", "timed_out"): Step("gone", "cancel", "heartbeat_timeout"),
    ("late", "grace_over"): Step("silent", "keep", "missed_heartbeats"),
    ("late", "ended"): Step("gone", "cancel"),

    ("silent", "introduced"): Step("connected", "keep"),
    ("silent", "beat"): Step("connected", "keep"),
    ("silent", "missed"): Step("connected", "keep"),
    ("silent", "overdue"): Step("silent", "keep"),
    ("silent", "lost"): Step("gone", "keep"),
    ("silent", "timed_out"): Step("gone", "keep"),
    ("silent", "ended"): Step("gone", "keep"),

    ("reconnecting", "introduced"): Step("connected", "cancel"),
    ("reconnecting", "grace_over"): Step("gone", "keep", "reconnect_timeout"),
    ("reconnecting", "ended"): Step("gone", "cancel"),

    ("gone", "introduced"): Step("connected", "keep"),
    ("gone", "ended"): Step("gone", "keep"),
}
# fmt: on


class Liveness:
    """Moves records through the table and keeps their grace periods.

    Every input returns True when the agent's status changed: `record.status` and
    `record.reason_code` then say to what and why.
    """

    def __init__(self, wheel: "Wheel[AgentRecord]", monitoring: "MonitoringConfig") -> None:
        self.monitoring = monitoring
        self._wheel = wheel
        # Grace periods run on a clock of their own: it lags behind the pool's by the time spent in
        # maintenance.
        self._lag = 0
        self._stopped_at: int | None = None

    def introduced(self, record: AgentRecord, now: int) -> bool:
        return self._step(record, "introduced", now)

    def beat(self, record: AgentRecord, now: int, *, heartbeat: bool) -> bool:
        # A connection_check_response shows life and leaves last_heartbeat as it is.
        if heartbeat:
            record.last_heartbeat = now
        return self._step(record, "beat", now)

    def missed(self, record: AgentRecord, misses: int, now: int) -> bool:
        enough = misses >= self.monitoring.max_missed_heartbeats
        return self._step(record, "overdue" if enough else "missed", now)

    def lost(self, record: AgentRecord, now: int) -> bool:
        return self._step(record, "lost", now)

    def timed_out(self, record: AgentRecord, now: int) -> bool:
        return self._step(record, "timed_out", now)

    def ended(self, record: AgentRecord, reason_code: ReasonCode, now: int) -> bool:
        """It was terminated, or removed by an operator: offline at once, without grace."""
        return self._step(record, "ended", now, reason_code)

    def advance(self, now: int) -> list[AgentRecord]:
        """Ends the grace periods that are due.

        Returns:
            The agents that are offline now.
        """
        if self._stopped_at is not None:
            return []
        expired = self._wheel.advance(now - self._lag)
        for record in expired:
            record.grace = None
            self._step(record, "grace_over", now)
        return expired

    def next_deadline(self) -> int | None:
        """When `advance` is next worth calling, on the pool's clock; None: nothing runs."""
        if self._stopped_at is not None:
            return None
        expiration = self._wheel.next_expiration()
        return None if expiration is None else expiration + self._lag

    def stop_clock(self, now: int) -> None:
        """From here on every grace period stands still (maintenance, drain)."""
        if self._stopped_at is None:
            self._stopped_at = now

    def start_clock(self, now: int) -> None:
        if self._stopped_at is not None:
            self._lag += now - self._stopped_at
            self._stopped_at = None

    def _step(
        self, record: AgentRecord, what: Input, now: int, reason: ReasonCode | None = None
    ) -> bool:
        step = TABLE.get((record.state, what))
        if step is None:
            raise RuntimeError(f"liveness: {what} of {record.agent_id} while {record.state}")
        was_online = record.state in ONLINE_STATES
        record.state = step.state
        if step.grace != "keep":
            self._change_grace(record, step.grace, now)
        is_online = step.state in ONLINE_STATES
        if is_online:
            record.reason_code = None
        elif was_online:
            record.reason_code = reason or step.reason
        return is_online != was_online

    def _change_grace(self, record: AgentRecord, grace: Grace, now: int) -> None:
        if record.grace is not None:
            self._wheel.cancel(record.grace)
            record.grace = None
        if grace == "cancel":
            return
        clock = (now if self._stopped_at is None else self._stopped_at) - self._lag
        wait = self.monitoring.heartbeat_grace_period
        if grace == "reconnection":
            # A heartbeat can only come with a connection, so the rest of its grace that would have
            # to be waited out once the reconnection grace is over is known now: one deadline serves
            # both.
            rest = 0.0
            if record.last_heartbeat is not None:
                rest = wait - (now - record.last_heartbeat) / 1000
            wait = max(self.monitoring.reconnection_grace_period, rest)
        record.grace = self._wheel.arm(clock + round(wait * 1000), record)
