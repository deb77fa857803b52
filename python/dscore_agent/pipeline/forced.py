"""The exit that nothing holds up: no loop, no log, no lock, no pipe that is full."""

import contextlib
import os
import threading
import time

from dscore_agent.status import Exit

WORDS = b"dscore agent: the pipeline hangs, leaving by force\n"
WRITE_SECONDS = 0.2
"""For the last words to get out, where standard error is read at all."""


class ExitGuard:
    """Ends the process at a moment, unless disarmed."""

    def __init__(self, moment: float) -> None:
        """Armed from here on.

        Args:
            moment: Of `time.monotonic()`.
        """
        self._timer = threading.Timer(max(moment - time.monotonic(), 0.0), leave_by_force)
        self._timer.daemon = True
        self._timer.start()

    def disarm(self) -> None:
        """The process ends by itself."""
        self._timer.cancel()


def leave_by_force() -> None:
    """Ends the process now, whatever its threads wait for."""
    # A pipe that is read by no process blocks its writer for good: that is not to be this thread.
    writing = threading.Thread(target=_say, daemon=True)
    with contextlib.suppress(RuntimeError):  # No more threads to be had.
        writing.start()
        writing.join(WRITE_SECONDS)
    os._exit(Exit.FORCED)


def _say() -> None:
    with contextlib.suppress(OSError):
        os.write(2, WORDS)
