"""Lines that peers cause: each costs them nothing, and a disk fills up."""

from __future__ import annotations

import asyncio

from dscore.log import Logger


class LineLimit:
    """At most so many lines of one kind within a second; the rest is told of as a number.

    Used on the event loop's thread.
    """

    def __init__(self, log: Logger, lines_a_second: int) -> None:
        self._log = log
        self._most = lines_a_second
        self._written = 0
        self._second: asyncio.TimerHandle | None = None

    def warning(self, event: str, **fields: object) -> bool:
        """Writes a line, or counts it; whether it was written."""
        if self._second is None:
            loop = asyncio.get_running_loop()
            self._second = loop.call_later(1.0, self._over, event)
        self._written += 1
        if self._written > self._most:
            return False
        self._log.warning(event, **fields)
        return True

    def _over(self, event: str) -> None:
        left_out = self._written - self._most
        self._second, self._written = None, 0
        if left_out > 0:
            self._log.warning(f"{event}s_left_out", lines=left_out)
