"""Events that were taken from the core and wait for their turn.

A drain of 18,000 agents brings tens of thousands of events at once, and a health check comes in
behind them. It must not wait for them all: requests of the pages overtake, for they have
connections of their own. What agents do stays in order.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from dscore.core import attach

if TYPE_CHECKING:
    from dscore._core import Event, ReactorPool

LOOKAHEAD = 8192
"""Events taken in one turn of the loop, at well under 1 µs each."""
SLICE = 512
"""Events dealt with in one turn of the loop: about 5 ms."""
HIGH_WATER = 32_768
"""Events that may wait here, if they do not hold too many bytes. From there on they stay in the
core, which stops reading from its sockets when its own queue is full."""


class Backlog:
    """Takes what it can, lets the urgent go first, and deals with the rest in slices."""

    def __init__(
        self,
        pool: "ReactorPool",
        loop: asyncio.AbstractEventLoop,
        deal_with: "Callable[[list[Event]], None]",
        urgent: frozenset[type],
        *,
        max_bytes: int,
    ) -> None:
        """Begins to take events.

        Args:
            deal_with: must not raise.
            urgent: types of events that overtake all others.
            max_bytes: of what peers said that may wait here; one batch more at most.
        """
        self._pool = pool
        self._loop = loop
        self._deal_with = deal_with
        self._urgent = urgent
        self._max_bytes = max_bytes
        self._waiting: deque[Event] = deque()
        self._bytes = 0  # taken since nothing waited
        self._next_slice: asyncio.Handle | None = None
        self._attachment = attach(pool, loop, self._taken, limit=LOOKAHEAD)

    def close(self) -> None:
        """No event is dealt with after this."""
        self._attachment.detach()
        self._waiting.clear()
        if self._next_slice is not None:
            self._next_slice.cancel()

    def __len__(self) -> int:
        return len(self._waiting)

    def _taken(self, events: "list[Event]") -> None:
        if not self._urgent.isdisjoint(map(type, events)):
            self._deal_with([event for event in events if type(event) in self._urgent])
            events = [event for event in events if type(event) not in self._urgent]
        if self._next_slice is None and len(events) <= SLICE:
            # None waits before them: this is their turn.
            self._deal_with(events)
            return
        self._waiting.extend(events)
        self._bytes += self._pool.taken_bytes()
        if self._is_full():
            self._attachment.pause()
        if self._next_slice is None:
            self._deal_with_slice()

    def _deal_with_slice(self) -> None:
        self._next_slice = None
        waiting = self._waiting
        self._deal_with([waiting.popleft() for _ in range(min(SLICE, len(waiting)))])
        if waiting:
            self._next_slice = self._loop.call_soon(self._deal_with_slice)
        else:
            self._bytes = 0
        if not self._is_full():
            self._attachment.resume()

    def _is_full(self) -> bool:
        return len(self._waiting) >= HIGH_WATER or self._bytes >= self._max_bytes
