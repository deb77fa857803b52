"""When agents were last heard of: the core knows, and is asked.

Heartbeats are no events: a fleet's would be all that Python does. They are read for all agents in
one go, now and then, and whenever it is asked for: the operator API, a drain, a close.
"""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dscore._core import Fleet, LastSeen, ReactorPool

PATIENCE = 1.0
"""Seconds that the reactors may take: after that, what is known has to do."""


class Readings:
    """One reading at a time: calls during it share the next one."""

    def __init__(
        self,
        pool: "ReactorPool",
        fleet: "Fleet",
        reactors: int,
    ) -> None:
        """
        Args:
            reactors: how many answer.
        """
        self._pool = pool
        self._fleet = fleet
        self._reactors = reactors
        self._missing = 0
        """Answers of the reading that is on its way."""
        self._to_store = True
        """Whether it is for the store too."""
        self._done: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None
        self._next_to_store = False
        self._began_at = 0.0

    async def take(self, *, to_store: bool = False) -> None:
        """Reads now; when it returns, every record has its last heartbeat.

        Args:
            to_store: what was read is kept.
        """
        mine = self._ask(to_store=to_store)
        # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the answer.
        await asyncio.wait({mine}, timeout=PATIENCE)

    def begin(self) -> None:
        """Begins a reading for the store, and waits for nothing. Called now and then."""
        self._ask(to_store=True)

    def _ask(self, *, to_store: bool) -> "asyncio.Future[None]":
        loop = asyncio.get_running_loop()
        mine = self._next = self._next or loop.create_future()
        self._next_to_store |= to_store
        if self._done is None or loop.time() - self._began_at > PATIENCE:
            self._end()
        return mine

    def answered(self, event: "LastSeen") -> None:
        """One reactor's answer."""
        owner, heard, is_kept = self._fleet.owner, self._fleet.heard, self._to_store
        for conn, seen_ms, heartbeat_ms, rtt_us in event:
            record = owner(conn)
            if record is not None:
                heard(
                    record,
                    heartbeat_ms=heartbeat_ms,
                    rtt_us=rtt_us,
                    seen_ms=seen_ms,
                    is_kept=is_kept,
                )
        self._missing -= 1
        if self._missing <= 0:
            self._end()

    def _end(self) -> None:
        """A reading is over; the next one begins if it is waited for."""
        if self._done is not None and not self._done.done():
            self._done.set_result(None)
        self._done, self._next = self._next, None
        # An answer that is not waited for any more is news all the same.
        self._to_store = self._next_to_store or self._done is None
        self._next_to_store = False
        if self._done is not None:
            self._began_at = asyncio.get_running_loop().time()
            self._missing = self._reactors
            self._pool.read_last_seen()
