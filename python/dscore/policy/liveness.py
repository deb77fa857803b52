"""Which agents are online: PROTOCOL.md §5 as a state machine, with `now` passed in.

It decides and reports; who is told is not its business. Heartbeats are answered by the core and
never come here: an agent that misses them does, and its next sign of life.

The table. Offline for watchers are the last two states; a cell is the next state, with what happens
to the grace period: + armed, - cancelled. Empty cells cannot happen: they raise.

| state        | introduced  | beat, missed | overdue | lost           | timed_out | over    |
|--------------|-------------|--------------|---------|----------------|-----------|---------|
| connected    | connected   | connected    | late +  | reconnecting + | offline   |         |
| late         | connected - | connected -  | late    | reconnecting + | offline - | offline |
| terminating  | connected   | terminating  | late +  | reconnecting + | offline   |         |
| reconnecting | connected - |              |         |                |           | offline |
| unknown      | connected - |              |         |                |           | offline |
| offline [1]  | connected   | connected    | offline | offline        | offline   |         |
| terminated   | connected   |              |         |                |           |         |

| state        | asked       | spared    | terminated   | removed   | booted     |
|--------------|-------------|-----------|--------------|-----------|------------|
| connected    | terminating | connected | terminated   | offline   | unknown +  |
| late         | late        | late      | terminated - | offline - | unknown +  |
| terminating  | terminating | connected | terminated   | offline   | unknown +  |
| reconnecting |             |           |              | offline - | unknown +  |
| unknown      |             |           |              | offline - | unknown +  |
| offline [1]  | offline     | offline   | terminated   | offline   | offline    |
| terminated   |             |           |              | offline   | terminated |

[1] with a connection (it misses heartbeats, the socket stays) or without one: then only introduced,
removed and booted can happen.

introduced: a connection of this agent was let in (a takeover included); beat: a heartbeat or check
response after misses; missed: silent for an interval, fewer than max_missed_heartbeats in a row
(after a beat that was not heard of); overdue: that many; lost: its connection ended; timed_out: the
core closed it at offline_timeout; over (`grace_over`): its grace period ran out; asked: it was sent
terminate_app; spared: it did not stop, and no request waits for it any more; terminated: it
stopped; removed: by an operator; booted: the server has started, and this is what an earlier
process knew.

Reasons of going offline: timed_out heartbeat_timeout; terminated terminated; removed operator;
grace_over missed_heartbeats when late, reconnect_timeout when reconnecting, and when unknown what
its last heartbeat tells (rule 5).
"""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from dscore.messages import ReasonCode
from dscore.registry import ONLINE_STATES, AgentRecord, State

if TYPE_CHECKING:
    from dscore._core import Wheel
    from dscore.config import MonitoringConfig

Input: TypeAlias = Literal[
    "introduced",
    "beat",
    "missed",
    "overdue",
    "lost",
    "timed_out",
    "grace_over",
    "asked",
    "spared",
    "terminated",
    "removed",
    "booted",
]
Grace: TypeAlias = Literal["keep", "cancel", "heartbeat", "reconnection", "boot"]
Ending: TypeAlias = Literal["terminated", "operator"]

MAX_GAPS: Final = 64
"""How many are kept: what is older than all of them is old anyway."""
DUE: Final = -1
"""Stands for the key of a grace period that has run out on the wheel and is not dealt with yet."""


class Step(NamedTuple):
    state: State
    grace: Grace
    reason: ReasonCode | None = None
    """Why the agent is offline from then on; None leaves the reason it had."""


