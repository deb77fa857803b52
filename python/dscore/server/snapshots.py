"""The state that new watchers start from: all agents, taken down in steps.

Each step is a turn of the loop of its own, one snapshot goes after the other, and there is a pause
behind each that took long: however many watchers ask, the loop has its time for everything else.

Invariant: an agent is told as it was when it was looked at, and what changes after that is kept for
the watcher until it has been told the snapshot (`Watcher.behind`).
"""

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TypeAlias

from dscore._core import StatusScan
from dscore.messages import ReasonCode, Status
from dscore.server.live import Live
from dscore.server.watcher import Watcher

SHORT = 0.005
"""Seconds; a snapshot that takes no longer is followed by the next one at once."""
PAUSES = 4
"""So many times as long as any other took the loop has for everything else."""

Told: TypeAlias = tuple[str, Status, ReasonCode | None, int | None]
"""What is told of an agent: id, status, reason_code, last heartbeat."""


class _Snapshot:
    """One that is being taken down."""

    __slots__ = ("conn", "filter", "moment", "scan", "took", "watcher")

    def __init__(self, conn: int, watcher: Watcher, scan: StatusScan) -> None:
        self.conn = conn
        self.watcher = watcher
        self.filter = watcher.filter
        self.scan = scan
        self.moment: list[Told] = []
        self.took = 0.0
        """Seconds of the loop."""

    def step(self) -> bool:
        """Takes down the next agents; whether there were any left."""
        began = perf_counter()
        found = self.scan.step()
        if behind := self.watcher.behind:
            # What has changed before it was taken down is told with it.
            for agent_id, *_ in found or ():
                behind.pop(agent_id, None)
        fits = self.filter.fits
        self.moment += [told for told in found or () if fits(told[0], told[1])]
        self.took += perf_counter() - began
        return found is not None


class Snapshots:
    """Takes them down for those that want one, the first that came first."""

    def __init__(
        self,
        live: Live,
        watching: Mapping[int, Watcher],
        tell: Callable[[int, Watcher, list[Told]], None],
    ) -> None:
        """
        Args:
            watching: every watcher, by connection.
            tell: begins to tell one its snapshot.
        """
        self._live = live
        self._watching = watching
        self._tell = tell
        self._queue: dict[int, Watcher] = {}
        """Those whose snapshots are to begin, by connection; the first came first."""
        self._taken: _Snapshot | None = None
        """The one that is being taken down."""
        self._turn: asyncio.Handle | None = None
        self._free_at = 0.0
        """When the next one may begin, in the loop's time."""

    def queue(self, conn: int, watcher: Watcher) -> None:
        """A watcher wants one; however often it asks before its turn, it costs one."""
        self._queue[conn] = watcher
        if self._turn is None:
            loop = asyncio.get_running_loop()
            wait = self._free_at - loop.time()
            later = loop.call_later(wait, self._next) if wait > 0 else None
            self._turn = later or loop.call_soon(self._next)

    def resume(self, conn: int, watcher: Watcher) -> None:
        """A watcher has credit again, and may have lost its turn for want of it."""
        if self._taken is None or self._taken.watcher is not watcher:
            self.queue(conn, watcher)

    def close(self) -> None:
        """None goes on after this."""
        if self._turn is not None:
            self._turn.cancel()

    def _next(self) -> None:
        """Goes on with the one that is being taken down, or begins the first that is still
        wanted."""
        self._turn = None
        snapshot = self._taken or self._begin()
        if snapshot is not None:
            is_watching = self._watching.get(snapshot.conn) is snapshot.watcher
            if is_watching and snapshot.step():
                self._taken = snapshot
                self._turn = asyncio.get_running_loop().call_soon(self._next)
                return
            self._taken = None
            if is_watching:
                self._end(snapshot)
        if self._queue:
            self.queue(*next(iter(self._queue.items())))

    def _begin(self) -> _Snapshot | None:
        while self._queue:
            conn = next(iter(self._queue))
            watcher = self._queue.pop(conn)
            is_watching = self._watching.get(conn) is watcher
            # Without credit it begins when the watcher has read what was sent before.
            if is_watching and watcher.wants_snapshot and watcher.credit:
                # What changes from here on comes after it.
                watcher.behind.clear()
                snapshot = _Snapshot(conn, watcher, self._live.fleet.scan_statuses())
                # All of a small fleet: it is told in this turn.
                snapshot.step()
                return snapshot
        return None

    def _end(self, snapshot: _Snapshot) -> None:
        began = perf_counter()
        conn, watcher = snapshot.conn, snapshot.watcher
        # What was asked for anew meanwhile, by another filter, is taken down when it is its turn.
        if watcher.wants_snapshot and conn not in self._queue:
            self._tell(conn, watcher, snapshot.moment)
        took = snapshot.took + perf_counter() - began
        if took > SHORT:
            self._free_at = asyncio.get_running_loop().time() + PAUSES * took
