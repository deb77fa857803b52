"""What outlives the process, behind one small interface: agents, their sessions, their timelines.

The truth is in memory, where every call but the `async` ones is answered at once; a store that
writes to disk writes behind. What a session is for, and when it ends, is decided elsewhere
(`dscore.policy.admission`); so is what becomes of an agent after a restart
(`dscore.server.keeping`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from dscore.clock import AgeClock
from dscore.store.memory import MemoryStore
from dscore.store.rows import SERVER, Entry, Kept, Seen, Session, StoredAgent, StoreHealth

__all__ = [
    "SERVER",
    "Entry",
    "Kept",
    "MemoryStore",
    "Seen",
    "Session",
    "Store",
    "StoreHealth",
    "StoredAgent",
    "open_store",
]


class Store(Protocol):
    """The interface of a store. Called from the event loop's thread only."""

    keeps_agents: bool
    """Whether `keep` and `seen` do anything: what they take need not be made otherwise."""

    clock: AgeClock
    """What the ages of all that it keeps are reckoned on; after `start` it goes on where an earlier
    process's stood."""
    damaged_total: int
    """Rows that were left out because they are not what was written, ever."""

    async def start(self) -> Kept:
        """Reads what earlier processes kept. The sessions in it are the ones `get` gives.

        Raises:
            StoreError: it cannot be read.
        """

    async def close(self) -> None:
        """When it returns, everything is where it outlives the process, or it was logged that it is
        not."""

    def bound(self, *, outboxes: int, history: int) -> None:
        """Bounds the bytes of all outboxes together, and of all timelines."""

    def keep(self, agent: StoredAgent) -> None:
        """Remembers an agent, new or changed."""

    def forget(self, agent_ids: Iterable[str]) -> None:
        """Forgets agents, with their sessions and timelines."""

    def seen(self, agents: Iterable[Seen]) -> None:
        """Remembers when agents were last heard of."""

    def get(self, agent_id: str) -> Session | None: ...

    def put(self, agent_id: str, session: Session) -> None:
        """Keeps a session, new or changed."""

    def drop(self, agent_id: str) -> None:
        """Ends a session with all it holds; nothing happens if there is none."""

    def queue(self, agent_id: str, text: bytes, *, limit: int, max_bytes: int) -> int:
        """Adds a message to the outbox of a session that exists.

        Returns:
            How many of the oldest were dropped, to stay within `limit` messages and `max_bytes`,
            and within the bytes of all outboxes.
        """

    async def queue_kept(self, agent_id: str, text: bytes, *, limit: int, max_bytes: int) -> int:
        """The same, and returns when the message is where it outlives the process, if anything
        does.

        Raises:
            NotKeptError: it cannot get there now, and is not in the outbox.
        """

    def take_drops(self) -> Mapping[str, int]:
        """Messages that were dropped from outboxes since this was asked last, by agent."""

    def lend(self, agent_id: str, *, max_bytes: int) -> Sequence[bytes]:
        """The oldest messages of the outbox, to be sent: as many as fit, at least one. They are
        kept until `settle`."""

    def settle(self, agent_id: str) -> None:
        """What was lent is sent: it is kept no longer."""

    def give_back(self, agent_id: str) -> None:
        """What was lent was not sent: it is first in the outbox again."""

    def expire(self, left_before: float) -> int:
        """Drops the sessions of agents that left before a time, in seconds of the age clock;
        returns how many."""

    def undelivered(self) -> int:
        """Messages in all outboxes, and lent."""

    def undelivered_bytes(self) -> int:
        """The same in bytes."""

    def __len__(self) -> int:
        """Sessions."""

    def append(self, agent_id: str, at: int, kind: str, data: bytes) -> None:
        """Adds an entry to an agent's timeline; the oldest go past a bound for each agent.

        Args:
            at: Unix milliseconds, for people.
            data: JSON, and perhaps in more memory than it needs: `dscore.packed.compact` for
                the one that keeps it.
        """

    async def timeline(
        self, agent_id: str, *, limit: int, before: int | None = None
    ) -> list[Entry]:
        """The newest entries of an agent, newest first.

        Args:
            before: only entries with a lower number: the last one of the page before.
        """

    def prune(self, before: int) -> None:
        """Drops timeline entries older than a time in milliseconds of the age clock, and notes that
        the server is alive. Called now and then."""

    def health(self) -> StoreHealth: ...


def open_store(path: str) -> Store:
    """The store of the configuration's `store.path`: a SQLite file, or ":memory:"."""
    if path == ":memory:":
        return MemoryStore()
    # Imported here: a program that keeps nothing needs no SQLite.
    from dscore.store.sqlite import SqliteStore

    return SqliteStore(path)
