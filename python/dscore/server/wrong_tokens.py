"""Tokens that are none of the server's: counted, written down, and answered late.

The address that they come from is slowed in nothing else, for a site may share it with its boxes;
and nothing waits but the one answer.
"""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Literal, TypeAlias, get_args

from dscore.log import get_logger
from dscore.log.limit import LineLimit

Where: TypeAlias = Literal["http", "watch", "app_ready", "connect"]
"""What the token came with; "app_ready" stands for every introduction of an agent."""

DELAY = 1.0
"""Seconds until a wrong token is answered."""
MAX_DELAYED = 1000
"""Answers that wait; what comes past them is answered at once, for each holds a connection."""
LINES_A_SECOND = 20


class WrongTokens:
    """Counts them for the metrics; `note` and `delay` are called on the event loop's thread."""

    def __init__(self) -> None:
        self._delayed = 0
        self._numbers = count()
        self._answers: dict[int, asyncio.TimerHandle] = {}
        self._limit = LineLimit(get_logger("dscore.auth"), LINES_A_SECOND)
        self._counts: dict[Where, int] = dict.fromkeys(get_args(Where), 0)

    def note(self, where: Where, ip: str, /, **fields: object) -> None:
        """One was shown. It is written nowhere itself: it may be right elsewhere."""
        self._counts[where] += 1
        self._limit.warning("wrong_token", where=where, ip=ip, **fields)

    def stats(self) -> dict[str, int]:
        """Counters, as the metrics name them."""
        return {f"wrong_tokens_{where}_total": shown for where, shown in self._counts.items()}

    async def delay(self) -> None:
        """Waits as long as the answer to a wrong token does."""
        if self._delayed >= MAX_DELAYED:
            return
        self._delayed += 1
        try:
            await asyncio.sleep(DELAY)
        finally:
            self._delayed -= 1

    def answer_late(self, answer: Callable[[], None]) -> None:
        """Calls `answer` after the same time; its connection may be gone by then."""
        if self._delayed >= MAX_DELAYED:
            answer()
            return
        self._delayed += 1
        number, loop = next(self._numbers), asyncio.get_running_loop()
        self._answers[number] = loop.call_later(DELAY, self._answer, number, answer)

    def close(self) -> None:
        """The server stops: what has not been answered is closed with everything."""
        for timer in self._answers.values():
            timer.cancel()
        self._answers.clear()

    def _answer(self, number: int, answer: Callable[[], None]) -> None:
        del self._answers[number]
        self._delayed -= 1
        answer()
