"""Telling one ctrl-C from two."""

import time

SAME_WITHIN = 0.3
"""Seconds. A terminal sends SIGINT to every process of its group, and a parent that forwards it
sends it once more: that is one ctrl-C."""


class CtrlC:
    """The SIGINTs of one process."""

    def __init__(self) -> None:
        self._last: float | None = None

    def is_second(self) -> bool:
        """Called at each SIGINT: whether it is another ctrl-C than the first."""
        now, last = time.monotonic(), self._last
        self._last = now
        return last is not None and now - last >= SAME_WITHIN
