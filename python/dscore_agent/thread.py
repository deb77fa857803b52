"""A call in a thread of its own: what blocks there holds up neither the loop nor the exit.

Not the loop's executor: `asyncio.run` and `uvloop.run` join its threads when they end, and a
look-up in the DNS that hangs would keep the process alive for as long.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class ThreadError(Exception):
    """A function ended in a way that a future cannot hold."""


async def in_thread(function: Callable[..., T], *arguments: Any, name: str) -> T:
    """Calls a function that may block in a daemon thread, and returns what it returns.

    Args:
        function: What to call.
        arguments: With what.
        name: Of the thread.

    Raises:
        ThreadError: It raised StopIteration, or what is no `Exception`, `SystemExit` for one.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def work() -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            result = function(*arguments)
        except StopIteration:
            error = ThreadError("raised StopIteration")
        except Exception as raised:
            error = raised
        except BaseException as raised:
            # `sys.exit()` would end this thread alone, and the caller would wait for ever.
            error = ThreadError(f"raised {raised!r}")
        with contextlib.suppress(RuntimeError):  # The loop is closed, and the caller gone with it.
            loop.call_soon_threadsafe(finish, result, error)

    # A daemon: one that hangs must not keep the process from ending.
    threading.Thread(target=work, name=name, daemon=True).start()
    return await future


class SharedCalls:
    """Calls that are begun once at a time, however often they are asked for.

    One that hangs is waited for again: it has a thread already.
    """

    def __init__(self, name: str) -> None:
        """Calls nothing yet.

        Args:
            name: Of the threads.
        """
        self._name = name
        self._running: dict[Hashable, asyncio.Task[Any]] = {}

    async def call(self, function: Callable[..., T], *arguments: Hashable) -> T:
        """What the function returns, or raises, for these arguments."""
        task = self._running.get(arguments)
        if task is None:
            task = asyncio.ensure_future(in_thread(function, *arguments, name=self._name))
            self._running[arguments] = task
            task.add_done_callback(lambda done: self._ended(arguments, done))
        result: T = await asyncio.shield(task)
        return result

    def close(self) -> None:
        """Cancels what still waits for one of them."""
        for task in [*self._running.values()]:
            task.cancel()

    def _ended(self, arguments: Hashable, task: "asyncio.Task[Any]") -> None:
        del self._running[arguments]
        if not task.cancelled():
            task.exception()  # Seen: the call that waited for it may have given up.
