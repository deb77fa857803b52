"""The store that ends with the process."""

from collections import deque
from collections.abc import Iterable
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING

from dscore.clock import AgeClock
from dscore.store.marks import Marks
from dscore.store.rows import (
    SERVER,
    AuditRow,
    Entry,
    Kept,
    Minute,
    Seen,
    StoredAgent,
    StoreHealth,
)
from dscore.store.timeline import TIMELINE_LENGTH, packed_entry, unpacked_entry

if TYPE_CHECKING:
    from dscore._core import Fleet

OVERHEAD = 64
"""Bytes that an entry takes beside its own."""


AUDIT_LENGTH = 10_000
"""Lines of each kind: some 5 MB."""


class MemoryStore:
    """Keeps timelines; the rest is remembered by the fleet anyway."""

    keeps_agents = False
    damaged_total = 0

    def __init__(self, clock: AgeClock | None = None) -> None:
        self.clock = clock or AgeClock()
        self._timelines: dict[str, bytes | list[bytes]] = {}
        """Packed entries. The one of an agent that came and has been quiet since needs no list. The
        timeline that grew last comes last."""
        self._history_bytes = 0
        self._max_history = 1 << 62
        self._lost_total = 0
        self._last_entry = 0
        self._marks = Marks()
        self._forgotten_to = 0
        self._last_audit = 0
        self._audit: tuple[deque[AuditRow], ...] = (
            deque(maxlen=AUDIT_LENGTH),
            deque(maxlen=AUDIT_LENGTH),
        )
        """What was done, and what was refused: it pushes nothing out of the other."""

    async def start(self, fleet: "Fleet") -> Kept:
        return Kept([], [], [], None)

    async def close(self) -> None:
        pass

    def bound(self, *, history: int) -> None:
        self._max_history = history

    def keep(self, agent: StoredAgent) -> None:
        pass

    def forget(self, agent_ids: Iterable[str]) -> None:
        for agent_id in agent_ids:
            self._forget_timeline(agent_id)

    def seen(self, agents: Iterable[Seen]) -> None:
        pass

    def changed(self, *, urgent: bool = False) -> None:
        pass

    async def written(self) -> None:
        pass

    def append(self, agent_id: str, at: int, kind: str, data: bytes) -> None:
        number = self._last_entry = self._last_entry + 1
        entry = packed_entry(number, at, kind, data)
        self._history_bytes += len(entry) + OVERHEAD
        timeline = self._timelines.pop(agent_id, None)
        if timeline is None:
            self._timelines[agent_id] = entry
        elif isinstance(timeline, bytes):
            # A list: most timelines are short, and the least deque takes 760 bytes.
            self._timelines[agent_id] = [timeline, entry]
        else:
            if len(timeline) >= TIMELINE_LENGTH:
                self._history_bytes -= len(timeline.pop(0)) + OVERHEAD
            timeline.append(entry)
            self._timelines[agent_id] = timeline
        if self._history_bytes > self._max_history:
            self._make_history_room()

    async def timeline(
        self, agent_id: str, *, limit: int, before: int | None = None
    ) -> list[Entry]:
        timeline = self._timelines.get(agent_id, ())
        packed = (timeline,) if isinstance(timeline, bytes) else timeline
        entries = (unpacked_entry(agent_id, entry) for entry in reversed(packed))
        fitting = (
            entry
            for entry in entries
            if entry.number > self._forgotten_to and (before is None or entry.number < before)
        )
        return list(islice(fitting, limit))

    def audit(self, at: int, data: bytes, *, refused: bool) -> None:
        self._last_audit += 1
        line = AuditRow(self._last_audit, at, self.clock.now(), int(refused), data)
        self._audit[line.refused].append(line)

    async def read_audit(self, *, limit: int, before: int | None = None) -> list[AuditRow]:
        both = merge(*map(reversed, self._audit), key=lambda line: line.number, reverse=True)
        fitting = (line for line in both if before is None or line.number < before)
        return list(islice(fitting, limit))

    def prune(self, before: int) -> None:
        # Their bytes are bounded: they need only not be seen any more.
        cut = self._marks.cut(self._last_entry, before, self.clock.now())
        self._forgotten_to = max(cut, self._forgotten_to)
        for lines in self._audit:
            while lines and lines[0].age < before:
                lines.popleft()

    def keep_history(self, minute: Minute, oldest: int) -> None:
        pass

    def health(self) -> StoreHealth:
        return StoreHealth(is_ok=True, lost_total=self._lost_total)

    def _make_history_room(self) -> None:
        """Drops the timelines that have not grown for longest, the server's own excepted."""
        while self._history_bytes > self._max_history and len(self._timelines) > 1:
            agent_id = next(iter(self._timelines))
            if agent_id == SERVER:
                self._timelines[SERVER] = self._timelines.pop(SERVER)
            else:
                self._lost_total += self._forget_timeline(agent_id)

    def _forget_timeline(self, agent_id: str) -> int:
        timeline = self._timelines.pop(agent_id, ())
        entries = (timeline,) if isinstance(timeline, bytes) else timeline
        self._history_bytes -= sum(len(entry) + OVERHEAD for entry in entries)
        return len(entries)
