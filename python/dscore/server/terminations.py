"""Agents that are asked to terminate one at a time, and who waits for their answers."""

import asyncio
from typing import TYPE_CHECKING

from dscore.policy.agent import Termination

if TYPE_CHECKING:
    from dscore._core import ReactorPool


class Terminations:
    """Matches each outcome to its caller."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[str, asyncio.Future[Termination]]] = {}
        """Connection -> request id -> who waits."""

    async def terminate(
        self, pool: "ReactorPool", conn: int, timeout: float, max_extension: float
    ) -> Termination:
        """Asks, and waits for the one outcome that the core promises."""
        request_id = pool.terminate(
            conn, round(timeout * 1000), max_extension_ms=round(max_extension * 1000)
        )
        outcome: asyncio.Future[Termination]
        outcome = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(conn, {})[request_id] = outcome
        try:
            return await outcome
        finally:
            requests = self._waiting.get(conn)
            if requests is not None:
                requests.pop(request_id, None)
                if not requests:
                    del self._waiting[conn]

    def is_waiting(self, conn: int) -> bool:
        """Whether a request of this connection has no outcome yet."""
        return any(not outcome.done() for outcome in self._waiting.get(conn, {}).values())

    def outcome(self, conn: int, termination: Termination) -> None:
        outcome = self._waiting.get(conn, {}).get(termination.request_id)
        if outcome is not None and not outcome.done():
            outcome.set_result(termination)

    def closed(self, conn: int) -> None:
        """A connection has ended: a request that came too late for it never got an outcome."""
        if conn not in self._waiting:
            return
        for request_id, outcome in self._waiting[conn].items():
            if not outcome.done():
                outcome.set_result(Termination("vanished", request_id, 0.0))
