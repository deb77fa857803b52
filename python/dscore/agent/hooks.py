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
PATIENCE = 2.0
"""Seconds for the calls that still wait when the agent ends."""

_log = Log("dscore.agent.hooks")


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
        else:
            future.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = hook(*arguments)
        except Exception as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # The loop is gone, and who waited for this.
            loop.call_soon_threadsafe(finish, result, error)

    # A daemon: one that hangs must not keep the process from ending.
    threading.Thread(target=work, name="dscore-agent-hook", daemon=True).start()
    return await future


class HookQueue:
    """Calls hooks one after the other, in the order in which things happened."""

    def __init__(self) -> None:
        self._pending: deque[tuple[Hook, tuple[Any, ...]]] = deque()
        self._running: asyncio.Task[None] | None = None

    def put(self, hook: Hook | None, *arguments: Any) -> None:
        """Calls it when those before it are done. None: nothing is to be called."""
        if hook is None:
            return
        if len(self._pending) >= PENDING_LIMIT:
            _log.warning("hook_call_lost", hook=_name(hook), waiting=len(self._pending))
            return
        self._pending.append((hook, arguments))
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._run())

    async def close(self, seconds: float = PATIENCE) -> None:
        """Waits for the calls that are left, not for ever."""
        # A hook may end the agent: it cannot wait for itself.
        if self._running is not None and self._running is not asyncio.current_task():
            await within(self._running, seconds)

    async def _run(self) -> None:
        try:
            while self._pending:
                hook, arguments = self._pending.popleft()
                try:
                    await call(hook, *arguments)
                except Exception as error:
                    _log.error("hook_failed", hook=_name(hook), error=error)
        finally:
            self._running = None


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
