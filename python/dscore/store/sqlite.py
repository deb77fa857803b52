"""The store in a SQLite file: one thread opens it, reads it and writes it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from dscore import signals
from dscore.clock import AgeClock, Seconds, wall
from dscore.store.database import Database
from dscore.store.rows import AuditRow, Loaded, Upkeep

if TYPE_CHECKING:
    from dscore._core import Changes

CLOSE_TIMEOUT = 5.0
"""Seconds that a hung disk may hold up the close."""

T = TypeVar("T")


class SqliteStore:
    """Keeps everything in one file."""

    outlives = True

    def __init__(self, path: str, clock: AgeClock | None = None, wall: Seconds = wall) -> None:
        """Touches nothing yet.

        Args:
            wall: Unix seconds: when this process was last alive, for the next one.
        """
        self.path = path
        self.clock = clock or AgeClock()
        self._wall = wall
        self._database = Database(path)
        self._thread: ThreadPoolExecutor | None = None

    @property
    def damaged_total(self) -> int:
        return self._database.damaged_total

    async def load(self) -> Loaded:
        self._thread = ThreadPoolExecutor(1, "dscore-store")
        try:
            with signals.blocked():
                loading = self._in_thread(self._database.load)
            loaded, age = await loading
        except BaseException:
            self._thread.shutdown(wait=False)
            self._thread = None
            raise
        if age is not None:
            self.clock.resume(age)
        return loaded

    async def write(self, changes: "Changes", upkeep: Upkeep) -> None:
        if changes or any(upkeep):
            alive_at = round(self._wall() * 1000)
            await self._in_thread(self._database.write, changes, upkeep, alive_at)
        else:
            await self._in_thread(self._database.look)

    async def timeline(
        self, agent: int, *, limit: int, before: int | None = None
    ) -> list[tuple[int, int, str, bytes]]:
        return await self._in_thread(self._database.timeline, agent, limit, before)

    async def audit(self, *, limit: int, before: int | None = None) -> list[AuditRow]:
        return await self._in_thread(self._database.audit, limit, before)

    async def close(self) -> None:
        if self._thread is None:
            return
        closing = self._in_thread(self._database.close)
        self._thread.shutdown(wait=False)
        self._thread = None
        await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)

    def _in_thread(self, call: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)
