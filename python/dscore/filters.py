"""Which agents are meant: the same everywhere that some of them are chosen."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from dscore.messages import Dialect, ReasonCode, Status
from dscore.states import State


class Filter(NamedTuple):
    """What an agent must be like; None and nothing fit any."""

    status: Status | None = None
    states: Sequence[State] = ()
    """Any of these."""
    reason: ReasonCode | None = None
    """The reason_code."""
    dialect: Dialect | None = None
    labels: Sequence[tuple[str, str | None]] = ()
    """Each with its value, or with None where any value fits; all must."""
    text: str | None = None
    """Part of the id or of the address, in any case."""


ANY: Final = Filter()
