"""The termination of the application: the request, the answer, and who has asked."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dscore_agent.hooks import Hook, call, failure, within
from dscore_agent.log import Log
from dscore_agent.status import Exit

OK = "OK"
ERROR = "ERROR"
GRACEFUL = "Application terminated gracefully"

MAX_REQUESTS = 100
"""Requests that are answered; a server asks once."""

MAX_MESSAGE = 8192
"""Characters. The server closes a connection that brings more than its limit: no answer then."""

Send = Callable[..., bool]

_log = Log("dscore.agent")

Progress = Callable[[str, int], Awaitable[None]]


@dataclass(frozen=True)
class TerminateRequest:
    """The application has to stop.

    Attributes:
        reason: The server's words, or which signal or call it was.
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
    """How stopping went.

    Attributes:
        status: Anything but "OK" tells the server that it failed.
        message: For the server and its operators.
        complete: Every stream reached its end. Stopped and complete are two facts: the status stays
            "OK" where a recording is left without its index (PROTOCOL §2).
    """

    status: str = OK
    message: str = GRACEFUL
    complete: bool = True

    @property
    def is_ok(self) -> bool:
        """The application has stopped cleanly."""
        return self.status == OK

    @property
    def exit_code(self) -> Exit:
        """What the process ends with."""
        if not self.is_ok:
            return Exit.FORCED
        return Exit.STOPPED if self.complete else Exit.INCOMPLETE


class Termination:
    """The application's termination, which runs once, and the requests that wait for its answer."""

    def __init__(self, hook: Hook | None, timeout: float, send: Send) -> None:
        """Stops nothing yet.

        Args:
            hook: `on_terminate`; None: there is nothing to stop.
            timeout: Seconds until the agent leaves, stopped or not.
            send: Sends a message of the protocol, if there is a connection.
        """
        self._hook = hook
        self._timeout = timeout
        self._send = send
        self._asked: list[str] = []
        self._unanswered: list[str] = []
        self._answer: TerminateAnswer | None = None

    def note(self, request_id: str) -> None:
        """Takes note of a request, which is answered when the answer is known; once."""
        if request_id in self._asked or len(self._asked) >= MAX_REQUESTS:
            return
        self._asked.append(request_id)
        self._unanswered.append(request_id)
        if self._answer is not None:
            self.answer_all(self._answer)

    async def run(self, request_id: str | None, reason: str) -> TerminateAnswer:
        """Has the application stop, until the deadline and no longer.

        Returns:
            What it answered, or what its silence or failure means.
        """
        deadline = time.monotonic() + self._timeout
        request = TerminateRequest(reason, request_id, deadline, self._progress)
        self._answer = await _ask(self._hook, request)
        return self._answer

    def answer_all(self, answer: TerminateAnswer) -> bool:
        """Answers the requests that have no answer yet; False: no answer was sent."""
        waiting, self._unanswered = self._unanswered, []
        told = [
            self._send(
                "app_terminated",
                request_id=request_id,
                status=answer.status,
                message=_sendable(answer.message),
                complete=answer.complete,
            )
            for request_id in waiting
        ]
        if not all(told):
            _log.warning("answer_lost", reason="not connected")
        return any(told)

    async def _progress(self, stage: str, need_ms: int) -> None:
        for request_id in self._unanswered:
            self._send(
                "termination_progress",
                request_id=request_id,
                stage=_sendable(stage),
                need_ms=need_ms,
            )


def _sendable(words: str) -> str:
    # The name of a file may have bytes that are no UTF-8 (PEP 383), and JSON has no place for them.
    return words[:MAX_MESSAGE].encode(errors="replace").decode()


async def _ask(hook: Hook | None, request: TerminateRequest) -> TerminateAnswer:
    if hook is None:
        return TerminateAnswer()
    stopping = asyncio.ensure_future(call(hook, request))
    if not await within(stopping, request.deadline - time.monotonic()):
        return TerminateAnswer(ERROR, "the application did not stop in time")
    if (error := failure(stopping)) is not None:
        _log.error("hook_failed", hook="on_terminate", error=error)
        return TerminateAnswer(ERROR, str(error) or type(error).__name__)
    return _answer(stopping.result())


def _answer(result: object) -> TerminateAnswer:
    if isinstance(result, TerminateAnswer):
        return result
    if result is None or result is True:
        return TerminateAnswer()
    return TerminateAnswer(ERROR, f"the application answered {result!r}")
