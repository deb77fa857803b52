"""Background tasks that are held, never lost, and never fail in silence."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from dscore.log import get_logger

DEAF_AFTER = 1.0
"""Seconds a task may take to follow its cancellation."""

_log = get_logger("dscore.tasks")


class Tasks:
    """The tasks of one owner. None begins after `close`."""

    __slots__ = ("_closed", "_tasks")

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Runs it to its end. After `close` nothing is begun any more."""
        if self._closed:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self, grace: float) -> None:
        """Waits until everything has ended; after `grace` seconds it is cancelled.

        A task that goes on in spite of that is named in the log and left alone: it must not keep
        the process from ending.
        """
        self._closed = True
        # A hook may be what closes the server: it cannot wait for itself.
        running = self._tasks - {asyncio.current_task()}
        if running:
            _, running = await asyncio.wait(running, timeout=grace)
        for task in running:
            task.cancel()
        if running:
            _, running = await asyncio.wait(running, timeout=DEAF_AFTER)
        for task in running:
            _log.error("task_stuck", task=task.get_name())

    def __len__(self) -> int:
        return len(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_failed", task=task.get_name(), exc_info=error)
