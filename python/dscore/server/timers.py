"""What happens with no event: grace periods run out, and now and then the house is swept."""

import asyncio

from dscore.log import get_logger
from dscore.messages import timestamp
from dscore.server.dispatch import Dispatch
from dscore.server.live import Live

SLICE = 512
"""Grace periods that end in one turn of the loop: about 1 ms, where no hook and no watcher is told
of each."""
TICK = 1.0
"""Seconds between two looks at the wall clock."""

_log = get_logger("dscore.liveness")


class Timers:
    """Three timers of the loop, whatever the number of agents."""

    def __init__(self, live: Live, dispatch: Dispatch, loop: asyncio.AbstractEventLoop) -> None:
        self._live = live
        self._dispatch = dispatch
        self._loop = loop
        self._deadline: int | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._is_looking = self._is_closed = False
        self._next_sweep: asyncio.TimerHandle | None = None
        self._next_tick: asyncio.TimerHandle | None = None

    def start(self, now: int) -> None:
        """Begins: the store has been read by now, and the program's app has started."""
        self._next_sweep = self._schedule_sweep()
        self._next_tick = self._schedule_tick()
        self.rearm(now)

    def rearm(self, now: int) -> None:
        """Follows the earliest grace period. Called after each batch; mostly there is nothing to
        do."""
        deadline = self._live.fleet.next_deadline()
        if deadline == self._deadline:
            return
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        self._deadline = deadline
        if deadline is not None:
            self._grace = self._loop.call_later(max(0, deadline - now) / 1000, self._look)

    def close(self) -> None:
        self._is_closed = True
        for timer in (self._next_sweep, self._next_tick, self._grace):
            if timer is not None:
                timer.cancel()

    def _look(self) -> None:
        """An agent that is back may lie unread in its socket."""
        self._grace = None
        if not self._is_looking:
            self._is_looking = True
            self._live.clock.after_look(self._end_graces)

    def _end_graces(self) -> None:
        self._is_looking = False
        if self._is_closed:
            return
        if self._grace is not None:
            self._grace.cancel()
        self._grace = self._deadline = None
        self._live.clock.read()
        now = self._live.pool.now_ms()
        self._dispatch.expire(now, SLICE)
        self._live.store.changed()
        self.rearm(now)

    def _schedule_tick(self) -> asyncio.TimerHandle:
        return self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        live = self._live
        self._next_tick = self._schedule_tick()
        step = live.times.read()
        if step is not None:
            live.counters.clock_steps_total += 1
            seconds = round(step.seconds, 3)
            _log.warning(
                "clock_stepped",
                was=timestamp(step.was),
                now=timestamp(step.now),
                seconds=seconds,
            )
            live.timeline.server("clock", live.pool.now_ms(), seconds=seconds)

    def _schedule_sweep(self) -> asyncio.TimerHandle:
        interval = self._live.config.monitoring.process_check_interval
        return self._loop.call_later(interval, self._sweep)

    def _sweep(self) -> None:
        live = self._live
        # First of all: a fault in a sweep must not be the end of all sweeps.
        self._next_sweep = self._schedule_sweep()
        # Time in which nothing was looked at makes nothing old.
        live.clock.read()
        live.log_limit.settle(live.pool.now_ms())
        live.readings.begin()
        live.fleet.expire_sessions(live.age() - round(live.config.session.ttl * 1000))
        live.store.changed()
        live.count_drops()
        live.drops.sum_up()
        retention_ms = round(live.config.store.retention * 1000)
        live.fleet.forget_absent(live.pool.now_ms() - retention_ms)
        live.store.prune(live.store.clock.now() - retention_ms)
