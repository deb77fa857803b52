"""Takes the samples of the fleet's history: one timer, whatever the number of agents."""

import asyncio

from dscore.history import INTERVAL, LONG_SPAN, Counter, Rings
from dscore.server.live import Live
from dscore.store import Minute


class Sampler:
    """Fills `rings`, and has the store keep each minute that is over."""

    def __init__(self, live: Live, loop: asyncio.AbstractEventLoop) -> None:
        self.rings = Rings()
        self._live = live
        self._loop = loop
        self._counter = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, kept: "tuple[Minute, ...]") -> None:
        """Goes on where an earlier process has ended."""
        self.rings.restore(kept, round(self._live.times.now() * 1000))
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
        live = self._live
        sample = self._counter.sample(
            round(live.times.now() * 1000),
            dict(live.fleet.states()),
            sum(count for _, count in live.fleet.dialects()),
            sum(count for _, count in live.fleet.disconnects()),
        )
        self._keep(self.rings.add(sample))

    def _keep(self, minute: Minute | None) -> None:
        if minute is not None:
            self._live.store.keep_history(minute, minute.number - LONG_SPAN // 60)
