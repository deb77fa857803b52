"""One connection that is told of agents, and what it has not been told yet."""

from collections.abc import Iterator
from typing import NamedTuple

from dscore._core import AgentRow
from dscore.messages import WatchFilter

WINDOW = 256
"""Messages a watcher is sent before it must have read them: about 50 KB, far below an outbox's
limit."""


class Watcher:
    """A connection that wants to be told of agents."""

    __slots__ = ("behind", "credit", "filter", "moment", "snapshot", "wants_snapshot")

    def __init__(self, filter: WatchFilter) -> None:
        self.filter = filter
        self.credit = WINDOW
        """Messages it may be sent before the core must say that it has read them."""
        self.wants_snapshot = False
        self.snapshot: Iterator[bytes] | None = None
        """What is left of the state it starts from."""
        self.moment = 0
        """Agents that are kept for it."""
        self.behind: dict[str, Change] = {}
        """Agents of which it has something to be told yet, the one that changed last at the end."""

    @property
    def held(self) -> int:
        """Agents of which something is kept for it."""
        return len(self.behind) + (self.moment if self.snapshot is not None else 0)

    @property
    def is_behind(self) -> bool:
        return self.wants_snapshot or self.snapshot is not None or bool(self.behind)


class Change(NamedTuple):
    """What a watcher has not been told of an agent."""

    agent: AgentRow
    was_online: bool | None
    """Whether it was online before its status changed; None: the status has not changed."""
    back_at: int | None = None
    """When it came back within its grace period, on the pool's clock; None: it did not."""
