"""Lines of the audit in memory: until they are written, and without a store for as long as they
fit."""

from collections import deque
from heapq import merge
from itertools import islice

from dscore.store.rows import AuditRow

LENGTH = 10_000
"""Lines of each kind."""


class AuditLines:
    """What was done, and what was refused: it pushes nothing out of the other."""

    def __init__(self) -> None:
        self.last_number = 0
        self._kinds: tuple[deque[AuditRow], ...] = (deque(maxlen=LENGTH), deque(maxlen=LENGTH))

    def add(self, at: int, age: int, data: bytes, *, refused: bool) -> None:
        self.last_number += 1
        line = AuditRow(self.last_number, at, age, int(refused), data)
        self._kinds[line.refused].append(line)

    def newest(self, limit: int, before: int | None) -> list[AuditRow]:
        """Newest first."""
        both = merge(*map(reversed, self._kinds), key=lambda line: line.number, reverse=True)
        fitting = (line for line in both if before is None or line.number < before)
        return list(islice(fitting, limit))

    def all(self) -> tuple[AuditRow, ...]:
        """Oldest first."""
        return tuple(merge(*self._kinds, key=lambda line: line.number))

    def drop_older(self, before: int) -> None:
        """Forgets those of before a time of the age clock."""
        for lines in self._kinds:
            while lines and lines[0].age < before:
                lines.popleft()

    def drop_to(self, number: int) -> None:
        """Forgets those up to this number: they are written."""
        for lines in self._kinds:
            while lines and lines[0].number <= number:
                lines.popleft()

    def __len__(self) -> int:
        return sum(map(len, self._kinds))
