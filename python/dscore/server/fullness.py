"""Says in the log that a server is full: who is refused cannot tell its operator."""

import asyncio
from collections.abc import Callable

from dscore.log import get_logger

INTERVAL = 1.0
"""Seconds between two looks at the core's figures."""
QUIET = 60
"""Looks with room until the next full one is a line again: a fleet at its limit comes and goes."""

_log = get_logger("dscore.server")


class Fullness:
    """Looks by a timer of its own, from `start` until `close`."""

    def __init__(self, why_full: Callable[[], str | None], loop: asyncio.AbstractEventLoop) -> None:
        self._why_full = why_full
        self._loop = loop
        self._quiet = 0
        """Looks until a full one is told of."""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._timer = self._loop.call_later(INTERVAL, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self.start()
        cause = self._why_full()
        if cause is None:
            self._quiet = max(0, self._quiet - 1)
            return
        if self._quiet == 0:
            _log.warning("server_full", cause=cause)
        self._quiet = QUIET
