"""One room for all workers of pytest-xdist: many tests at once, or one that is alone.

A test marked `alone` asserts how long something takes, takes all that the machine has, or takes a
port again that it gave back. While it runs, no other worker runs anything. The locks are the
kernel's: a worker that dies gives them back.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Room:
    """The locks are on two files of this directory, which all workers have in common."""

    def __init__(self, directory: Path) -> None:
        self._door = (directory / "door").open("w")
        self._room = (directory / "room").open("w")

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        """Waits for its turn, and stays inside."""
        # Who waits to be alone holds the door: the others leave, and none comes in meanwhile.
        with _locked(self._door, fcntl.LOCK_EX):
            fcntl.flock(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            yield
        finally:
            fcntl.flock(self._room, fcntl.LOCK_UN)

    def close(self) -> None:
        self._door.close()
        self._room.close()


@contextmanager
def _locked(file: IO[str], kind: int) -> Iterator[None]:
    fcntl.flock(file, kind)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
