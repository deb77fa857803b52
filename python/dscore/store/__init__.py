"""What outlives the process, behind one small interface: agents, their sessions, their timelines.

The truth is in memory, where every call but the `async` ones is answered at once; a store that
writes to disk writes behind. What a session is for, and when it ends, is decided elsewhere
(`dscore.policy.admission`); so is what becomes of an agent after a restart
(`dscore.server.keeping`).
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from dscore.store.memory import MemoryStore
from dscore.store.rows import Entry, Kept, Seen, Session, StoredAgent, StoreHealth

__all__ = [
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

    async def start(self) -> Kept:
        """Reads what earlier processes kept. The sessions in it are the ones `get` gives.

        Raises:
            StoreError: it cannot be read.
        """

    async def close(self) -> None:
        """When it returns, everything is where it outlives the process, or it was logged that it is
        not."""

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
            How many of the oldest were dropped, to stay within `limit` messages and `max_bytes`.
        """

    def take_outbox(self, agent_id: str) -> Sequence[bytes]:
        """The messages of the outbox, which is empty after that."""

    def expire(self, left_before: float) -> int:
        """Drops the sessions of agents that left before a time; returns how many."""

    def undelivered(self) -> int:
        """Messages in all outboxes."""

    def __len__(self) -> int:
        """Sessions."""

    def append(self, agent_id: str, at: int, kind: str, data: bytes) -> None:
        """Adds an entry to an agent's timeline; the oldest go past a bound for each agent.

        Args:
            at: Unix milliseconds.
            data: JSON, and perhaps in more memory than it needs: `dscore.packed.compact` for
                whoever keeps it.
        """

    async def timeline(
        self, agent_id: str, *, limit: int, before: int | None = None
    ) -> list[Entry]:
        """The newest entries of an agent, newest first.

        Args:
            before: only entries with a lower number: the last one of the page before.
        """

    def prune(self, before: int) -> None:
        """Drops timeline entries older than a time in Unix milliseconds, and notes that the server
        is alive. Called now and then."""

    def health(self) -> StoreHealth: ...


def open_store(path: str) -> Store:
    """The store of the configuration's `store.path`: a SQLite file, or ":memory:"."""
    if path == ":memory:":
        return MemoryStore()
    # Imported here: a program that keeps nothing needs no SQLite.
    from dscore.store.sqlite import SqliteStore

    return SqliteStore(path)
