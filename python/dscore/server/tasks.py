"""Background tasks that are held, never lost, and never fail in silence."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from dscore.log import get_logger
from dscore.patience import DEAF_AFTER, Wait, wait

Done: TypeAlias = Callable[["asyncio.Task[Any]"], None]

_log = get_logger("dscore.tasks")


class Tasks:
    """The tasks of one owner. None begins after `close`."""

    __slots__ = ("_closed", "_cut", "_tasks")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cut: set[asyncio.Task[Any]] = set()
        """Those cancelled by their owner: a task that ends as cancelled and is not among them has
        raised CancelledError by itself, or was cancelled by code of a program."""
        self._closed = False

    def spawn(
        self, work: Coroutine[Any, Any, Any], name: str, done: Done | None = None
    ) -> "asyncio.Task[Any] | None":
        """Runs it to its end.

        Args:
            done: takes the task when it has ended, and sees to what it raised; must not raise. If
                left out, what it raised is logged.

        Returns:
            None after `close`: then nothing is begun any more.
        """
        if self._closed:
            work.close()
            return None
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        # In this order: `done` may ask `was_cut`.
        task.add_done_callback(self._failed if done is None else done)
        task.add_done_callback(self._forget)
        return task

    def cancel(self, task: "asyncio.Task[Any]") -> None:
        """Cancels one of them."""
        if not task.done():
            self._cut.add(task)
            task.cancel()

    def was_cut(self, task: "asyncio.Task[Any]") -> bool:
        """Whether its owner has cancelled it."""
        return task in self._cut

    async def close(self, grace: float, wait: Wait = wait) -> None:
        """Waits until everything has ended, what is begun meanwhile included; after `grace` seconds
        what is left is cancelled, and named in the log.

        A task that goes on in spite of that is named once more and left alone: it must not keep
        the process from ending.
        """
        # A hook may be what closes the server: it cannot wait for itself.
        own = asyncio.current_task()
        ends = asyncio.create_task(self._end_by_themselves(own))
        if await wait({ends}, grace):
            ends.cancel()
        self._closed = True
        running = self._tasks - {own}
        for task in running:
            _log.warning("task_cut", task=task.get_name(), after=grace)
            self.cancel(task)
        if running:
            running = await wait(running, DEAF_AFTER)
        for task in running:
            _log.error("task_stuck", task=task.get_name())

    async def _end_by_themselves(self, but: "asyncio.Task[Any] | None") -> None:
        while running := self._tasks - {but}:
            await asyncio.wait(running)

    def __len__(self) -> int:
        return len(self._tasks)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        self._cut.discard(task)

    def _failed(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_failed", task=task.get_name(), exc_info=error)
