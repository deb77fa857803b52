"""The time that counts for what the loop judges: the machine's, less the time in which it did not
turn (PROTOCOL.md §5 rule 3).

A process that was stopped finds what it waits for as far away as it was, and a look at everything
that lies in the sockets comes before anything is called too late. The reactors have clocks of their
own, for what they judge.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dscore.clock import elapsed

if TYPE_CHECKING:
    from dscore._core import Looked, ReactorPool

T = TypeVar("T")
Future = TypeVar("Future", bound="asyncio.Future[Any]")

INTERVAL: Final = 0.25
"""Seconds between two turns of the loop at most."""
MAX_LOOK: Final = 5.0
"""Seconds a look may take: with 18,000 sockets full it is a tenth of one."""
GAP: Final = 1.0
"""Seconds by which a turn is too late to be merely late."""


class Clock:
    """One loop's; it is read whenever something is judged, and ticks in between from `start` to
    `close`."""

    def __init__(
        self,
        pool: "ReactorPool",
        loop: asyncio.AbstractEventLoop,
        on_gap: Callable[[float], None],
    ) -> None:
        """
        Args:
            on_gap: called with the seconds of a gap, before anything is judged after it.
        """
        self._pool = pool
        self._loop = loop
        self._on_gap = on_gap
        self._is_closed = False
        self._unseen = 0.0
        self._read_at = elapsed()
        self._due = inf
        self._next_tick: asyncio.TimerHandle | None = None
        self._numbers = count(1)
        self._looks: dict[int, list[Callable[[], None]]] = {}
        """Number of a look -> what is called when each reactor is through; one for each."""

    def start(self) -> None:
        """From here on the loop is meant to turn: before that it may import and read as long as it
        takes."""
        self._read_at = elapsed()
        self._tick()

    def close(self) -> None:
        """Ends the ticks; what waits for a look waits no longer."""
        self._is_closed = True
        if self._next_tick is not None:
            self._next_tick.cancel()
        waiting, self._looks = self._looks, {}
        for calls in waiting.values():
            calls[0]()

    def read(self) -> float:
        """Seconds that count."""
        now = elapsed()
        if now - self._due >= GAP:
            # When in its wait the loop was stopped is not known: none of that wait counts.
            gap = now - self._read_at
            self._unseen += gap
            self._due = now
            self._on_gap(gap)
        self._read_at = now
        return now - self._unseen

    def after_look(self, then: Callable[[], None]) -> None:
        """Calls `then` when all that lies in the sockets now was read and dealt with, after
        MAX_LOOK at the latest; at once when nothing will be read any more."""
        if self._is_closed:
            then()
            return
        number = next(self._numbers)
        self._looks[number] = [then] * self._pool.look(number)
        self._loop.call_later(MAX_LOOK, self._give_up, number)

    def looked(self, event: "Looked", now: int) -> None:
        """A reactor is through with a look."""
        waiting = self._looks.get(event.number)
        if waiting:
            then = waiting.pop()
            if not waiting:
                del self._looks[event.number]
                then()

    async def look(self) -> None:
        """Waits until all that lies in the sockets now was read and dealt with."""
        done = asyncio.Event()
        self.after_look(done.set)
        await done.wait()
        # Tasks that it woke have their turn.
        await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        """Lets so many seconds pass that count, and looks at the sockets."""
        with suppress(asyncio.TimeoutError):
            await self.wait_for(asyncio.Event().wait(), seconds)

    async def wait(self, tasks: "set[Future]", seconds: float) -> "set[Future]":
        """Waits until all of these have ended, for so many seconds that count at most.

        Returns:
            Those that have not, after a look at the sockets either.
        """
        until = self.read() + seconds
        while tasks and (left := until - self.read()) > 0:
            _, tasks = await asyncio.wait(tasks, timeout=left)
        if tasks:
            await self.look()
        return {task for task in tasks if not task.done()}

    async def wait_for(self, work: Awaitable[T], seconds: float) -> T:
        """What `work` comes to, within so many seconds that count. It is cancelled if it takes
        longer, or if the waiting is.

        Raises:
            asyncio.TimeoutError: it took longer, and a look at the sockets did not end it either.
        """
        task = asyncio.ensure_future(work)
        try:
            await self.wait({task}, seconds)
        except BaseException:
            task.cancel()
            raise
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            if task.cancelled():
                raise asyncio.TimeoutError
        return task.result()

    def _give_up(self, number: int) -> None:
        """A reactor that has failed never says that it is through with a look."""
        waiting = self._looks.pop(number, None)
        if waiting:
            waiting[0]()

    def _tick(self) -> None:
        self.read()
        self._due = self._read_at + INTERVAL
        self._next_tick = self._loop.call_later(INTERVAL, self._tick)
