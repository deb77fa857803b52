"""What outlives the process, behind one small interface: agents, their sessions, their timelines.

The truth is in the fleet, which says what has changed; a `Behind` writes it down a moment later.
What becomes of an agent after a restart is decided elsewhere (`dscore.server.restore`).
"""

from typing import TYPE_CHECKING, Protocol

from dscore.clock import AgeClock
from dscore.store.memory import MemoryStore
from dscore.store.rows import (
    AuditRow,
    Entry,
    Loaded,
    Minute,
    Pruning,
    StoredAgent,
    StoreHealth,
    Upkeep,
)

if TYPE_CHECKING:
    from dscore._core import Changes

__all__ = [
    "AuditRow",
    "Entry",
    "Loaded",
    "MemoryStore",
    "Minute",
    "Pruning",
    "Store",
    "StoreHealth",
    "StoredAgent",
    "Upkeep",
    "open_store",
]


class Store(Protocol):
    """The interface of a store. Called from the event loop's thread only, one call at a time but
    for `timeline`."""

    outlives: bool
    """Whether what it is given outlives the process. If not, `write` is never called, and the fleet
    keeps timelines itself."""
    clock: AgeClock
    """What the ages of all that it keeps are reckoned on; after `load` it goes on where an earlier
    process's stood."""

    @property
    def damaged_total(self) -> int:
        """Rows that were left out because they are not what was written, ever."""

    async def load(self) -> Loaded:
        """Reads what earlier processes kept.

        Raises:
            StoreError: it cannot be read.
        """

    async def write(self, changes: "Changes", upkeep: Upkeep) -> None:
        """Writes all of them, or none. With nothing to write it sees that it still could.

        Raises:
            OSError: it takes nothing now, and may later.
            sqlite3.Error: the same, or there is something that it will never take.
        """

    async def timeline(
        self, agent: int, *, limit: int, before: int | None = None
    ) -> list[tuple[int, int, str, bytes]]:
        """The newest entries of an agent that were written, newest first: number, Unix
        milliseconds, kind, data. `Entry` says what they mean.

        Args:
            agent: `AgentRow.number`; 0: the server's.
            before: only entries with a lower number: the last one of the page before.
        """

    async def audit(self, *, limit: int, before: int | None = None) -> list[AuditRow]:
        """The newest lines of the audit that were written, newest first.

        Args:
            before: only lines with a lower number.
        """

    async def close(self) -> None:
        """Lets go of what it holds."""


def open_store(path: str) -> Store:
    """The store of the configuration's `store.path`: a SQLite file, or ":memory:"."""
    if path == ":memory:":
        return MemoryStore()
    # Imported here: a program that keeps nothing needs no SQLite.
    from dscore.store.sqlite import SqliteStore

    return SqliteStore(path)
