"""The times in which the server did not look: logged and counted, whichever thread noticed them.

A process that was stopped finds out in each of its threads. It is one gap all the same: what
overlaps is counted once.
"""

from typing import TYPE_CHECKING

from dscore.log import get_logger

if TYPE_CHECKING:
    from dscore._core import Gap

_log = get_logger("dscore.server")


class Gaps:
    """Counts them."""

    def __init__(self) -> None:
        self.total = 0
        self.ms_total = 0
        self._until_ms = 0
        """When the last one that was counted ended, on the pool's clock."""

    def noticed(self, event: "Gap", now: int) -> None:
        """A reactor did not look."""
        began, ended = event.began_ms, event.began_ms + event.length_ms
        self.count(began, ended, f"reactor-{event.reactor}")

    def count(self, began: int, ended: int, thread: str) -> None:
        """One of our threads did not look for so long, on the pool's clock in ms."""
        if ended <= self._until_ms:
            return
        if began >= self._until_ms:
            self.total += 1
            seconds = round((ended - began) / 1000, 3)
            _log.warning("gap", seconds=seconds, thread=thread)
        self.ms_total += ended - max(began, self._until_ms)
        self._until_ms = ended
