"""How old timelines are, without a time for each entry: numbers grow, and now and then the one of
the moment is marked with its age clock.

What an entry says of its own time is the wall clock's, for people: it tells no age.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeAlias

PARTS = 64
"""Marks in the time that entries are kept for: they may be kept longer by such a part of it."""

Mark: TypeAlias = tuple[int, int]
"""The number of the last entry; the age clock's milliseconds then."""


class Marks:
    """Marks, oldest first: at most about `PARTS`."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._marks = deque(sorted(marks))

    def cut(self, last_entry: int, before: int, now: int) -> int:
        """Marks the moment if it is time, and finds what is too old.

        Args:
            last_entry: the number of the newest entry.
            before: what is older than this goes, on the age clock.
            now: the same clock.

        Returns:
            The number of the last entry that is too old; 0: none is.
        """
        cut = 0
        while self._marks and self._marks[0][1] < before:
            cut, _ = self._marks.popleft()
        newest = self._marks[-1] if self._marks else None
        if newest is None or (newest[0] < last_entry and now - newest[1] >= (now - before) / PARTS):
            self._marks.append((last_entry, now))
        return cut

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._marks)
