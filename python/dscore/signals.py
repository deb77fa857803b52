"""Signals belong to the main thread: the threads that work beside it block them.

The kernel gives a signal to any thread that does not block it. Of two that come together, as
SIGUSR1 and the SIGTERM of a service manager do, each may then be taken by another thread, and the
later be heard first: a restart became the end of a fleet's applications.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_FAULTS = frozenset(
    {
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    }
)
"""What a thread's own instruction raises: blocked, it would end the process without a word."""


@contextmanager
def blocked() -> Iterator[None]:
    """Threads that are started within block signals, for a thread begins with its maker's mask."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
