"""The loop: what happened in the reactors, an event at a time, into the fleet or to what decides.

A turn takes events, lets the urgent go first, and deals for a while with the rest in their order:
the fleet applies what needs no decision, what it has noted of that is written down and told, and
what is to be decided goes to its part. Then the earliest grace period is looked after.

A drain of 18,000 agents brings tens of thousands of events at once, and a health check comes in
behind them. It must not wait for them all: requests of the pages overtake, for they have
connections of their own. What agents do stays in order.
"""

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING

from dscore._core import Inbox
from dscore.core import Attachment

if TYPE_CHECKING:
    from dscore.server.dispatch import Dispatch
    from dscore.server.live import Live
    from dscore.server.timers import Timers

LOOKAHEAD = 8192
"""Events taken in one turn of the loop, at well under 1 µs each."""
TURN_NS = 2_000_000
"""How long one turn of the loop deals with events, and a page that is asked for meanwhile waits."""
SLICE = 512
"""Events after which a turn looks at the clock: a quarter of it where the fleet applies them. Where
one is to be decided it looks after each."""
HIGH_WATER = 32_768
"""Events that may wait here, if they do not hold too many bytes. From there on they stay in the
core, which stops reading from its sockets when its own queue is full."""


class Loop:
    """Takes what it can, and deals with it in slices."""

    def __init__(
        self,
        live: "Live",
        dispatch: "Dispatch",
        timers: "Timers",
        urgent: tuple[type, ...],
    ) -> None:
        """Begins to take events.

        Args:
            urgent: types of events that overtake all others.
        """
        self._live = live
        self._dispatch = dispatch
        self._timers = timers
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(live.pool, list(urgent))
        # As much as may be ahead of it in the core; one batch more at most.
        self._max_bytes = live.config.limits.input_bytes // 4
        self._next_turn: asyncio.Handle | None = None
        self._attachment = Attachment(live.pool, self._loop, self._take)

    def close(self) -> None:
        """No event is dealt with after this."""
        self._attachment.detach()
        self._inbox.clear()
        if self._next_turn is not None:
            self._next_turn.cancel()

    def __len__(self) -> int:
        return len(self._inbox)

    def _take(self) -> bool:
        """Takes what there is; whether there was anything."""
        taken, urgent = self._inbox.take(LOOKAHEAD)
        if urgent:
            self._live.clock.read()
            now = self._live.pool.now_ms()
            for event in urgent:
                self._dispatch.handle(event, now)
        if self._is_full():
            self._attachment.pause()
        if self._inbox and self._next_turn is None:
            self._turn()
        return taken > 0

    def _turn(self) -> None:
        live, inbox, dispatch = self._live, self._inbox, self._dispatch
        self._next_turn = None
        # Before anything begins to wait: what was not looked at until now must not count for it.
        live.clock.read()
        now = live.pool.now_ms()
        dispatch.want()
        until = monotonic_ns() + TURN_NS
        while inbox:
            taken, event = live.fleet.step(inbox, SLICE, now)
            if taken > (event is not None):
                dispatch.notes.write_down(now)
            if event is not None:
                dispatch.handle(event, now)
            if monotonic_ns() >= until:
                break
        live.store.changed()
        self._timers.rearm(now)
        if inbox:
            self._next_turn = self._loop.call_soon(self._turn)
        if not self._is_full():
            self._attachment.resume()

    def _is_full(self) -> bool:
        return len(self._inbox) >= HIGH_WATER or self._inbox.bytes >= self._max_bytes
