"""The store that ends with the process: the fleet remembers everything itself."""

from typing import TYPE_CHECKING

from dscore.clock import AgeClock
from dscore.store.rows import AuditRow, Loaded, Upkeep

if TYPE_CHECKING:
    from dscore._core import Changes


class MemoryStore:
    """Keeps nothing."""

    outlives = False
    damaged_total = 0

    def __init__(self, clock: AgeClock | None = None) -> None:
        self.clock = clock or AgeClock()

    async def load(self) -> Loaded:
        return Loaded([], [], 0, 0, [], [], None)

    async def write(self, changes: "Changes", upkeep: Upkeep) -> None:
        pass

    async def timeline(
        self, agent: int, *, limit: int, before: int | None = None
    ) -> list[tuple[int, int, str, bytes]]:
        return []

    async def audit(self, *, limit: int, before: int | None = None) -> list[AuditRow]:
        return []

    async def close(self) -> None:
        pass
