"""Waiting for a condition with a deadline: the only way a test may wait."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], T | None], what: str, seconds: float = 30.0) -> T:
    """Polls until `condition` gives something true, and returns that.

    Raises:
        TimeoutError: it never did; says `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {seconds} s")
        time.sleep(POLL_SECONDS)
