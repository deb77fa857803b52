"""The bare core: every socket in Rust, no policy of ours, inside any asyncio loop.

    config = core.CoreConfig(port=8765, endpoints={"/echo": "plain"})
    pool = core.ReactorPool(config)
    pool.start()
    try:
        async for event in core.events(pool):
            if isinstance(event, core.Message):
                pool.send(event.conn, event.data)
    finally:
        pool.close()

What the events and commands mean is documented in the stub of `dscore._core`.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Literal

from dscore._core import (
    AddressRefused,
    Beat,
    BindError,
    BodyPart,
    Closed,
    Connected,
    CoreConfig,
    CoreError,
    Drained,
    ForkedError,
    Gap,
    GuestClosed,
    GuestMessage,
    HttpGone,
    HttpRequest,
    Introduction,
    LastSeen,
    Left,
    Looked,
    Message,
    Missed,
    Opened,
    Outcome,
    PoolClosedError,
    Progress,
    ReactorPool,
    RefusedCertificate,
    Reply,
    Stats,
    TerminationRefused,
    TlsRefused,
    Wheel,
)

if TYPE_CHECKING:
    from dscore._core import Event

__all__ = [
    "AddressRefused",
    "Attachment",
    "Beat",
    "BindError",
    "BodyPart",
    "Closed",
    "Connected",
    "CoreConfig",
    "CoreError",
    "Drained",
    "ForkedError",
    "Gap",
    "GuestClosed",
    "GuestMessage",
    "HttpGone",
    "HttpRequest",
    "Introduction",
    "LastSeen",
    "Left",
    "Looked",
    "Message",
    "Missed",
    "Opened",
    "Outcome",
    "PoolClosedError",
    "Progress",
    "ReactorPool",
    "RefusedCertificate",
    "Reply",
    "Stats",
    "TerminationRefused",
    "TlsRefused",
    "Wheel",
    "attach",
    "events",
]

BATCH = 512
"""Events taken in one go. At 10 µs each the loop is held for 5 ms."""


class Attachment:
    """A pool wired to a loop, until `detach` or the end of the pool."""

    def __init__(
        self, pool: ReactorPool, loop: asyncio.AbstractEventLoop, take: Callable[[], bool]
    ) -> None:
        """
        Args:
            take: called while events wait; takes some, and says whether it found any. Once for each
                turn of the loop: the descriptor stays readable until nothing was found, so the rest
                follows after everything else that is ready.
        """
        self._pool = pool
        self._loop = loop
        self._take = take
        # One of our own: the pool's is closed with the pool, and its number may be another's then.
        self._fileno = os.dup(pool.fileno())
        self._state: Literal["running", "paused", "detached"] = "paused"
        self.resume()

    def pause(self) -> None:
        """No batch comes until `resume`. When the core's queue is full, it stops reading from its
        sockets."""
        if self._state == "running":
            self._state = "paused"
            self._loop.remove_reader(self._fileno)

    def resume(self) -> None:
        """Batches come again. Idempotent."""
        if self._state == "paused":
            self._state = "running"
            self._loop.add_reader(self._fileno, self._readable)

    def detach(self) -> None:
        """No batch comes after this, ever. Idempotent."""
        self.pause()
        if self._state != "detached":
            self._state = "detached"
            os.close(self._fileno)

    def _readable(self) -> None:
        if not self._take() and _is_over(self._pool):
            self.detach()


def attach(
    pool: ReactorPool,
    loop: asyncio.AbstractEventLoop,
    on_batch: "Callable[[list[Event]], None]",
    *,
    limit: int = BATCH,
) -> Attachment:
    """Calls `on_batch` with what happens in the pool, at most `limit` events for each turn of the
    loop.

    If `on_batch` raises, the loop's exception handler is told and the rest of that batch is lost.
    """

    def take() -> bool:
        batch = pool.take(limit)
        if batch:
            on_batch(batch)
        return bool(batch)

    return Attachment(pool, loop, take)


async def events(pool: ReactorPool) -> "AsyncIterator[Event]":
    """What happens in the pool, one event after the other, until the pool is closed.

    The loop gets a turn after each batch, so a consumer that never waits holds up no other task.
    """
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    fileno = os.dup(pool.fileno())
    loop.add_reader(fileno, readable.set)
    try:
        while True:
            batch = pool.take(BATCH)
            for event in batch:
                yield event
            if batch:
                await asyncio.sleep(0)
            elif _is_over(pool):
                return
            else:
                readable.clear()
                await readable.wait()
    finally:
        loop.remove_reader(fileno)
        os.close(fileno)


def _is_over(pool: ReactorPool) -> bool:
    """Whether it was closed, and all its events were taken."""
    try:
        pool.fileno()
    except PoolClosedError:
        return True
    return False
