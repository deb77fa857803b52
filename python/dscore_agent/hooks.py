"""Calls into the application: a hook may be slow, block or fail, and must not hold the connection.

An async hook runs on the agent's loop. Any other runs in a thread of its own for the time of the
call: a blocking one must not cost the connection.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from dscore_agent.log import LineLimit, Log
from dscore_agent.thread import ThreadError, in_thread

Hook = Callable[..., Any]

MAX_PENDING = 1000
"""Calls that may wait for the one before; a hook that hangs must not fill the memory."""
MAX_PENDING_BYTES = 96 * 1024 * 1024
"""The same, of the memory that their messages take: more than the greatest message alone."""
CLOSE_SECONDS = 2.0
"""Seconds for the calls that still wait when the agent ends."""

_log = Log("dscore.agent.hooks")


class HookError(Exception):
    """A hook raised what a task cannot hold, or was cancelled."""


async def call(hook: Hook, *arguments: Any) -> Any:
    """Calls a hook, sync or async, and returns what it returns."""
    if inspect.iscoroutinefunction(hook):
        return await hook(*arguments)
    try:
        result = await in_thread(hook, *arguments, name="dscore-agent-hook")
    except ThreadError as error:
        raise HookError(f"the hook {error}") from None
    # A lambda around an async function, a partial, an object with an async __call__.
    return await result if inspect.isawaitable(result) else result


class HookQueue:
    """Calls hooks one after the other, in the order in which things happened."""

    def __init__(self) -> None:
        self._pending: deque[tuple[Hook, tuple[Any, ...], int]] = deque()
        self._bytes = 0
        self._log_limit = LineLimit(_log, "the server causes too many")
        self._running: asyncio.Task[None] | None = None
        self._calling: asyncio.Task[Any] | None = None

    def put(self, hook: Hook | None, *arguments: Any, size: int = 0) -> None:
        """Calls it when those before it are done. None: nothing is to be called.

        Args:
            hook: What to call.
            arguments: With what.
            size: Bytes that they keep in memory.
        """
        if hook is None:
            return
        if len(self._pending) >= MAX_PENDING or self._bytes + size > MAX_PENDING_BYTES:
            self._log_limit.warning("hook_call_lost", hook=_name(hook), waiting=len(self._pending))
            return
        self._pending.append((hook, arguments, size))
        self._bytes += size
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Waits for the calls that are left, not for ever."""
        # A hook may end the agent: it cannot wait for itself.
        if self._running is not None and self._calling is not asyncio.current_task():
            await within(self._running, seconds)

    async def _run(self) -> None:
        try:
            while self._pending:
                hook, arguments, size = self._pending.popleft()
                self._bytes -= size
                self._calling = asyncio.ensure_future(call(hook, *arguments))
                await asyncio.wait({self._calling})
                if (error := failure(self._calling)) is not None:
                    self._log_limit.error("hook_failed", hook=_name(hook), error=error)
        finally:
            if self._calling is not None:
                self._calling.cancel()
            self._running = self._calling = None


def failure(called: "asyncio.Future[Any]") -> BaseException | None:
    """What a call that is over has raised; None: nothing."""
    if called.cancelled():
        # By itself: it awaited something that the application had cancelled.
        return HookError("the hook was cancelled")
    return called.exception()


async def within(work: Awaitable[Any], seconds: float) -> bool:
    """Waits for a task or a coroutine at most so long, then cancels it without waiting for that.

    Returns:
        Whether it ended in time. What it raised is left in the task.
    """
    task = asyncio.ensure_future(work)
    # Not `wait_for`: it would wait for a task that takes no notice of being cancelled.
    done, _ = await asyncio.wait({task}, timeout=max(seconds, 0.0))
    if not done:
        task.cancel()
    return bool(done)


def _name(hook: Hook) -> str:
    return getattr(hook, "__qualname__", type(hook).__name__)
