"""Takes the samples of the fleet's history: one timer, whatever the number of agents."""

import asyncio

from dscore.history import INTERVAL, LONG_SPAN, Counter, Rings
from dscore.server.context import Context
from dscore.store import Minute


class Sampler:
    """Fills `rings`, and has the store keep each minute that is over."""

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self.rings = Rings()
        self._context = context
        self._loop = loop
        self._counter = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, kept: "tuple[Minute, ...]") -> None:
        """Goes on where an earlier process has ended."""
        self.rings.restore(kept, round(self._context.times.now() * 1000))
        self._sample()

    def close(self) -> None:
        """Has the minute that is not over kept too. The store is closed later."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._keep(self.rings.close_minute())

    def _sample(self) -> None:
        # First of all: a fault must not be the end of all samples.
        self._timer = self._loop.call_later(INTERVAL, self._sample)
        context = self._context
        sample = self._counter.sample(
            round(context.times.now() * 1000),
            dict(context.fleet.states()),
            sum(count for _, count in context.fleet.dialects()),
            sum(count for _, count in context.fleet.disconnects()),
        )
        self._keep(self.rings.add(sample))

    def _keep(self, minute: Minute | None) -> None:
        if minute is not None:
            self._context.store.keep_history(minute, minute.number - LONG_SPAN // 60)
