"""What outlives the process, behind one small interface: agents, their sessions, their timelines.

The truth is in memory; a store that writes to disk writes behind. What becomes of an agent after a
restart is decided elsewhere (`dscore.server.keeping`).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from dscore.clock import AgeClock
from dscore.store.memory import MemoryStore
from dscore.store.rows import (
    SERVER,
    AuditRow,
    Entry,
    Kept,
    Minute,
    Seen,
    SessionRow,
    StoredAgent,
    StoreHealth,
)

if TYPE_CHECKING:
    from dscore._core import Fleet

__all__ = [
    "SERVER",
    "AuditRow",
    "Entry",
    "Kept",
    "MemoryStore",
    "Minute",
    "Seen",
    "SessionRow",
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

    async def start(self, fleet: "Fleet") -> Kept:
        """Reads what earlier processes kept.

        Args:
            fleet: whose sessions and messages are written from here on, as it says that they
                change.

        Raises:
            StoreError: it cannot be read.
        """

    async def close(self) -> None:
        """When it returns, everything is where it outlives the process, or it was logged that it is
        not."""

    def bound(self, *, history: int) -> None:
        """Bounds the bytes of all timelines together."""

    def keep(self, agent: StoredAgent) -> None:
        """Remembers an agent, new or changed."""

    def forget(self, agent_ids: Iterable[str]) -> None:
        """Forgets agents, with their timelines."""

    def seen(self, agents: Iterable[Seen]) -> None:
        """Remembers when agents were last heard of."""

    def changed(self, *, urgent: bool = False) -> None:
        """Something of the fleet may have changed: it is written soon.

        Args:
            urgent: at once: messages have come or gone.
        """

    async def written(self) -> None:
        """Returns when all that has changed by now is where it outlives the process, if anything
        does.

        Raises:
            NotKeptError: it cannot get there now.
        """

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

    def audit(self, at: int, data: bytes, *, refused: bool) -> None:
        """Adds a line to the audit; the oldest of its kind goes past a bound.

        Args:
            at: Unix milliseconds, for people.
            data: JSON.
            refused: its sender was not known.
        """

    async def read_audit(self, *, limit: int, before: int | None = None) -> list[AuditRow]:
        """The newest lines of the audit, newest first.

        Args:
            before: only lines with a lower number.
        """

    def prune(self, before: int) -> None:
        """Drops timeline entries and lines of the audit older than a time in milliseconds of the
        age clock, and notes that the server is alive. Called now and then."""

    def keep_history(self, minute: Minute, oldest: int) -> None:
        """Keeps a minute of the fleet's history, and none before the minute `oldest`."""

    def health(self) -> StoreHealth: ...


def open_store(path: str) -> Store:
    """The store of the configuration's `store.path`: a SQLite file, or ":memory:"."""
    if path == ":memory:":
        return MemoryStore()
    # Imported here: a program that keeps nothing needs no SQLite.
    from dscore.store.sqlite import SqliteStore

    return SqliteStore(path)
