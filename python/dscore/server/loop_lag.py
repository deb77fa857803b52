"""How late the Python loop is: what a decision has to wait for, whatever holds the loop up."""

import asyncio
from bisect import bisect_left
from itertools import accumulate

INTERVAL = 1.0
"""Seconds between two measurements."""
BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Seconds: what is due in a millisecond on an idle loop is noticed, and so is a hook that takes
seconds."""


class LoopLag:
    """Measures by being late itself, until `close`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due = loop.time() + INTERVAL
        self._next = loop.call_at(self._due, self._measure)
        self._counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0
        """Seconds late, all measurements together."""
        self.last = 0.0

    def close(self) -> None:
        self._next.cancel()

    def buckets(self) -> list[tuple[float, int]]:
        """Bound in seconds -> measurements that were at most so late, the infinite one last."""
        return list(zip((*BOUNDS, float("inf")), accumulate(self._counts), strict=True))

    def _measure(self) -> None:
        now = self._loop.time()
        self.last = max(0.0, now - self._due)
        self.sum += self.last
        self._counts[bisect_left(BOUNDS, self.last)] += 1
        # From now on, and not from when it was due: a loop that was held up for a minute owes one
        # measurement, not sixty.
        self._due = now + INTERVAL
        self._next = self._loop.call_at(self._due, self._measure)
