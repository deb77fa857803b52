"""Waiting for tasks by whichever clock counts: asyncio's own, or that of `dscore.server.clock`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

Tasks: TypeAlias = "set[asyncio.Task[Any]]"
Wait: TypeAlias = Callable[[Tasks, float], Awaitable[Tasks]]
"""Waits for all of these, so many seconds at most, and returns those that have not ended."""

DEAF_AFTER = 1.0
"""Seconds a task may take to follow its cancellation; then it is left alone."""


async def wait(tasks: Tasks, seconds: float) -> Tasks:
    """A `Wait` by asyncio's own clock."""
    _, late = await asyncio.wait(tasks, timeout=seconds)
    return late
