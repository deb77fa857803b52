"""Which agents are online: PROTOCOL.md §5 as a state machine.

It is written here and walked by the fleet (`rust/fleet`), which keeps the grace periods and counts
a cell that is missing. Heartbeats are answered by the core and are no input: an agent that misses
them is one, and its next sign of life.

The table. Offline for watchers are the last two states; a cell is the next state, with what happens
to the grace period: + armed, - cancelled. Empty cells cannot happen: they are an error.

| state        | introduced  | beat, missed | missed_limit | lost           | timed_out | over    |
|--------------|-------------|--------------|--------------|----------------|-----------|---------|
| connected    | connected   | connected    | late +       | reconnecting + | offline   |         |
| late         | connected - | connected -  | late         | reconnecting + | offline - | offline |
| terminating  | connected   | terminating  | late +       | reconnecting + | offline   |         |
| reconnecting | connected - |              |              |                |           | offline |
| unknown      | connected - |              |              |                |           | offline |
| offline [1]  | connected   | connected    | offline      | offline        | offline   |         |
| terminated   | connected   |              |              |                |           |         |

| state        | terminate_sent | terminate_over | terminated   | removed   | restored   |
|--------------|----------------|----------------|--------------|-----------|------------|
| connected    | terminating    | connected      | terminated   | offline   | unknown +  |
| late         | late           | late           | terminated - | offline - | unknown +  |
| terminating  | terminating    | connected      | terminated   | offline   | unknown +  |
| reconnecting |                |                |              | offline - | unknown +  |
| unknown      |                |                |              | offline - | unknown +  |
| offline [1]  | offline        | offline        | terminated   | offline   | offline    |
| terminated   |                |                |              | offline   | terminated |

[1] with a connection (it misses heartbeats, the socket stays) or without one: then only introduced,
removed and restored can happen.

introduced: a connection of this agent was let in (a takeover included); beat: a heartbeat or check
response after misses; missed: silent for an interval, fewer than max_missed_heartbeats in a row
(after a beat that was not heard of); missed_limit: that many; lost: its connection ended;
timed_out: the core closed it at offline_timeout; over (`grace_over`): its grace period ran out;
terminate_sent: it was sent terminate_app; terminate_over: it did not stop, and no request waits for
it any more; terminated: it stopped; removed: by an operator; restored: the server has started, and
this is what an earlier process knew.

Reasons of going offline: timed_out heartbeat_timeout; terminated terminated; removed operator;
grace_over missed_heartbeats when late, reconnect_timeout when reconnecting, and when unknown what
its last heartbeat tells (rule 5).
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from dscore._core import Fleet
from dscore.messages import ReasonCode
from dscore.states import Grace, Input, State

if TYPE_CHECKING:
    from dscore.config import MonitoringConfig


ONLINE_STATES: Final[frozenset[State]] = frozenset(
    {"connected", "late", "terminating", "reconnecting", "unknown"}
)
"""What watchers are told is "online"."""
MAX_DISCONNECTED: Final = 100_000
"""Agents remembered without a connection. Ids come from the network: something must bound what they
cost."""


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
    ("connected", "missed_limit"): Step("late", "heartbeat"),
    ("connected", "lost"): Step("reconnecting", "reconnection"),
    ("connected", "timed_out"): Step("offline", "keep", "heartbeat_timeout"),
    ("connected", "terminate_sent"): Step("terminating", "keep"),
    ("connected", "terminate_over"): Step("connected", "keep"),
    ("connected", "terminated"): Step("terminated", "keep", "terminated"),
    ("connected", "removed"): Step("offline", "keep", "operator"),
    ("connected", "restored"): Step("unknown", "boot"),

    ("late", "introduced"): Step("connected", "cancel"),
    ("late", "beat"): Step("connected", "cancel"),
    ("late", "missed"): Step("connected", "cancel"),
    ("late", "missed_limit"): Step("late", "keep"),
    ("late", "lost"): Step("reconnecting", "reconnection"),
    ("late", "timed_out"): Step("offline", "cancel", "heartbeat_timeout"),
    ("late", "grace_over"): Step("offline", "keep", "missed_heartbeats"),
    ("late", "terminate_sent"): Step("late", "keep"),
    ("late", "terminate_over"): Step("late", "keep"),
    ("late", "terminated"): Step("terminated", "cancel", "terminated"),
    ("late", "removed"): Step("offline", "cancel", "operator"),
    ("late", "restored"): Step("unknown", "boot"),

    ("terminating", "introduced"): Step("connected", "keep"),
    ("terminating", "beat"): Step("terminating", "keep"),
    ("terminating", "missed"): Step("terminating", "keep"),
    ("terminating", "missed_limit"): Step("late", "heartbeat"),
    ("terminating", "lost"): Step("reconnecting", "reconnection"),
    ("terminating", "timed_out"): Step("offline", "keep", "heartbeat_timeout"),
    ("terminating", "terminate_sent"): Step("terminating", "keep"),
    ("terminating", "terminate_over"): Step("connected", "keep"),
    ("terminating", "terminated"): Step("terminated", "keep", "terminated"),
    ("terminating", "removed"): Step("offline", "keep", "operator"),
    ("terminating", "restored"): Step("unknown", "boot"),

    ("reconnecting", "introduced"): Step("connected", "cancel"),
    ("reconnecting", "grace_over"): Step("offline", "keep", "reconnect_timeout"),
    ("reconnecting", "removed"): Step("offline", "cancel", "operator"),
    ("reconnecting", "restored"): Step("unknown", "boot"),

    ("unknown", "introduced"): Step("connected", "cancel"),
    ("unknown", "grace_over"): Step("offline", "keep"),
    ("unknown", "removed"): Step("offline", "cancel", "operator"),
    ("unknown", "restored"): Step("unknown", "boot"),

    ("offline", "introduced"): Step("connected", "keep"),
    ("offline", "beat"): Step("connected", "keep"),
    ("offline", "missed"): Step("connected", "keep"),
    ("offline", "missed_limit"): Step("offline", "keep"),
    ("offline", "lost"): Step("offline", "keep"),
    ("offline", "timed_out"): Step("offline", "keep"),
    ("offline", "terminate_sent"): Step("offline", "keep"),
    ("offline", "terminate_over"): Step("offline", "keep"),
    ("offline", "terminated"): Step("terminated", "keep", "terminated"),
    ("offline", "removed"): Step("offline", "keep", "operator"),
    ("offline", "restored"): Step("offline", "keep"),

    ("terminated", "introduced"): Step("connected", "keep"),
    ("terminated", "removed"): Step("offline", "keep", "operator"),
    ("terminated", "restored"): Step("terminated", "keep"),
}
# fmt: on


def new_fleet(*, max_disconnected: int = MAX_DISCONNECTED) -> Fleet:
    """An empty fleet that walks this table."""
    cells = [(state, what, *step) for (state, what), step in TABLE.items()]
    return Fleet(cells, max_disconnected=max_disconnected)


def configure(fleet: Fleet, monitoring: "MonitoringConfig") -> None:
    """Gives a fleet the settings of its grace periods."""
    fleet.configure(
        max_missed=monitoring.max_missed_heartbeats,
        heartbeat_grace_ms=round(monitoring.heartbeat_grace_period * 1000),
        reconnection_grace_ms=round(monitoring.reconnection_grace_period * 1000),
        offline_timeout_ms=round(monitoring.offline_timeout * 1000),
    )
