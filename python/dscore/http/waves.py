"""One action for many agents, in waves: what is asked of whom, what came of it, and who is left.

| state    | means                                                                     |
|----------|---------------------------------------------------------------------------|
| running  | agents are being asked, or a pause between two waves runs                 |
| done     | every agent was asked                                                     |
| stopped  | more than `max_failed` failed, or the server drains: the rest is left     |
| canceled | an operator has stopped it: the rest is left                              |

Whom it is about is settled at its start: agents that come later are not asked.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias
from uuid import uuid4

from dscore.errors import DscoreError
from dscore.log import get_logger
from dscore.states import OutcomeName

_log = get_logger("dscore.http")

AT_ONCE: Final = 512
"""Agents asked side by side, however large a wave is."""
LOOK_INTERVAL: Final = 0.25
"""Seconds between two looks, in a pause, at whether the server shuts down."""
MAX_TOLD: Final = 1000
"""Ids in a document; of the rest it tells how many."""

State: TypeAlias = Literal["running", "done", "stopped", "canceled"]
ActionName: TypeAlias = Literal["terminate", "message", "remove"]
BulkOutcome: TypeAlias = (
    OutcomeName | Literal["delivered", "kept", "removed", "gone", "not_connected", "error"]
)
"""What came of it for one agent. "error": it could not be asked."""
Ask: TypeAlias = Callable[[str], Awaitable[tuple[BulkOutcome, str]]]
"""Asks one agent; returns the outcome, and words to it."""

FAILURES: Final[frozenset[BulkOutcome]] = frozenset(("failed", "timed_out", "vanished", "error"))
"""Outcomes that count as failures; "gone" and "not_connected" are none: nothing was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many, how soon, how long.

    Attributes:
        wave: agents of one wave; None: all are one.
        pause: seconds between the end of a wave and the next.
        max_failed: so many failures are borne; one more ends it. None: any number.
    """

    wave: int | None = None
    pause: float = 0.0
    max_failed: int | None = None


class Operation:
    """One action under way."""

    def __init__(
        self,
        action: ActionName,
        ids: Sequence[str],
        pace: Pace,
        ask: Ask,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """
        Args:
            is_stopping: whether the server is on its way out: nothing is begun then.
        """
        self.id = str(uuid4())
        self.action: Final = action
        self.state: State = "running"
        self.why = ""
        """Of one that is stopped."""
        self._ids = ids
        self._pace = pace
        self._ask = ask
        self._is_stopping = is_stopping
        self._next = 0
        self._asked: set[str] = set()
        self._wave = 0
        self._outcomes: Counter[BulkOutcome] = Counter()
        self._failures: list[dict[str, str]] = []
        self._ended = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def is_over(self) -> bool:
        return self._ended.is_set()

    async def run(self) -> None:
        """All of it. Cancelled, it asks no agent more."""
        size = self._size
        try:
            for start in range(0, len(self._ids), size):
                if start:
                    await self._pause()
                if not self._goes_on():
                    return
                self._wave += 1
                await self._run_wave(min(start + size, len(self._ids)))
            if self.state == "running":
                self.state = "done"
        except asyncio.CancelledError:
            self.stop("canceled", "the server has stopped")
            raise
        except Exception:
            _log.exception("operation_failed", id=self.id, action=self.action)
            self.stop("stopped", "it failed: the server's log says why")
        finally:
            self._ended.set()

    def stop(self, state: Literal["stopped", "canceled"], why: str) -> None:
        """Asks no agent more. Those that are asked already are waited for."""
        if self.state == "running":
            self.state, self.why = state, why
            self._stopping.set()

    async def ended(self, timeout: float) -> None:
        """Waits for its end, or so long."""
        waiting = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({waiting}, timeout=timeout)
        finally:
            waiting.cancel()

    def document(self) -> dict[str, Any]:
        """How it stands."""
        left = self._ids[self._next :]
        return {
            "id": self.id,
            "action": self.action,
            "state": self.state,
            "why": self.why,
            "total": len(self._ids),
            "asked": self._next,
            "answered": self._outcomes.total(),
            "failed": self._failed,
            "outcomes": dict(self._outcomes),
            "failures": self._failures,
            "wave": self._wave,
            "waves": -(-len(self._ids) // self._size),
            "waiting": sorted(self._asked)[:MAX_TOLD],
            "left": left[:MAX_TOLD],
            "left_total": len(left),
        }

    @property
    def _size(self) -> int:
        """Agents of one wave."""
        return self._pace.wave or max(1, len(self._ids))

    @property
    def _failed(self) -> int:
        return sum(self._outcomes[each] for each in FAILURES)

    async def _pause(self) -> None:
        """The pause between two waves, unless it is stopped."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._pace.pause
        while self._goes_on() and (left := until - loop.time()) > 0:
            stopping = asyncio.ensure_future(self._stopping.wait())
            try:
                await asyncio.wait({stopping}, timeout=min(left, LOOK_INTERVAL))
            finally:
                stopping.cancel()

    def _goes_on(self) -> bool:
        if self._is_stopping():
            self.stop("stopped", "the server shuts down")
        return self.state == "running"

    async def _run_wave(self, end: int) -> None:
        hands = min(AT_ONCE, end - self._next)
        await asyncio.gather(*(self._work(end) for _ in range(hands)))

    async def _work(self, end: int) -> None:
        """One of the hands: asks one agent after the other, until the wave is through."""
        while self._next < end and self._goes_on():
            agent_id = self._ids[self._next]
            self._next += 1
            self._asked.add(agent_id)
            outcome: BulkOutcome
            try:
                outcome, words = await self._ask(agent_id)
            except DscoreError as error:
                outcome, words = "error", str(error)
            self._asked.discard(agent_id)
            self._count(agent_id, outcome, words)
            # Some actions never wait: the loop has its turn, after AT_ONCE agents at most.
            await asyncio.sleep(0)

    def _count(self, agent_id: str, outcome: BulkOutcome, words: str) -> None:
        self._outcomes[outcome] += 1
        if outcome not in FAILURES:
            return
        if len(self._failures) < MAX_TOLD:
            self._failures.append({"id": agent_id, "outcome": outcome, "message": words})
        most = self._pace.max_failed
        if most is not None and self._failed > most:
            self.stop("stopped", f"more failed than {most}")
