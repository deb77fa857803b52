"""What is kept, as plain data. Times that people are shown are Unix milliseconds; those that only
tell an age are of the store's age clock (`dscore.clock`), which no step of the wall clock moves."""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from dscore.messages import ReasonCode, Status

SERVER: Final = ""
"""The timeline of what concerns every agent: no agent has this id."""


class StoredAgent(NamedTuple):
    """An agent as it is remembered."""

    agent_id: str
    status: Status
    state: str
    reason_code: ReasonCode | None
    ip: str
    dialect: str
    generation: int
    """How many connections it has had."""
    introduced_by: str
    connected_at: int
    """When its last connection was introduced."""
    changed_at: int
    """When this was written down, on the age clock."""
    config: bytes | None
    """The `config` of its app_ready, JSON."""
    seen_at: int | None
    """When there was last something from it; None: no news of that."""
    heartbeat_at: int | None
    """When it last sent a heartbeat; None: never, or no news of that."""


Seen: TypeAlias = tuple[str, int, int | None]
"""The news that a whole fleet makes all the time, as in `StoredAgent`: agent id, seen_at,
heartbeat_at."""


SAMPLE: Final = Struct("<q9I")
"""A sample of the fleet's history: `dscore.history.Sample`."""


class AuditRow(NamedTuple):
    """One use of the operator API's power, or one that was refused."""

    number: int
    at: int
    """Unix milliseconds, for people."""
    age: int
    """Milliseconds of the age clock."""
    refused: int
    """1: its sender is not known, so it costs nothing to make many of them."""
    data: bytes
    """A JSON object."""


class Minute(NamedTuple):
    """A minute of the fleet's history."""

    number: int
    """The Unix time of its beginning, in minutes."""
    samples: bytes
    """Each packed as `SAMPLE`, oldest first."""


class Kept(NamedTuple):
    """What an earlier process left behind."""

    agents: list[StoredAgent]
    """By the time of their last change, oldest first."""
    sessions: "list[SessionRow]"
    messages: "list[MessageRow]"
    """In the order of their numbers, each of a session that is there."""
    alive_at: int | None
    """When that process is last known to have run, in Unix milliseconds; None: there was none."""
    history: Sequence[Minute] = ()
    """Oldest first."""


class Entry(NamedTuple):
    """One line of an agent's timeline."""

    number: int
    """Grows with every entry of any agent, across restarts."""
    agent_id: str
    at: int
    kind: str
    data: bytes
    """JSON."""


class StoreHealth(NamedTuple):
    """Whether what is kept gets to where it outlives the process."""

    is_ok: bool
    reason: str | None = None
    """Why not: one line for a person."""
    waiting: int = 0
    """Changes that are not there yet."""
    lost_total: int = 0
    """Timeline entries that had to be dropped, ever."""
    written_total: int = 0
    """Changes written, ever."""


class SessionRow(NamedTuple):
    """A session as it is remembered (PROTOCOL.md §7)."""

    agent_id: str
    last_close: int
    """The close code of its last connection; 0: none has ended yet."""
    left_at: int | None
    """When the agent was disconnected, on the age clock; None: it was connected."""
    dropped: int
    """Messages that were dropped from its outbox, ever."""


MessageRow: TypeAlias = tuple[int, str, bytes]
"""A message that waits for an agent: its number, the agent's id, JSON."""
