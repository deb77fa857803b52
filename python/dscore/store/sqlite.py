"""The store in a SQLite file: memory answers, one thread writes behind.

A change is noted in a batch and written with it: at most `INTERVAL` later, at once when the batch
is large or holds messages; what comes meanwhile is the next batch, so many messages share one
commit. While the file takes no writes (the disk is full, the file read-only or gone) everything
goes on from memory, later changes join the batch that waits, and `health` says so.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from dscore.clock import AgeClock, Seconds, wall
from dscore.errors import NotKeptError
from dscore.log import get_logger
from dscore.packed import compact
from dscore.store.batch import Batch, Pruning
from dscore.store.database import Database
from dscore.store.marks import Marks
from dscore.store.rows import AuditRow, Entry, Kept, Minute, Seen, StoredAgent, StoreHealth

if TYPE_CHECKING:
    from dscore._core import Changes, Fleet

INTERVAL = 0.25
"""Seconds from a change to its being written: with the write itself, well under the second that a
status may take to the disk."""
LOOK_INTERVAL = 1.0
"""Seconds after which an idle store sees whether its file is still there."""
LARGE = 2000
"""Changes that do not wait for the interval: written in about 20 ms."""
RETRY_AFTER = (0.5, 5.0)
"""Seconds after a failure before the next attempt, and the most it doubles to."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a disk may take for the last write."""

_log = get_logger("dscore.store")

T = TypeVar("T")


