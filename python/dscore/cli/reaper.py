"""Burying the orphans of a container: where the server is process 1, every process there that loses
its parent becomes its child, and stays in the table as a zombie until it is waited for.

A child that `subprocess` or asyncio has started is theirs: waited for here, its exit code would be
lost. So a zombie is left alone while a `Popen` may still ask for it, and is buried in the second
look that finds it: what libuv has started it has waited for by then.
"""

import asyncio
import gc
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any
from weakref import WeakSet

import psutil

INTERVAL = 1.0
"""Seconds between two looks. One that finds nothing is one system call."""


def is_needed() -> bool:
    return os.getpid() == 1


class Reaper:
    """Looks now and then, as long as the loop turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._seen: set[int] = set()
        self._owners: WeakSet[subprocess.Popen[Any]] = WeakSet()
        # Those there are, and those to come.
        for one in gc.get_objects():
            if issubclass(type(one), subprocess.Popen):
                self._owners.add(one)
        _call_before_init(subprocess.Popen, self._owners.add)
        loop.call_later(INTERVAL, self._look)

    def _look(self) -> None:
        self._loop.call_later(INTERVAL, self._look)
        zombies = _zombies()
        for pid in (zombies & self._seen) - self._owned() if zombies else ():
            # Its owner's own wait may have been faster.
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._seen = zombies

    def _owned(self) -> set[int]:
        """What was not waited for yet; the number of one that was may be another's by now."""
        owners = [one for one in self._owners if getattr(one, "returncode", None) is None]
        return {one.pid for one in owners if hasattr(one, "pid")}


def _zombies() -> set[int]:
    """Children of ours that have ended and were not waited for."""
    try:
        # Looks, and leaves it as it is.
        first = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    if first is None:
        return set()
    zombies = {first.si_pid}
    # The first may be one that is left alone. A /proc of another namespace knows nothing of them.
    with suppress(psutil.Error, OSError):
        if os.readlink("/proc/self") == str(os.getpid()):
            for child in psutil.Process().children():
                with suppress(psutil.Error):
                    if child.status() == psutil.STATUS_ZOMBIE:
                        zombies.add(child.pid)
    return zombies


def _call_before_init(kind: type[Any], call: Callable[[Any], None]) -> None:
    init = kind.__init__

    @wraps(init)
    def noted(self: Any, *args: Any, **options: Any) -> None:
        call(self)
        init(self, *args, **options)

    kind.__init__ = noted
