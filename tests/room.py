"""One room for all workers of pytest-xdist: many tests at once, then four that are timed, then one
that is alone.

A test marked `timed` asserts an upper bound of a time: it waits more than it works, and so does
what runs beside it. One marked `alone` takes all that the machine has. Either waits until the room
is empty of others, and keeps none out meanwhile: such tests come last (tests/conftest.py), and
emptying the room for each of them in turn would leave the processors idle for a third of a run. The
locks are the kernel's: a worker that dies gives them back.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import IntEnum
from pathlib import Path

TIMED_AT_ONCE = 4


class Company(IntEnum):
    """What may run beside a test; they come in this order."""

    ANY = 0
    TIMED = 1
    NONE = 2


class Room:
    """Its locks are on files of this directory, which all workers have in common: one for each test
    that is timed."""

    def __init__(self, directory: Path) -> None:
        self._places = [(directory / str(number)).open("w") for number in range(TIMED_AT_ONCE)]
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        self._own = self._places[worker % TIMED_AT_ONCE]

    @contextmanager
    def entered(self, company: Company) -> Iterator[None]:
        """Waits for its turn, and stays inside."""
        places = [self._own] if company == Company.TIMED else self._places
        with ExitStack() as leaving:
            # Always in this order: of two that want all, one holds nothing while it waits.
            for place in places:
                fcntl.flock(place, fcntl.LOCK_SH if company == Company.ANY else fcntl.LOCK_EX)
                leaving.callback(fcntl.flock, place, fcntl.LOCK_UN)
            yield

    def close(self) -> None:
        for place in self._places:
            place.close()
