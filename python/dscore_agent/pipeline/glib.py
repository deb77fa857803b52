"""GLib's default main context, iterated by a thread where no other thread does."""

import threading

from dscore_agent.pipeline.gst import GLib


class GLibThread:
    """Iterates the context, which some elements leave work to, until `close`."""

    def __init__(self) -> None:
        self._context = GLib.MainContext.default()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="dscore-agent-glib", daemon=True)
        self._thread.start()

    def close(self, seconds: float = 1.0) -> None:
        """Ends the thread; one that hangs in a callback is left behind."""
        self._ending = True
        self._context.wakeup()
        self._thread.join(seconds)

    def _run(self) -> None:
        # Not a GLib.MainLoop: PyGObject's wants to have the signals of the process for itself.
        while not self._ending:
            self._context.iteration(True)


def is_turned_elsewhere() -> bool:
    """Some other thread runs the default main context already."""
    context = GLib.MainContext.default()
    if context.acquire():
        context.release()
        return False
    return True
