"""A timer that says how late it was: silence counts only while this process looked.

A process that was stopped (SIGSTOP, a paused container, a snapshot) finds all its timers due at
once, and they run before the sockets are read: what was taken for silence lies in them unread.
What a timer would write first may find the connection reset: all that was unread would be lost.
"""

import asyncio
from collections.abc import Callable

GAP_SECONDS = 1.0
"""From here on lateness is a gap; less is a busy machine."""

TURN_SECONDS = 0.01
"""A timer set for later than now lets the loop look at its sockets first."""


class Alarm:
    """One timer, armed again and again. The callback gets the seconds of the gap, or 0."""

    def __init__(self, callback: Callable[[float], None]) -> None:
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def arm(self, seconds: float) -> None:
        """Fires after so long, and not at the time that was set before."""
        self.cancel()
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self._timer = loop.call_later(seconds, self._fire)

    def cancel(self) -> None:
        """Fires no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        loop = asyncio.get_running_loop()
        late = loop.time() - self._due
        if late < GAP_SECONDS:
            self._ring(0.0)
        else:
            self._timer = loop.call_later(TURN_SECONDS, self._ring, late)

    def _ring(self, gap: float) -> None:
        self._timer = None
        self._callback(gap)
