"""What is kept, as plain data. Times that people are shown are Unix milliseconds; those that only
tell an age are of the store's age clock (`dscore.clock`), which no step of the wall clock moves."""

from struct import Struct
from typing import Final, NamedTuple, TypeAlias

from dscore.messages import ReasonCode
from dscore.store.marks import Mark


class StoredAgent(NamedTuple):
    """An agent as it is remembered: the columns of its row, in the order in which the fleet gives
    and takes them."""

    number: int
    """Names it in the other tables: never used again."""
    agent_id: str
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
    seen_at: int | None
    """When there was last something from it, to a tenth of a second; None: no news of that."""
    heartbeat_at: int | None
    """When it last sent a heartbeat; None: never, or no news of that."""
    last_close: int | None
    """The close code of its last connection, 0 where none has ended; None: it has no session
    (PROTOCOL.md §7)."""
    left_at: int | None
    """When it was disconnected, on the age clock; None: it was connected."""
    dropped: int
    """Messages that were dropped from its outbox, ever."""
    config: bytes | None
    """The `config` of its app_ready, JSON."""


MessageRow: TypeAlias = tuple[int, str, bytes]
"""A message that waits for an agent: its number, the agent's id, JSON."""


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


class Loaded(NamedTuple):
    """What earlier processes left behind, timelines excepted."""

    agents: list[StoredAgent]
    """By the time of their last change, oldest first."""
    messages: list[MessageRow]
    """In the order of their numbers, each of a session that is there."""
    last_entry: int
    """The number of the newest entry of a timeline."""
    last_audit: int
    """The same of the audit."""
    marks: list[Mark]
    history: list[Minute]
    """Oldest first."""
    alive_at: int | None
    """When the last one is known to have run, in Unix milliseconds; None: there was none."""


class Entry(NamedTuple):
    """One line of an agent's timeline."""

    number: int
    """Grows with every entry of any agent, across restarts."""
    agent_id: str
    """"" for what concerns every agent."""
    at: int
    kind: str
    data: bytes
    """JSON."""


class Pruning(NamedTuple):
    """What timelines are to be cut back to."""

    to: int
    """Entries up to this number are too old."""
    max_bytes: int
    """Of all timelines together."""
    marks: tuple[Mark, ...]
    before: int
    """What else is older than this, in milliseconds of the age clock, is too old."""


class Upkeep(NamedTuple):
    """What is written besides what the fleet says has changed."""

    pruning: Pruning | None = None
    audit: tuple[AuditRow, ...] = ()
    minutes: tuple[Minute, ...] = ()
    """Of the fleet's history."""
    oldest_minute: int = 0
    """Those before it go, where there are new ones."""


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