class SqliteStore:
    """Keeps everything in one file."""

    keeps_agents = True

    def __init__(self, path: str, clock: AgeClock | None = None, wall: Seconds = wall) -> None:
        """Touches nothing yet.

        Args:
            wall: Unix seconds: when this process was last alive, for the next one.
        """
        self.clock = clock or AgeClock()
        self._wall = wall
        self._path = path
        self._database = Database(path)
        self._batch = Batch()
        self._writing = Batch()
        """The batch that is being written, or waits for a disk that takes it."""
        self._waiters: list[asyncio.Future[None]] = []
        """Calls of `written` that wait for the next batch."""
        self._written_for: list[asyncio.Future[None]] = []
        """The same, of the batch that is being written."""
        self._marks = Marks()
        self._max_history = 1 << 62
        self._changes = 0
        self._failing: str | None = None
        self._lost_total = 0
        self._written_total = 0
        self.damaged_total = 0
        self._last_entry = 0
        self._last_audit = 0
        self._writer: asyncio.Task[None] | None = None

    async def start(self, fleet: "Fleet") -> Kept:
        self._fleet = fleet
        self._loop = asyncio.get_running_loop()
        self._due = asyncio.Event()
        self._closing = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "dscore-store")
        try:
            loaded = await self._in_thread(self._database.load)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        self._last_entry = loaded.last_entry
        self._last_audit = loaded.last_audit
        self._marks = Marks(loaded.marks)
        self.damaged_total += len(loaded.damages)
        if loaded.age is not None:
            self.clock.resume(loaded.age)
        self._writer = self._loop.create_task(self._write_behind(), name="store")
        return Kept(
            loaded.agents, loaded.sessions, loaded.messages, loaded.alive_at, loaded.history
        )

    async def close(self) -> None:
        if self._writer is None:
            return
        self._closing.set()
        self._due.set()
        # Not cancelled when it is too late: what a hung disk holds up may still get through.
        await asyncio.wait([self._writer], timeout=CLOSE_TIMEOUT)
        self._writer = None
        unsaved = self.health().waiting
        if unsaved or self._failing is not None:
            _log.error("store_unsaved", path=self._path, changes=unsaved, reason=self._failing)
        closing = self._in_thread(self._database.close)
        self._thread.shutdown(wait=False)
        await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)

    def bound(self, *, history: int) -> None:
        self._max_history = history

    def keep(self, agent: StoredAgent) -> None:
        self._batch.agents[agent.agent_id] = agent
        if agent.seen_at is not None:
            self._batch.seen.add(agent.agent_id, agent.seen_at, agent.heartbeat_at)
        self._changed()

    def forget(self, agent_ids: Iterable[str]) -> None:
        for agent_id in agent_ids:
            self._batch.forget(agent_id, self._last_entry)
            self._changed()

    def seen(self, agents: Iterable[Seen]) -> None:
        for agent_id, seen_at, heartbeat_at in agents:
            self._batch.seen.add(agent_id, seen_at, heartbeat_at)
        self._changed()

    def changed(self, *, urgent: bool = False) -> None:
        if self._fleet.unsaved_total():
            self._changed()
            if urgent:
                # A message that was handed out must not be handed out again after a crash: the
                # sooner this is written, the less can happen before.
                self._due.set()

    async def written(self) -> None:
        reason = self._failing
        if self._writer is None or self._writer.done():
            reason = "it is closed"
        if reason is not None:
            raise NotKeptError(f"the store takes no message now: {reason}")
        if not self._fleet.unsaved_total():
            return
        written: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(written)
        self.changed(urgent=True)
        try:
            await asyncio.wait([written])
        finally:
            written.cancel()
        error = written.exception()
        if error is not None:
            raise NotKeptError(f"the store takes no message now: {error}") from error

    def append(self, agent_id: str, at: int, kind: str, data: bytes) -> None:
        self._last_entry += 1
        self._batch.append((self._last_entry, agent_id, at, kind, compact(data)))
        self._changed()

    async def timeline(
        self, agent_id: str, *, limit: int, before: int | None = None
    ) -> list[Entry]:
        # What is not written yet first: while the file is read, it may get there.
        entries = {
            row[0]: Entry._make(row)
            for batch in (self._writing, self._batch)
            for row in batch.entries
            if row[1] == agent_id and (before is None or row[0] < before)
        }
        try:
            written, damaged = await self._in_thread(
                self._database.timeline, agent_id, limit, before
            )
            self.damaged_total += damaged
            entries.update((entry.number, entry) for entry in written)
        except sqlite3.Error as error:
            _log.warning("timeline_unread", agent_id=agent_id, reason=str(error))
        return [entries[number] for number in islice(sorted(entries, reverse=True), limit)]

    def audit(self, at: int, data: bytes, *, refused: bool) -> None:
        self._last_audit += 1
        self._batch.audit.append(
            AuditRow(self._last_audit, at, self.clock.now(), int(refused), data)
        )
        self._changed()

    async def read_audit(self, *, limit: int, before: int | None = None) -> list[AuditRow]:
        lines = {
            line.number: line
            for batch in (self._writing, self._batch)
            for line in batch.audit
            if before is None or line.number < before
        }
        try:
            written, damaged = await self._in_thread(self._database.audit, limit, before)
            self.damaged_total += damaged
            lines.update((line.number, line) for line in written)
        except sqlite3.Error as error:
            _log.warning("audit_unread", reason=str(error))
        return [lines[number] for number in islice(sorted(lines, reverse=True), limit)]

    def prune(self, before: int) -> None:
        cut = self._marks.cut(self._last_entry, before, self.clock.now())
        self._batch.pruning = Pruning(cut, self._max_history, tuple(self._marks), before)
        self._changed()

    def keep_history(self, minute: Minute, oldest: int) -> None:
        self._batch.keep_history(minute, oldest)
        self._changed()

    def health(self) -> StoreHealth:
        return StoreHealth(
            is_ok=self._failing is None,
            reason=self._failing,
            waiting=len(self._writing) + len(self._batch) + self._fleet.unsaved_total(),
            lost_total=self._lost_total + self._writing.lost + self._batch.lost,
            written_total=self._written_total,
        )

    def _changed(self) -> None:
        self._changes += 1
        if self._changes == 1:
            self._loop.call_later(INTERVAL, self._due.set)
        elif self._changes == LARGE:
            self._due.set()

    async def _write_behind(self) -> None:
        while not self._closing.is_set() or self._changes:
            looking = self._loop.call_later(LOOK_INTERVAL, self._due.set)
            await self._due.wait()
            looking.cancel()
            self._due.clear()
            if self._changes:
                await self._write_until_written()
            else:
                await self._look()
        if self._failing is None:
            await self._look()

    async def _write_until_written(self) -> None:
        """Writes what has changed, and what changes while the disk takes nothing; gives up only
        when the store is being closed."""
        # What an attempt during a close has left is written before all that came after it.
        if self._writing:
            self._writing.absorb(self._batch)
        else:
            self._writing = self._batch
        self._batch, self._changes = Batch(), 0
        self._written_for, self._waiters = self._waiters, []
        delay, most = RETRY_AFTER
        while not await self._write():
            if self._closing.is_set():
                return
            await _wait(self._closing, delay)
            delay = min(2 * delay, most)
            # The last word counts: one transaction that may be smaller than the two.
            self._writing.absorb(self._batch)
            self._batch, self._changes = Batch(), 0

    async def _look(self) -> None:
        """Sees that an idle store's file is still there."""
        try:
            await self._in_thread(self._database.look)
        except (OSError, sqlite3.Error) as error:
            self._fail(error)
        else:
            self._recover()

    async def _write(self) -> bool:
        """Writes the batch that waits; whether it is done with."""
        batch = self._writing
        changes = batch.changes = self._fleet.unsaved()
        alive_at, age = round(self._wall() * 1000), self.clock.now()
        try:
            await self._in_thread(self._database.write, batch, alive_at, age)
        except Exception as error:
            if _is_disk_trouble(error):
                self._fail(error)
                return False
            # Tried again it would fail again, and hold up everything behind it for ever.
            count = len(batch) + self._fleet.unsaved_total()
            _log.exception("store_batch_lost", changes=count)
            self._lost_total += count
            self._fleet.saved(changes.version)
            self._refuse(error)
        else:
            self._recover()
            self._written_total += len(batch) + _count(changes)
            self._fleet.saved(changes.version)
        self._lost_total += batch.lost
        self._writing = Batch()
        _settle(self._written_for, None)
        return True

    def _fail(self, error: Exception) -> None:
        if self._failing is None:
            self._failing_since = time.monotonic()
            _log.error("store_failing", path=self._path, reason=str(error))
        self._failing = str(error)
        self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        """Fails every `written` that waits: its batch is not written soon, or ever."""
        _settle(self._written_for, error)
        _settle(self._waiters, error)

    def _recover(self) -> None:
        if self._failing is not None:
            seconds = round(time.monotonic() - self._failing_since, 3)
            _log.info("store_recovered", path=self._path, seconds=seconds)
            self._failing = None

    def _in_thread(self, call: Callable[..., T], *arguments: object) -> "asyncio.Future[T]":
        return self._loop.run_in_executor(self._thread, call, *arguments)


def _count(changes: "Changes") -> int:
    rows = len(changes.sessions) + len(changes.ended)
    return rows + len(changes.messages) + len(changes.delivered)


def _is_disk_trouble(error: Exception) -> bool:
    # SQLite says DatabaseError itself of a damaged file; its other kinds are faults of a statement.
    return isinstance(error, sqlite3.OperationalError | OSError) or (
        type(error) is sqlite3.DatabaseError
    )


def _settle(waiters: "list[asyncio.Future[None]]", error: Exception | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)
    waiters.clear()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait([waiting], timeout=seconds)
    waiting.cancel()
