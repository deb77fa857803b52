"""One room for all workers of pytest-xdist: many tests at once, two that are timed, or one that is
alone.

A test marked `timed` asserts an upper bound of a time: at most one runs beside it, timed as well.
One marked `alone` takes all that the machine has. Either waits until the room is empty of others,
and keeps none out meanwhile: such tests come last (tests/conftest.py), and emptying the room for
each of them in turn would leave the processors idle for a third of a run. The locks are the
kernel's: a worker that dies gives them back.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import IntEnum
from pathlib import Path


class Company(IntEnum):
    """What may run beside a test; they come in this order."""

    ANY = 0
    TIMED = 1
    NONE = 2


class Room:
    """Its locks are on files of this directory, which all workers have in common."""

    def __init__(self, directory: Path) -> None:
        self._halves = [(directory / name).open("w") for name in ("first", "second")]
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        self._own = self._halves[worker % 2]

    @contextmanager
    def entered(self, company: Company) -> Iterator[None]:
        """Waits for its turn, and stays inside."""
        halves = [self._own] if company == Company.TIMED else self._halves
        with ExitStack() as leaving:
            # Always in this order: of two that want both, one holds nothing while it waits.
            for half in halves:
                fcntl.flock(half, fcntl.LOCK_SH if company == Company.ANY else fcntl.LOCK_EX)
                leaving.callback(fcntl.flock, half, fcntl.LOCK_UN)
            yield

    def close(self) -> None:
        for half in self._halves:
            half.close()
