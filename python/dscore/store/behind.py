"""Writing behind: what the fleet says has changed is in the store a moment later.

At most `INTERVAL` after a change, at once when messages have come or gone; what changes meanwhile
comes next, so many messages share one commit. While the store takes nothing (the disk is full, the
file read-only or gone) everything goes on from memory, and `health` says so: the fleet gives what
is not saved again and again.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dscore.errors import NotKeptError
from dscore.log import get_logger
from dscore.store.audit_lines import AuditLines
from dscore.store.marks import Marks
from dscore.store.rows import AuditRow, Entry, Loaded, Minute, Pruning, StoreHealth, Upkeep

if TYPE_CHECKING:
    from dscore._core import AgentRow, Fleet
    from dscore.store import Store

INTERVAL = 0.25
"""Seconds from a change to its being written: with the write itself, well under the second that a
status may take to the disk."""
LOOK_INTERVAL = 1.0
"""Seconds after which an idle store sees whether its file is still there."""
RETRY_AFTER = (0.5, 5.0)
"""Seconds after a failure before the next attempt, and the most it doubles to."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a disk may take for the last write."""
WAITING_BYTES = 32 << 20
"""Of timelines that wait for a disk that takes none: more than a fleet of 18,000 leaves behind when
it is lost and comes back. The rest is bounded by the fleet."""

_log = get_logger("dscore.store")


