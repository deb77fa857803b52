"""Calls into the application, which may be slow, may block, may fail, and must not be felt.

An async hook runs on the agent's loop. Any other runs in a thread of its own for the time of the
call: a blocking one must not cost the connection.
"""

import asyncio
import contextlib
import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from dscore.agent.log import Log

Hook = Callable[..., Any]

PENDING_LIMIT = 1000
"""Calls that may wait for the one before; a hook that hangs must not fill the memory."""
PENDING_BYTES = 64 * 1024 * 1024
"""The same, of the messages they wait with."""
PATIENCE = 2.0
"""Seconds for the calls that still wait when the agent ends."""

_log = Log("dscore.agent.hooks")


class HookError(Exception):
    """A hook ended in a way that no caller could take as it is."""


async def call(hook: Hook, *arguments: Any) -> Any:
    """Calls a hook, sync or async, and returns what it returns."""
    if inspect.iscoroutinefunction(hook):
        return await hook(*arguments)
    result = await _in_thread(hook, *arguments)
    # A lambda around an async function, a partial, an object with an async __call__.
    return await result if inspect.isawaitable(result) else result


async def _in_thread(hook: Hook, *arguments: Any) -> Any:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def finish(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):  # No future takes one.
            future.set_exception(HookError("the hook raised StopIteration"))
        else:
            future.set_exception(error)

    def work() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = hook(*arguments)
        except Exception as raised:
            error = raised
        except BaseException as raised:
            # `sys.exit()` would end this thread alone, and nobody would ever hear of it.
            error = HookError(f"the hook raised {raised!r}")
        with contextlib.suppress(RuntimeError):  # The loop is gone, and who waited for this.
            loop.call_soon_threadsafe(finish, result, error)

    # A daemon: one that hangs must not keep the process from ending.
    threading.Thread(target=work, name="dscore-agent-hook", daemon=True).start()
    return await future


class HookQueue:
    """Calls hooks one after the other, in the order in which things happened."""

    def __init__(self) -> None:
        self._pending: deque[tuple[Hook, tuple[Any, ...], int]] = deque()
        self._bytes = 0
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
        if len(self._pending) >= PENDING_LIMIT or self._bytes + size > PENDING_BYTES:
            _log.warning("hook_call_lost", hook=_name(hook), waiting=len(self._pending))
            return
        self._pending.append((hook, arguments, size))
        self._bytes += size
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self, seconds: float = PATIENCE) -> None:
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
                    _log.error("hook_failed", hook=_name(hook), error=error)
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
