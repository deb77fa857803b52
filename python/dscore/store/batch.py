"""What has changed since the last write: the last word on each thing, however often it changed."""

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from dscore.store.marks import Mark
from dscore.store.news import News
from dscore.store.rows import AuditRow, Minute, StoredAgent

if TYPE_CHECKING:
    from dscore._core import Changes

MAX_ENTRIES = 100_000
"""Timeline entries that wait for a disk that takes none, about 30 MB: more than a fleet of 18,000
leaves behind when it is lost and comes back. The rest of a batch is bounded by the fleet."""

EntryRow = tuple[int, str, int, str, bytes]
"""The fields of an `Entry`: most are written and never read, so none is made before."""


MAX_AUDIT = 10_000
"""Lines of the audit that wait for a disk that takes none."""


class Pruning(NamedTuple):
    """What timelines are to be cut back to."""

    to: int
    """Entries up to this number are too old."""
    max_bytes: int
    """Of all timelines together."""
    marks: tuple[Mark, ...]
    before: int
    """What else is older than this, in milliseconds of the age clock, is too old."""


class Batch:
    """Changes that are written together, or not at all. None for a value deletes what there is."""

    __slots__ = (
        "agents",
        "audit",
        "changes",
        "entries",
        "forgotten",
        "history",
        "history_from",
        "lost",
        "pruning",
        "seen",
    )

    def __init__(self) -> None:
        self.agents: dict[str, StoredAgent | None] = {}
        self.changes: Changes | None = None
        """What the fleet says itself, asked just before it is written."""
        self.seen = News()
        """Apart from the agents: the last word on one may have no news of this. Several of one
        agent are written in their order, and the last one counts."""
        self.entries: deque[EntryRow] = deque(maxlen=MAX_ENTRIES)
        self.audit: deque[AuditRow] = deque(maxlen=MAX_AUDIT)
        self.forgotten: dict[str, int] = {}
        """Agents whose timeline ends with the entry of this number."""
        self.pruning: Pruning | None = None
        self.history: dict[int, bytes] = {}
        """Minutes of the fleet's history."""
        self.history_from = 0
        """What is older is dropped."""
        self.lost = 0
        """Entries that gave way to newer ones."""

    def append(self, entry: EntryRow) -> None:
        if len(self.entries) == MAX_ENTRIES:
            self.lost += 1
        self.entries.append(entry)

    def forget(self, agent_id: str, last_entry: int) -> None:
        self.agents[agent_id] = None
        self.seen.forget(agent_id)
        self.forgotten[agent_id] = last_entry

    def keep_history(self, minute: Minute, oldest: int) -> None:
        self.history[minute.number] = minute.samples
        self.history_from = oldest
        # While a disk takes none: no more than the file would hold.
        for number in [each for each in self.history if each < oldest]:
            del self.history[number]

    def absorb(self, newer: "Batch") -> None:
        """Adds what has changed after this batch was cut off."""
        self.agents.update(newer.agents)
        self.seen.absorb(newer.seen)
        self.lost += newer.lost
        for entry in newer.entries:
            self.append(entry)
        self.audit.extend(newer.audit)
        self.forgotten.update(newer.forgotten)
        if newer.pruning is not None:
            self.pruning = newer.pruning
        for number, samples in newer.history.items():
            self.keep_history(Minute(number, samples), newer.history_from)

    def __len__(self) -> int:
        rows = len(self.agents) + len(self.seen) + len(self.entries) + len(self.history)
        return rows + len(self.audit) + (self.pruning is not None)