class Behind:
    """A store, and the fleet whose changes it is given."""

    def __init__(self, fleet: "Fleet", store: "Store") -> None:
        """Touches nothing yet."""
        self._fleet = fleet
        self._store = store
        self.clock = store.clock
        self._path = getattr(store, "path", "")
        self._marks = Marks()
        self._pruning: Pruning | None = None
        self._audit = AuditLines()
        self._minutes: dict[int, bytes] = {}
        """Of the fleet's history, by number."""
        self._oldest_minute = 0
        self._max_history = 1 << 62
        self._waiters: list[asyncio.Future[None]] = []
        """Calls of `written` that wait for the next write."""
        self._written_for: list[asyncio.Future[None]] = []
        """The same, of the one that is under way."""
        self._failing: str | None = None
        self._lost_total = 0
        self._written_total = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        fleet.keep_changes(store.outlives)

    @property
    def damaged_total(self) -> int:
        return self._store.damaged_total

    async def start(self, offsets: Callable[[], tuple[int, int, int]]) -> Loaded:
        """Reads what earlier processes kept, and writes from here on.

        Args:
            offsets: `dscore.clock.WallClock.offsets`.

        Raises:
            StoreError: it cannot be read.
        """
        self._offsets = offsets
        self._loop = asyncio.get_running_loop()
        self._due = asyncio.Event()
        self._closing = asyncio.Event()
        loaded = await self._store.load()
        self._marks = Marks(loaded.marks)
        self._audit.last_number = loaded.last_audit
        if self._store.outlives:
            self._writer = self._loop.create_task(self._write_behind(), name="store")
        return loaded

    async def close(self) -> None:
        """When it returns, everything is where it outlives the process, or it was logged that it is
        not."""
        if self._writer is not None:
            self._closing.set()
            self._due.set()
            # Not cancelled when it is too late: what a hung disk holds up may still get through.
            await asyncio.wait([self._writer], timeout=CLOSE_TIMEOUT)
            self._writer = None
            unsaved = self._waiting()
            if unsaved or self._failing is not None:
                _log.error("store_unsaved", path=self._path, changes=unsaved, reason=self._failing)
        await self._store.close()

    def bound(self, *, history: int) -> None:
        """Bounds the bytes of all timelines together."""
        self._max_history = history
        outlives = self._store.outlives
        self._fleet.bound_timelines(min(history, WAITING_BYTES) if outlives else history)

    def changed(self, *, urgent: bool = False) -> None:
        """Something of the fleet may have changed.

        Args:
            urgent: it is written at once. A message that was handed out must not be handed out
                again after a crash: the sooner it is written, the less can happen before.
        """
        if self._writer is None or not self._fleet.has_unsaved():
            return
        if urgent:
            self._due.set()
        else:
            self._due_soon()

    async def written(self) -> None:
        """Returns when all that has changed by now is where it outlives the process, if anything
        does.

        Raises:
            NotKeptError: it cannot get there now.
        """
        if not self._store.outlives:
            return
        reason = self._failing
        if self._writer is None or self._writer.done():
            reason = "it is closed"
        if reason is not None:
            raise NotKeptError(f"the store takes no message now: {reason}")
        if not self._fleet.has_unsaved():
            return
        written: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(written)
        self._due.set()
        try:
            await asyncio.wait([written])
        finally:
            written.cancel()
        error = written.exception()
        if error is not None:
            raise NotKeptError(f"the store takes no message now: {error}") from error

    async def timeline(
        self, agent: "AgentRow | None", *, limit: int, before: int | None = None
    ) -> list[Entry]:
        """The newest entries of an agent, newest first; None: the server's.

        Args:
            before: only entries with a lower number: the last one of the page before.
        """
        agent_id, number = ("", 0) if agent is None else (agent.agent_id, agent.number)
        # What is not written yet first: while the store is read, it may get there.
        rows = self._fleet.timeline(agent, limit=limit, before=before)
        try:
            rows += await self._store.timeline(number, limit=limit, before=before)
        except (OSError, sqlite3.Error) as error:
            _log.warning("timeline_unread", agent_id=agent_id, reason=str(error))
        entries = {row[0]: Entry(row[0], agent_id, *row[1:]) for row in rows}
        return [entries[number] for number in sorted(entries, reverse=True)[:limit]]

    def audit(self, at: int, data: bytes, *, refused: bool) -> None:
        """Adds a line to the audit; the oldest of its kind goes past a bound.

        Args:
            at: Unix milliseconds, for people.
            data: JSON.
            refused: its sender was not known.
        """
        self._audit.add(at, self.clock.now(), data, refused=refused)
        if self._writer is not None:
            self._due_soon()

    async def read_audit(self, *, limit: int, before: int | None = None) -> list[AuditRow]:
        """The newest lines of the audit, newest first.

        Args:
            before: only lines with a lower number.
        """
        lines = {line.number: line for line in self._audit.newest(limit, before)}
        try:
            written = await self._store.audit(limit=limit, before=before)
            lines.update((line.number, line) for line in written)
        except (OSError, sqlite3.Error) as error:
            _log.warning("audit_unread", reason=str(error))
        return [lines[number] for number in sorted(lines, reverse=True)[:limit]]

    def prune(self, before: int) -> None:
        """Drops timeline entries and lines of the audit older than a time in milliseconds of the
        age clock, and notes that the server is alive. Called now and then."""
        cut = self._marks.cut(self._fleet.last_entry, before, self.clock.now())
        self._fleet.prune_timelines(cut)
        self._audit.drop_older(before)
        if self._writer is not None:
            self._pruning = Pruning(cut, self._max_history, tuple(self._marks), before)
            self._due.set()

    def keep_history(self, minute: Minute, oldest: int) -> None:
        """Keeps a minute of the fleet's history, and none before the minute `oldest`."""
        if self._writer is not None:
            self._minutes[minute.number] = minute.samples
            self._oldest_minute = oldest
            # A disk that takes none for longer than they are kept.
            for number in [each for each in self._minutes if each < oldest]:
                del self._minutes[number]
            self._due_soon()

    def health(self) -> StoreHealth:
        return StoreHealth(
            is_ok=self._failing is None,
            reason=self._failing,
            waiting=self._waiting(),
            lost_total=self._lost_total + self._fleet.lost_entries_total,
            written_total=self._written_total,
        )

    def _waiting(self) -> int:
        """Changes that are not written; what a fleet keeps itself waits for nothing."""
        lines = len(self._audit) if self._store.outlives else 0
        return self._fleet.unsaved_total() + lines + len(self._minutes) + bool(self._pruning)

    def _due_soon(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(INTERVAL, self._due.set)

    async def _write_behind(self) -> None:
        while True:
            if not self._closing.is_set():
                looking = self._loop.call_later(LOOK_INTERVAL, self._due.set)
                await self._due.wait()
                looking.cancel()
            await self._write_until_written()
            is_done = self._failing is not None or not self._waiting()
            if self._closing.is_set() and is_done:
                return

    async def _write_until_written(self) -> None:
        """Writes what has changed, and what changes while the store takes nothing; gives up only
        when it is being closed."""
        delay, most = RETRY_AFTER
        while not await self._write():
            if self._closing.is_set():
                return
            await _wait(self._closing, delay)
            delay = min(2 * delay, most)

    async def _write(self) -> bool:
        """Writes what there is; whether it is done with."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        changes = self._fleet.unsaved(self.clock.now(), self._offsets())
        minutes = tuple(map(Minute._make, self._minutes.items()))
        audit = self._audit.all()
        upkeep = Upkeep(self._pruning, audit, minutes, self._oldest_minute if minutes else 0)
        self._written_for, self._waiters = [*self._written_for, *self._waiters], []
        try:
            await self._store.write(changes, upkeep)
        except Exception as error:
            if _is_disk_trouble(error):
                self._fail(error)
                return False
            # Tried again it would fail again, and hold up everything behind it for ever.
            _log.exception("store_batch_lost", changes=len(changes))
            self._lost_total += len(changes)
            self._refuse(error)
        else:
            self._recover()
            self._written_total += len(changes)
        self._fleet.saved(changes.version)
        if self._pruning is upkeep.pruning:
            self._pruning = None
        if audit:
            self._audit.drop_to(audit[-1].number)
        for minute in minutes:
            if self._minutes.get(minute.number) is minute.samples:
                del self._minutes[minute.number]
        _settle(self._written_for, None)
        return True

    def _fail(self, error: Exception) -> None:
        if self._failing is None:
            self._failing_since = time.monotonic()
            _log.error("store_failing", path=self._path, reason=str(error))
        self._failing = str(error)
        self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        """Fails every `written` that waits: what it waits for is not written soon, or ever."""
        _settle(self._written_for, error)
        _settle(self._waiters, error)

    def _recover(self) -> None:
        if self._failing is not None:
            seconds = round(time.monotonic() - self._failing_since, 3)
            _log.info("store_recovered", path=self._path, seconds=seconds)
            self._failing = None


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
