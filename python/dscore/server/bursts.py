"""Messages for many: the first ones at once, those of a storm together.

A message alone wakes a reactor, which writes it and sleeps again: with 200 changes a second that is
most of what a watcher costs. Forty in one write take little more than one, and what is held back is
encoded when it goes out, all in a row.

Invariant: messages go out to each connection in the order in which they came, and none waits longer
than `PAUSE`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from dscore._core import ReactorPool

BURST = 16
"""Messages that go out at once after a quiet time: few changes are told when they happen."""
PAUSE = 0.2
"""Seconds. An operator takes what is no older for now."""

Message: TypeAlias = Callable[[], bytes]
"""Encodes it, whenever that is, as what it tells was when it came."""


class Bursts:
    """Sends, or holds back until the pause is over."""

    def __init__(self, pool: "ReactorPool") -> None:
        self._pool = pool
        self._left = 0
        """Messages that still go out at once in this pause."""
        self._held: list[tuple[Sequence[int], Message]] = []
        """In their order, each with those that it is for."""
        self._pause: asyncio.TimerHandle | None = None

    def send(self, conns: Sequence[int], message: Message) -> None:
        if self._pause is None:
            self._begin(BURST)
        if self._left:
            self._left -= 1
            self._pool.send_many(conns, message())
        else:
            self._held.append((conns, message))

    def flush(self) -> None:
        """What is held goes out now: something else is to be said, or a connection ends."""
        held, self._held = self._held, []
        by_conn: dict[int, list[bytes]] = {}
        for conns, message in held:
            encoded = message()
            for conn in conns:
                by_conn.setdefault(conn, []).append(encoded)
        # Watchers that are told the same share one frame of it.
        alike: dict[tuple[bytes, ...], list[int]] = {}
        for conn, messages in by_conn.items():
            alike.setdefault(tuple(messages), []).append(conn)
        for told, conns in alike.items():
            self._pool.send_many(conns, *told)

    def close(self) -> None:
        """Nothing is sent after this."""
        self._held.clear()
        if self._pause is not None:
            self._pause.cancel()

    def _begin(self, left: int) -> None:
        self._left = left
        self._pause = asyncio.get_running_loop().call_later(PAUSE, self._over)

    def _over(self) -> None:
        self._pause = None
        if self._held:
            self.flush()
            # The storm goes on, and is not over before a pause without any.
            self._begin(0)
