"""What an application is asked when it has to stop, and what it may answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dscore.agent.hooks import Hook, call, within
from dscore.agent.log import Log

OK = "OK"
ERROR = "ERROR"
GRACEFUL = "Application terminated gracefully"

_log = Log("dscore.agent")

Progress = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True)
class TerminateRequest:
    """The application has to stop.

    Attributes:
        reason: The server's words, or whose wish it was.
        request_id: The server's number of the request; None when it was not the server that asked
            (a signal, `Agent.stop`).
        deadline: The moment of `time.monotonic()` at which the agent leaves, stopped or not.
    """

    reason: str
    request_id: str | None
    deadline: float
    _progress: Progress = field(repr=False, compare=False)

    async def progress(self, stage: str, need_ms: int) -> None:
        """Tells the server that stopping goes on, and how much longer it will take.

        The server grants it up to its own limit. It does not move `deadline`, which is this
        machine's own. Without a connection it does nothing.

        Args:
            stage: What is being done, in a word or two.
            need_ms: Milliseconds from now.
        """
        await self._progress(stage, need_ms)


@dataclass(frozen=True)
class TerminateAnswer:
    """How stopping went. Anything but the status "OK" tells the server that it failed."""

    status: str = OK
    message: str = GRACEFUL

    @property
    def is_ok(self) -> bool:
        """The application has stopped cleanly."""
        return self.status == OK


async def ask(hook: Hook | None, request: TerminateRequest) -> TerminateAnswer:
    """Has the application stop, until the deadline and no longer.

    Args:
        hook: `on_terminate`; None: there is nothing to stop.
        request: What it is called with.

    Returns:
        What it answered, or what its silence or failure means.
    """
    if hook is None:
        return TerminateAnswer()
    stopping = asyncio.ensure_future(call(hook, request))
    if not await within(stopping, request.deadline - time.monotonic()):
        return TerminateAnswer(ERROR, "the application did not stop in time")
    if (error := stopping.exception()) is not None:
        _log.error("hook_failed", hook="on_terminate", error=error)
        return TerminateAnswer(ERROR, str(error) or type(error).__name__)
    return _answer(stopping.result())


def _answer(result: object) -> TerminateAnswer:
    if isinstance(result, TerminateAnswer):
        return result
    if result is None or result is True:
        return TerminateAnswer()
    return TerminateAnswer(ERROR, f"the application answered {result!r}")
