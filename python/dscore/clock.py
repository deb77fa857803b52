"""The clocks of a server, all asked in this one place (PROTOCOL.md §5.9).

An *age* is a difference of readings of the monotonic clock, whatever happens to the wall clock.
What outlives the process keeps its ages on an `AgeClock`, which goes on in the next process where
it stood: time in which no server ran counts for no age. The wall clock is for people. A `WallClock`
makes its times of the pool's, and notices when it was set.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

STEP = 1.0
"""Seconds from which on a change of the wall clock is a step: NTP slews by less than a millisecond
in each second."""
JITTER = 5
"""Milliseconds that two readings may differ by and mean the same: what happened once is shown at
one time."""
DOUBT = 0.1
"""Seconds that reading two clocks may take, for them to be of one moment."""

Seconds = Callable[[], float]


def wall() -> float:
    """Unix seconds."""
    return time.time()


def elapsed() -> float:
    """Seconds that the machine has been up, asleep or not, as a wall clock that is left alone."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class AgeClock:
    """Milliseconds that count as ages. What it stands at means nothing, only differences do."""

    def __init__(self, monotonic: Seconds = elapsed, began: Seconds = wall) -> None:
        """It begins at the wall clock's time, as earlier versions have kept theirs."""
        self._monotonic = monotonic
        self._offset = began() - monotonic()

    def resume(self, stood_at: int) -> None:
        """Goes on where it stood in an earlier process."""
        self._offset = stood_at / 1000 - self._monotonic()

    def skip(self, seconds: float) -> None:
        """Takes back time in which the server did not look: it counts for no age."""
        self._offset -= seconds

    def now(self) -> int:
        return round((self._monotonic() + self._offset) * 1000)


class Step(NamedTuple):
    """The wall clock was set."""

    was: float
    """Unix seconds that it would show."""
    now: float
    """Those that it shows."""

    @property
    def seconds(self) -> float:
        return self.now - self.was


class WallClock:
    """Times of the pool's clock, for people."""

    def __init__(
        self, pool_ms: Callable[[], int], wall: Seconds = wall, elapsed: Seconds = elapsed
    ) -> None:
        self._pool_ms = pool_ms
        self._wall = wall
        self._elapsed = elapsed
        self._boot_ms = pool_ms()
        self._offset_ms = round(wall() * 1000) - self._boot_ms
        self._kept_offset_ms = self._offset_ms
        self._ahead = wall() - elapsed()

    def read(self) -> Step | None:
        """Follows the wall clock; called now and then.

        Returns:
            What it was set by, if it was.
        """
        began = self._elapsed()
        now = self._wall()
        pool_ms = self._pool_ms()
        # Held up in between, one cannot tell whether it was set: the next reading can.
        if self._elapsed() - began > DOUBT:
            return None
        offset_ms = round(now * 1000) - pool_ms
        if abs(offset_ms - self._offset_ms) > JITTER:
            self._offset_ms = offset_ms
        was, self._ahead = self._ahead + began, now - began
        return Step(was, now) if abs(now - was) >= STEP else None

    def restore(self, alive_at: int | None) -> None:
        """Takes up the times of an earlier process: `kept_ms` makes them the pool's.

        A clock that shows less than when that process was alive is wrong, so then it is now: no
        time that was kept lies ahead.

        Args:
            alive_at: when that was, in Unix milliseconds.
        """
        self._boot_ms = self._pool_ms()
        now_ms = max(round(self._wall() * 1000), alive_at or 0)
        self._kept_offset_ms = now_ms - self._boot_ms

    def kept_ms(self, unix_ms: int) -> int:
        """A time that an earlier process has kept, on the pool's clock; mostly negative, and never
        later than the boot."""
        return min(unix_ms - self._kept_offset_ms, self._boot_ms)

    def now(self) -> float:
        """Unix seconds."""
        return self._wall()

    def offsets(self) -> tuple[int, int, int]:
        """When this process began, on the pool's clock; what `unix_ms` adds to times before that,
        and to all others."""
        return self._boot_ms, self._kept_offset_ms, self._offset_ms

    def unix_ms(self, pool_ms: int) -> int:
        """A time of the pool's clock in Unix milliseconds."""
        # What was before the boot is shown as it was kept, however wrong the clock was at the boot.
        return pool_ms + (self._kept_offset_ms if pool_ms < self._boot_ms else self._offset_ms)
