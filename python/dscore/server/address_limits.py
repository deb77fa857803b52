"""Addresses that have as much as one may have: the core counts refusals, here are the lines."""

from typing import TYPE_CHECKING

from dscore.log import get_logger
from dscore.log.limit import LineLimit

if TYPE_CHECKING:
    from dscore._core import AddressRefused

LINES_A_SECOND = 20


class AddressLimits:
    """Writes of each refusal that the core tells of."""

    def __init__(self) -> None:
        self._limit = LineLimit(get_logger("dscore.admission"), LINES_A_SECOND)

    def refused(self, event: "AddressRefused", now: int) -> None:
        """One address has reached one limit."""
        self._limit.warning("address_limited", ip=event.address, limit=f"limits.{event.limit}")
