"""When agents were last heard of: the core knows, and is asked.

Heartbeats are no events: a fleet's would be all that Python does. They are read for all agents in
one go now and then, for a drain and for a close; of those that the operator API shows, whenever it
shows them: what that costs does not grow with the fleet.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dscore._core import Fleet, LastSeen, ReactorPool

PATIENCE = 1.0
"""Seconds that the reactors may take: after that, what is known has to do."""


class _Reading:
    """One that is on its way."""

    __slots__ = ("began_at", "done", "missing", "to_store")

    def __init__(
        self, done: "asyncio.Future[None]", missing: int, began_at: float, *, to_store: bool
    ) -> None:
        self.done = done
        self.missing = missing
        """Answers that have not come yet."""
        self.began_at = began_at
        self.to_store = to_store


class Readings:
    """Of the whole fleet one at a time: calls during it share the next one. Those of some agents go
    beside it."""

    def __init__(
        self,
        pool: "ReactorPool",
        fleet: "Fleet",
        reactors: int,
    ) -> None:
        """
        Args:
            reactors: how many answer.
        """
        self._pool = pool
        self._fleet = fleet
        self._reactors = reactors
        self._last_number = 0
        self._open: dict[int, _Reading] = {}
        """By number: those that are waited for."""
        self._whole: int | None = None
        """The number of the one of the whole fleet."""
        self._next: asyncio.Future[None] | None = None
        self._next_to_store = False

    async def take(self, *, to_store: bool = False) -> None:
        """Reads all now; when it returns, every record has its last heartbeat.

        Args:
            to_store: what was read is kept.
        """
        mine = self._ask(to_store=to_store)
        # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the answer.
        await asyncio.wait({mine}, timeout=PATIENCE)

    async def take_some(self, conns: Sequence[int]) -> None:
        """Reads these connections now; nothing of it is kept."""
        if not conns:
            return
        done = asyncio.get_running_loop().create_future()
        number = self._begin(done, conns, to_store=False)
        try:
            await asyncio.wait({done}, timeout=PATIENCE)
        finally:
            self._open.pop(number, None)

    def begin(self) -> None:
        """Begins a reading for the store, and waits for nothing. Called now and then."""
        self._ask(to_store=True)

    def answered(self, event: "LastSeen") -> None:
        """One reactor's answer."""
        self._take(event, 0)

    def _take(self, event: "LastSeen", at: int) -> None:
        """A large fleet's in steps, each in a turn of the loop of its own."""
        reading = self._open.get(event.number)
        # What is not waited for any more is news all the same.
        is_kept = reading is None or reading.to_store
        following = self._fleet.hear_some(event, at, is_kept=is_kept)
        if following is not None:
            asyncio.get_running_loop().call_soon(self._take, event, following)
            return
        if reading is None:
            return
        reading.missing -= 1
        if reading.missing <= 0:
            self._end(event.number)

    def _ask(self, *, to_store: bool) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        mine = self._next = self._next or loop.create_future()
        self._next_to_store |= to_store
        now = loop.time()
        if self._whole is None:
            self._begin_next()
        elif now - self._open[self._whole].began_at > PATIENCE:
            self._end(self._whole)
        return mine

    def _begin_next(self) -> None:
        """A reading of the whole fleet begins, if one is waited for."""
        self._whole = None
        if self._next is not None:
            done, to_store = self._next, self._next_to_store
            self._next, self._next_to_store = None, False
            self._whole = self._begin(done, None, to_store=to_store)

    def _begin(
        self, done: "asyncio.Future[None]", conns: Sequence[int] | None, *, to_store: bool
    ) -> int:
        self._last_number += 1
        began_at = asyncio.get_running_loop().time()
        self._open[self._last_number] = _Reading(done, self._reactors, began_at, to_store=to_store)
        self._pool.read_last_seen(self._last_number, conns)
        return self._last_number

    def _end(self, number: int) -> None:
        done = self._open.pop(number).done
        if not done.done():
            done.set_result(None)
        if number == self._whole:
            self._begin_next()
