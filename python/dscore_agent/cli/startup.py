"""The first thing that happens in the program, before anything large is imported: the imports take
a good part of a second, and a signal that comes in it must not kill, nor be lost (as it is for
process 1, which the kernel spares every signal that has no handler).

While there is no connection there is nothing to end gracefully: what means the end of the agent
means the exit, with 0. The loop replaces these handlers one by one, without a moment between.
"""

# What `signal` is made of: that wants enums, which take as long as all that runs before this.
import _signal as signal  # type: ignore[import-not-found]
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


def begin() -> None:
    """Takes signals from here on, and sees to it that there are three streams."""
    _fill_streams()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    # There is no state yet that it could have written.
    signal.signal(signal.SIGUSR1, _ignore)


def _fill_streams() -> None:
    """Without one of the three, the next file that is opened has its number: the log would be
    written into a recording."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        # Python makes it one that a program started from here does not have.
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    # Python has None for one that was closed when it began.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()


def _nowhere() -> "TextIO":
    return open(os.devnull, "w", errors="backslashreplace")


def _leave(number: int, frame: object) -> None:
    # Not SystemExit: an import may catch that.
    os._exit(0)


def _ignore(number: int, frame: object) -> None:
    pass
