"""Agents that are asked to terminate one at a time, and who waits for their answers."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, get_args

from dscore.policy.agent import Termination
from dscore.states import OutcomeName

if TYPE_CHECKING:
    from dscore._core import ReactorPool


LATENCY_BOUNDS_MS = (10, 100, 1000, 5000, 10_000, 30_000)
"""An agent without a pipeline answers at once; one that writes recordings takes seconds."""


class Terminations:
    """Matches each outcome to its caller, and counts them. Those of a drain are in its report."""

    def __init__(self) -> None:
        self._waiting: dict[int, dict[str, asyncio.Future[Termination]]] = {}
        """Connection -> request id -> who waits."""
        self._outcomes: Counter[str] = Counter()
        self._latencies = [0] * (len(LATENCY_BOUNDS_MS) + 1)
        self._latency_ms = 0.0

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

    def _count(self, termination: Termination) -> None:
        self._outcomes[termination.outcome] += 1
        if termination.outcome == "acked":
            self._latencies[bisect_left(LATENCY_BOUNDS_MS, termination.latency_ms)] += 1
            self._latency_ms += termination.latency_ms

    def stats(self) -> dict[str, int]:
        """How they ended, and how long those took that stopped as asked."""
        bounds = (*(f"{bound}_ms" for bound in LATENCY_BOUNDS_MS), "more")
        return {
            **{f"terminations_{one}_total": self._outcomes[one] for one in get_args(OutcomeName)},
            **{
                f"termination_took_{bound}_total": count
                for bound, count in zip(bounds, self._latencies, strict=True)
            },
            "termination_took_sum_ms_total": round(self._latency_ms),
        }

    def is_waiting(self, conn: int) -> bool:
        """Whether a request of this connection has no outcome yet."""
        return any(not outcome.done() for outcome in self._waiting.get(conn, {}).values())

    def outcome(self, conn: int, termination: Termination) -> None:
        # Whether its caller still waits or has gone.
        self._count(termination)
        outcome = self._waiting.get(conn, {}).get(termination.request_id)
        if outcome is not None and not outcome.done():
            outcome.set_result(termination)

    def closed(self, conns: Iterable[int]) -> None:
        """Connections have ended: requests that came too late for one never got an outcome. In a
        drain they are all there are, and mostly none is waited for."""
        if not self._waiting:
            return
        for conn in conns:
            for request_id, outcome in self._waiting.get(conn, {}).items():
                if not outcome.done():
                    termination = Termination("vanished", request_id, 0.0)
                    self._count(termination)
                    outcome.set_result(termination)