# fmt: off
TABLE: Final[dict[tuple[State, Input], Step]] = {
    ("connected", "introduced"): Step("connected", "keep"),
    ("connected", "beat"): Step("connected", "keep"),
    ("connected", "missed"): Step("connected", "keep"),
    ("connected", "overdue"): Step("late", "heartbeat"),
    ("connected", "lost"): Step("reconnecting", "reconnection"),
    ("connected", "timed_out"): Step("offline", "keep", "heartbeat_timeout"),
    ("connected", "asked"): Step("terminating", "keep"),
    ("connected", "spared"): Step("connected", "keep"),
    ("connected", "terminated"): Step("terminated", "keep", "terminated"),
    ("connected", "removed"): Step("offline", "keep", "operator"),
    ("connected", "booted"): Step("unknown", "boot"),

    ("late", "introduced"): Step("connected", "cancel"),
    ("late", "beat"): Step("connected", "cancel"),
    ("late", "missed"): Step("connected", "cancel"),
    ("late", "overdue"): Step("late", "keep"),
    ("late", "lost"): Step("reconnecting", "reconnection"),
    ("late", "timed_out"): Step("offline", "cancel", "heartbeat_timeout"),
    ("late", "grace_over"): Step("offline", "keep", "missed_heartbeats"),
    ("late", "asked"): Step("late", "keep"),
    ("late", "spared"): Step("late", "keep"),
    ("late", "terminated"): Step("terminated", "cancel", "terminated"),
    ("late", "removed"): Step("offline", "cancel", "operator"),
    ("late", "booted"): Step("unknown", "boot"),

    ("terminating", "introduced"): Step("connected", "keep"),
    ("terminating", "beat"): Step("terminating", "keep"),
    ("terminating", "missed"): Step("terminating", "keep"),
    ("terminating", "overdue"): Step("late", "heartbeat"),
    ("terminating", "lost"): Step("reconnecting", "reconnection"),
    ("terminating", "timed_out"): Step("offline", "keep", "heartbeat_timeout"),
    ("terminating", "asked"): Step("terminating", "keep"),
    ("terminating", "spared"): Step("connected", "keep"),
    ("terminating", "terminated"): Step("terminated", "keep", "terminated"),
    ("terminating", "removed"): Step("offline", "keep", "operator"),
    ("terminating", "booted"): Step("unknown", "boot"),

    ("reconnecting", "introduced"): Step("connected", "cancel"),
    ("reconnecting", "grace_over"): Step("offline", "keep", "reconnect_timeout"),
    ("reconnecting", "removed"): Step("offline", "cancel", "operator"),
    ("reconnecting", "booted"): Step("unknown", "boot"),

    ("unknown", "introduced"): Step("connected", "cancel"),
    ("unknown", "grace_over"): Step("offline", "keep"),
    ("unknown", "removed"): Step("offline", "cancel", "operator"),
    ("unknown", "booted"): Step("unknown", "boot"),

    ("offline", "introduced"): Step("connected", "keep"),
    ("offline", "beat"): Step("connected", "keep"),
    ("offline", "missed"): Step("connected", "keep"),
    ("offline", "overdue"): Step("offline", "keep"),
    ("offline", "lost"): Step("offline", "keep"),
    ("offline", "timed_out"): Step("offline", "keep"),
    ("offline", "asked"): Step("offline", "keep"),
    ("offline", "spared"): Step("offline", "keep"),
    ("offline", "terminated"): Step("terminated", "keep", "terminated"),
    ("offline", "removed"): Step("offline", "keep", "operator"),
    ("offline", "booted"): Step("offline", "keep"),

    ("terminated", "introduced"): Step("connected", "keep"),
    ("terminated", "removed"): Step("offline", "keep", "operator"),
    ("terminated", "booted"): Step("terminated", "keep"),
}
# fmt: on


