"""By when a shutdown is to be over, and what is cut for it (`shutdown.deadline`). `now` is passed
in, in milliseconds of the pool's clock.

Who stops a server gives it so long and no longer: then comes SIGKILL, and with it no report and a
store without its last changes. So the time goes, from the one that is cut last to the one that is
cut first, to

1. the end: the report, the store's last changes (`MARGIN_MS`);
2. the wait for answers: `timeout`, then what `termination_progress` may add, `max_extension`;
3. `close_timeout`; what requests, hooks and an app's lifespan may take;
4. `notice`, where nothing else is waited for (restart);
5. `spread`.

A deadline stands still for nothing: neither does the supervisor that it is of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dscore.messages import Intent

if TYPE_CHECKING:
    from dscore.config import ShutdownConfig

MARGIN_MS: Final = 1000
"""Kept for the end; of a short deadline half is kept."""
SLACK: Final = 0.5
"""Seconds the core may be late with what it promised, before the drain goes on without it."""

REMEDY: Final = (
    "give the shutdown more time: TimeoutStopSec= of a unit, terminationGracePeriodSeconds of a "
    "pod, --stop-timeout of a container, and the same in shutdown.deadline"
)


class Times(NamedTuple):
    """Seconds that the parts of a drain may take."""

    timeout: float
    max_extension: float
    notice: float
    spread: float
    close_timeout: float


class Deadline:
    """One shutdown's, from its beginning."""

    def __init__(self, now: int, seconds: float | None) -> None:
        """
        Args:
            now: the beginning.
            seconds: what the supervisor gives; None: as much as it takes.
        """
        self._ends_at, self._moment = float("inf"), 0.0
        if seconds is not None:
            margin = min(MARGIN_MS, seconds * 1000 / 2)
            self._ends_at = now + seconds * 1000 - margin
            # Four of them at most: half of the margin is the store's.
            self._moment = margin / 8 / 1000
        self._cut: set[str] = set()

    @property
    def cut(self) -> list[str]:
        """The settings of `shutdown` that it left less time than they ask for."""
        return [name for name in Times._fields if name in self._cut]

    def left(self, now: int) -> float:
        """Seconds until the end must begin."""
        return max(0.0, (self._ends_at - now) / 1000)

    def is_over(self, now: int) -> bool:
        """Nothing may be waited for any more, not even for what is due by now."""
        return now >= self._ends_at + self._moment * 1000

    def last(self, seconds: float, now: int) -> float:
        """As much of these seconds as is left, and a moment at least: for what ends at the end."""
        return min(seconds, max(self.left(now), self._moment))

    def mark(self, *settings: str) -> None:
        """These were cut short."""
        self._cut.update(settings)

    def plan(self, intent: Intent, wanted: Times, now: int) -> Times:
        """What the parts of a drain get of what they want, as long as each takes all of it. What
        comes last, `close_timeout`, has what is left by then."""
        left = self.left(now)
        if intent == "terminate":
            timeout = min(wanted.timeout, left)
            extension = min(wanted.max_extension, left - timeout)
            # Side by side with the wait for answers: nothing is won by cutting it further.
            notice = min(wanted.notice, left)
            return wanted._replace(timeout=timeout, max_extension=extension, notice=notice)
        notice = min(wanted.notice, max(0.0, left - wanted.close_timeout), left)
        spread = min(wanted.spread, max(0.0, left - wanted.close_timeout - notice))
        return wanted._replace(notice=notice, spread=spread)


def wanted(shutdown: ShutdownConfig, timeout: float | None = None) -> Times:
    """What the configuration asks for, with another `timeout` if there is one."""
    return Times(
        shutdown.timeout if timeout is None else timeout,
        shutdown.max_extension,
        shutdown.notice,
        shutdown.spread,
        shutdown.close_timeout,
    )


def short_of(shutdown: ShutdownConfig) -> list[str]:
    """The settings that a drain as configured would find cut, if it took all its time."""
    if shutdown.deadline is None or shutdown.deadline >= needed(shutdown):
        return []
    asked = wanted(shutdown)
    planned = Deadline(0, shutdown.deadline).plan(shutdown.intent, asked, 0)
    cut = [name for name in Times._fields if getattr(planned, name) < getattr(asked, name)]
    return cut or ["close_timeout"]


def needed(shutdown: ShutdownConfig) -> float:
    """Seconds that a shutdown with `shutdown.intent` takes at most, of a server without an app."""
    if shutdown.intent == "terminate":
        waiting = max(shutdown.timeout + shutdown.max_extension, shutdown.notice)
    else:
        waiting = shutdown.notice + shutdown.spread
    # Watchers have `close_timeout` to read the last news, all others to close.
    return waiting + 2 * shutdown.close_timeout + SLACK + MARGIN_MS / 1000
