"""Which processors a round runs on: the server alone on one, its fleet on another.

Unpinned, the threads of a server spread over all processors and share them with the fleet: what its
second thread does beside the first then costs nothing that a clock on the wall shows.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Cores(NamedTuple):
    """Numbers of processors, as the kernel counts them."""

    server: int
    fleet: int

    def __str__(self) -> str:
        shared = ", threads of one core" if self.fleet in _siblings(self.server) else ""
        return f"server on processor {self.server}, fleet on {self.fleet}{shared}"


def pick() -> Cores | None:
    """Two of the processors that this process may use, of two cores where there are two.

    Returns:
        None if there is only one: a server beside its fleet is no pinned server.
    """
    allowed = sorted(os.sched_getaffinity(0))
    # The kernel likes the first one for interrupts; the server gets the last.
    server = allowed.pop()
    if not allowed:
        return None
    others = [core for core in allowed if core not in _siblings(server)]
    return Cores(server, (others or allowed)[-1])


@contextmanager
def on(core: int | None) -> Iterator[None]:
    """What is started meanwhile runs on this processor, with all its threads; None: anywhere."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _siblings(core: int) -> set[int]:
    """Threads of the same core, itself included: `0-1` or `0,4` in sysfs."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    if not path.exists():
        return {core}
    ranges = [part.partition("-") for part in path.read_text().strip().split(",")]
    return {n for low, _, high in ranges for n in range(int(low), int(high or low) + 1)}