class Liveness:
    """Moves records through the table and keeps their grace periods.

    Every input that can change an agent's status returns True when it did: `record.status` and
    `record.reason_code` then say to what and why.
    """

    def __init__(self, wheel: "Wheel[AgentRecord]", monitoring: "MonitoringConfig") -> None:
        self.monitoring = monitoring
        self._wheel = wheel
        self._due: deque[AgentRecord] = deque()
        # Grace periods run on a clock of their own: it lags behind the pool's by the time spent in
        # maintenance, and by that in which nothing was looked at.
        self._lag = 0
        self._stopped_at: int | None = None
        self._gaps: deque[tuple[int, int]] = deque(maxlen=MAX_GAPS)

    def booted(self, record: AgentRecord, now: int) -> None:
        """Takes over a record from an earlier process, with the state it had when that ended.

        One that was online is `unknown` and has a reconnection grace to come back, in which
        watchers are told nothing. Its `last_heartbeat`, on this process's clock, may well be
        negative.
        """
        self._step(record, "booted", now)

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

    def asked(self, record: AgentRecord, now: int) -> None:
        """It was sent terminate_app."""
        self._step(record, "asked", now)

    def all_asked(self, records: Iterable[AgentRecord]) -> None:
        """The same of a whole fleet at once. No status changes by it, and no grace period."""
        for record in records:
            record.state = TABLE[record.state, "asked"].state

    def spared(self, record: AgentRecord, now: int) -> None:
        """It has not stopped, and no request waits for that any more."""
        self._step(record, "spared", now)

    def ended(self, record: AgentRecord, ending: Ending, now: int) -> bool:
        """It was terminated, or removed by an operator: offline at once, without grace."""
        return self._step(record, "terminated" if ending == "terminated" else "removed", now)

    def cut_short(self, record: AgentRecord, now: int) -> bool:
        """Ends the grace period of an agent that has gone, if it has one, before its time."""
        if record.grace is None:
            return False
        self._change_grace(record, "cancel", now)
        reason = self._reason_after_boot(record, now) if record.state == "unknown" else None
        return self._step(record, "grace_over", now, reason)

    def advance(self, now: int, limit: int | None = None) -> list[AgentRecord]:
        """Ends the grace periods that are due, at most `limit` of them: thousands may have begun in
        the same moment. `next_deadline` says at once when there are more.

        Returns:
            The agents that are offline now.
        """
        if self._stopped_at is not None:
            return []
        for record in self._wheel.advance(now - self._lag):
            record.grace = DUE
            self._due.append(record)
        over: list[AgentRecord] = []
        while self._due and (limit is None or len(over) < limit):
            record = self._due.popleft()
            # Otherwise it came back, or has ended, while it waited here.
            if record.grace == DUE:
                record.grace = None
                reason = self._reason_after_boot(record, now) if record.state == "unknown" else None
                self._step(record, "grace_over", now, reason)
                over.append(record)
        return over

    def next_deadline(self) -> int | None:
        """When `advance` is next worth calling, on the pool's clock; None: nothing runs."""
        if self._stopped_at is not None:
            return None
        if self._due:
            return 0
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

    def skip(self, now: int, length: int) -> None:
        """Nothing was looked at in the last `length` milliseconds: they count for no grace period,
        and for no age of a heartbeat."""
        self._gaps.append((now, length))
        if self._stopped_at is None:
            self._lag += length

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
        else:
            record.reason_code = reason or step.reason or record.reason_code
        return is_online != was_online

    def _change_grace(self, record: AgentRecord, grace: Grace, now: int) -> None:
        if record.grace is not None:
            if record.grace != DUE:
                self._wheel.cancel(record.grace)
            record.grace = None
        if grace == "cancel":
            return
        clock = (now if self._stopped_at is None else self._stopped_at) - self._lag
        wait = self.monitoring.reconnection_grace_period
        if grace == "heartbeat":
            wait = self.monitoring.heartbeat_grace_period
        elif grace == "reconnection" and record.last_heartbeat is not None:
            # A heartbeat can only come with a connection, so the rest of its grace that would have
            # to be waited out once the reconnection grace is over is known now: one deadline serves
            # both.
            age = self._age(record.last_heartbeat, now)
            rest = self.monitoring.heartbeat_grace_period - age / 1000
            wait = max(wait, rest)
        record.grace = self._wheel.arm(clock + round(wait * 1000), record)

    def _reason_after_boot(self, record: AgentRecord, now: int) -> ReasonCode:
        if record.last_heartbeat is None:
            return "no_connection"
        if self._age(record.last_heartbeat, now) > self.monitoring.offline_timeout * 1000:
            return "heartbeat_timeout"
        return "reconnect_timeout"

    def _age(self, then: int, now: int) -> int:
        return now - then - sum(length for ended, length in self._gaps if ended > then)
