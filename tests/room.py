"""One room for all workers of pytest-xdist: many tests at once, or one that is alone.

A test marked `alone` asserts how long something takes, takes all that the machine has, or takes a
port again that it gave back. While it runs, no other worker runs anything. It waits until the room
is empty, and keeps none out meanwhile: such tests come last (tests/conftest.py), and emptying the
room for each of them in turn would leave the processors idle for a third of a run. The lock is the
kernel's: a worker that dies gives it back.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Room:
    """The lock is on a file of this directory, which all workers have in common."""

    def __init__(self, directory: Path) -> None:
        self._lock = (directory / "room").open("w")

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Waits for its turn, and stays inside."""
        fcntl.flock(self._lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def close(self) -> None:
        self._lock.close()
