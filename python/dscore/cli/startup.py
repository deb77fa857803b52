"""The first thing that happens in the program, before anything large is imported: the imports take
most of a second, and a signal that comes in it must not kill, nor be lost (as it is for process 1,
which the kernel spares every signal that has no handler).

While nothing serves there is nothing to end gracefully: what means the end of a server means the
exit, with 0. A loop that takes signals over replaces these handlers one by one, without a moment
between the two.
"""

# What `signal` is made of: that wants enums, which take as long as all that runs before this.
import _signal as signal  # type: ignore[import-not-found]
import gc
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ENDS = {
    "serve": (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1),
    "agent": (signal.SIGTERM, signal.SIGINT),
}
"""What ends a command that lives on; others die of a signal as every program does."""
_WAITS = {"serve": (signal.SIGHUP,), "agent": (signal.SIGUSR1,)}
"""What it does something else with once it runs."""

GC_THRESHOLD = 20_000
"""Objects that have come, less those that went, before the young ones are searched for garbage. The
imports are a hundred thousand objects that stay, and so is a fleet that connects; Python's own 700
make the search a tenth of the former's time and a seventh of the latter's."""

_waiting: set[int] = set()


def begin(arguments: "Sequence[str]") -> None:
    """Takes signals from here on, if these are the words of a command that does, and sees to it
    that there are three streams."""
    gc.set_threshold(GC_THRESHOLD)
    _fill_streams()
    command = arguments[0] if arguments else ""
    for number in _ENDS.get(command, ()):
        signal.signal(number, _leave)
    for number in _WAITS.get(command, ()):
        signal.signal(number, _wait)


def has_come(number: int) -> bool:
    """Whether a signal that means no end has come during the start."""
    return number in _waiting


def _fill_streams() -> None:
    """Without one of the three, the next file that is opened has its number: the log would be
    written into the store."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        # Python makes it one that a program started from here does not have.
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _leave(number: int, frame: object) -> None:
    # Not SystemExit: an import may catch that.
    os._exit(0)


def _wait(number: int, frame: object) -> None:
    _waiting.add(number)
