"""The SQLite file: opened, read, written batch by batch. For one thread only, which may block.

Rows go in many to a statement. sqlite3 gives up the interpreter's lock for each step and must get
it back after: row by row, a busy event loop would let it have one row for every 5 ms.
"""

import fcntl
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from sys import intern
from typing import NamedTuple, TextIO, TypeVar, cast

from dscore.errors import StoreError
from dscore.messages import ReasonCode, Status
from dscore.store.batch import Batch
from dscore.store.rows import Entry, Session, StoredAgent
from dscore.store.schema import TooNewError, migrate
from dscore.store.timeline import TIMELINE_LENGTH

PARAMETERS = 640
"""Of one statement, in as many rows as that makes: bound in about 0.1 ms, for which the event loop
may have to wait. Compiled, they take some 100 KB."""
CACHED_STATEMENTS = 2
"""Statements kept compiled: a long batch repeats one again and again. Each number of rows is a
statement of its own, and all that ever were would be megabytes."""
TIMELINES_LENGTH = 2_000_000
"""Entries of all timelines together, some 400 MB: what a fleet of 10,000 fills."""
PRUNE_SLICE = 50_000
"""Entries deleted at a time, in about 0.1 s; the next prune goes on."""

_CONFLICTS = {
    "agents": (
        "ON CONFLICT DO UPDATE SET status = excluded.status, state = excluded.state, "
        "reason_code = excluded.reason_code, ip = excluded.ip, dialect = excluded.dialect, "
        "generation = excluded.generation, introduced_by = excluded.introduced_by, "
        "connected_at = excluded.connected_at, changed_at = excluded.changed_at, "
        "config = excluded.config"
    ),
    "last_seen": (
        "ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at, "
        "heartbeat_at = coalesce(excluded.heartbeat_at, heartbeat_at)"
    ),
    "sessions": (
        "ON CONFLICT DO UPDATE SET last_close = excluded.last_close, left_at = excluded.left_at, "
        "dropped = excluded.dropped"
    ),
    "outbox": "",
    "events": "",
}
_COLUMNS = {"agents": 11, "last_seen": 3, "sessions": 4, "outbox": 3, "events": 5}


T = TypeVar("T")


class Loaded(NamedTuple):
    """All that a file held, timelines excepted."""

    agents: list[StoredAgent]
    sessions: dict[str, Session]
    alive_at: int | None
    last_message: int
    last_entry: int


class Database:
    """One file and the connection to it, which is opened anew after every failure."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._lock: TextIO | None = None
        self._trimmed = 0
        """Timelines are no longer than they may be, up to the entry of this number."""

    def load(self) -> Loaded:
        """Opens the file, makes it if there is none, and reads it.

        Raises:
            StoreError: says what is wrong with it.
        """
        try:
            self._take_lock()
            db = self._connection()
            loaded = Loaded(
                _agents(db),
                _sessions(db),
                *db.execute(
                    "SELECT (SELECT alive_at FROM process), "
                    "(SELECT coalesce(max(number), 0) FROM outbox), "
                    "(SELECT coalesce(max(number), 0) FROM events)"
                ).fetchone(),
            )
        except (sqlite3.Error, TooNewError, OSError) as error:
            self.close()
            raise StoreError(f"cannot open the store {self._path}: {error}") from error
        self._trimmed = loaded.last_entry
        return loaded

    def write(self, batch: Batch) -> None:
        """Writes all of it in one transaction.

        Raises:
            sqlite3.Error: nothing was written.
        """
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            _write(db, batch)
            if batch.prune_before is not None:
                self._prune(db, batch.prune_before)
            db.execute("COMMIT")
        except BaseException:
            # A file that was full or read-only is only found mended by one who opens it again.
            self._disconnect()
            raise

    def timeline(self, agent_id: str, limit: int, before: int | None) -> list[Entry]:
        """The newest entries of an agent, newest first.

        Raises:
            sqlite3.Error: they cannot be read.
        """
        rows = self._connection().execute(
            "SELECT number, agent_id, at, kind, data FROM events "
            "WHERE agent_id = ? AND number < ? ORDER BY number DESC LIMIT ?",
            (agent_id, (1 << 63) - 1 if before is None else before, limit),
        )
        return [Entry._make(row) for row in rows]

    def close(self) -> None:
        """Lets go of the file."""
        self._disconnect()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        # A file of its own: SQLite's locks on the database end when any descriptor of it is closed.
        self._lock = open(f"{self._path}.lock", "w")  # noqa: SIM115 -- held until `close`
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another server uses it; choose another --store") from None

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = _connect(self._path)
        return self._db

    def _disconnect(self) -> None:
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def _prune(self, db: sqlite3.Connection, before: int) -> None:
        """Keeps timelines within their age and their number, each and all together."""
        # Numbers grow with time, so what is too old is found without looking at the rest.
        first, last, fresh = db.execute(
            "SELECT coalesce(min(number), 0), coalesce(max(number), 0), "
            "(SELECT number FROM events WHERE at >= ? ORDER BY number LIMIT 1) FROM events",
            (before,),
        ).fetchone()
        cut = max(last + 1 if fresh is None else fresh, last - TIMELINES_LENGTH)
        db.execute("DELETE FROM events WHERE number < ?", (min(cut, first + PRUNE_SLICE),))
        db.execute(
            "DELETE FROM events WHERE number IN (SELECT events.number "
            "FROM (SELECT DISTINCT agent_id FROM events WHERE number > ?) AS grown "
            "JOIN events ON events.agent_id = grown.agent_id AND events.number <= "
            "(SELECT number FROM events WHERE agent_id = grown.agent_id "
            "ORDER BY number DESC LIMIT 1 OFFSET ?))",
            (self._trimmed, TIMELINE_LENGTH),
        )
        self._trimmed = last


def _connect(path: str) -> sqlite3.Connection:
    # No transactions but our own; another program that writes for a moment is waited for.
    db = sqlite3.connect(
        path, timeout=2.0, isolation_level=None, cached_statements=CACHED_STATEMENTS
    )
    try:
        # With NORMAL a commit outlives the process at once, and a power cut once the log was
        # checkpointed; the file is whole after either.
        db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; "
            "PRAGMA cache_size = -400; PRAGMA journal_size_limit = 16777216;"
        )
        migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _agents(db: sqlite3.Connection) -> list[StoredAgent]:
    rows = db.execute(
        "SELECT agents.*, seen_at, heartbeat_at FROM agents LEFT JOIN last_seen USING (agent_id) "
        "ORDER BY changed_at"
    )
    # A row brings its own copy of every word; a fleet needs one of each.
    return [
        StoredAgent(
            agent_id,
            cast(Status, intern(status)),
            intern(state),
            cast(ReasonCode, intern(reason_code)) if reason_code else None,
            intern(ip),
            intern(dialect),
            generation,
            intern(introduced_by),
            *rest,
        )
        for (
            agent_id,
            status,
            state,
            reason_code,
            ip,
            dialect,
            generation,
            introduced_by,
            *rest,
        ) in rows
    ]


def _sessions(db: sqlite3.Connection) -> dict[str, Session]:
    sessions = {
        agent_id: Session(last_close, None if left_at is None else left_at / 1000, None, dropped)
        for agent_id, last_close, left_at, dropped in db.execute("SELECT * FROM sessions")
    }
    for number, agent_id, message in db.execute(
        "SELECT number, agent_id, message FROM outbox JOIN sessions USING (agent_id) "
        "ORDER BY number"
    ):
        outbox = sessions[agent_id].outbox
        if outbox is None:
            outbox = deque()
            sessions[agent_id] = sessions[agent_id]._replace(outbox=outbox)
        outbox.append((number, message))
    return sessions


def _write(db: sqlite3.Connection, batch: Batch) -> None:
    _insert(db, "events", batch.entries)
    db.executemany(
        "DELETE FROM events WHERE agent_id = ? AND number <= ?", list(batch.forgotten.items())
    )
    _replace(db, "agents", batch.agents)
    _delete(db, "last_seen", batch.forgotten)
    _insert(db, "last_seen", batch.seen)
    _replace(db, "sessions", batch.sessions)
    _insert(db, "outbox", batch.messages.values())
    for part in _parts(batch.delivered, 1):
        db.execute(f"DELETE FROM outbox WHERE number IN ({_marks(len(part))})", part)
    alive_at = round(time.time() * 1000)
    db.execute(
        "INSERT INTO process VALUES (1, ?) ON CONFLICT DO UPDATE SET alive_at = excluded.alive_at",
        (alive_at,),
    )


def _replace(
    db: sqlite3.Connection, table: str, rows: Mapping[str, Sequence[object] | None]
) -> None:
    _delete(db, table, (agent_id for agent_id, row in rows.items() if row is None))
    # What an agent has besides its own columns is in `last_seen`.
    width = _COLUMNS[table]
    _insert(db, table, (row[:width] for row in rows.values() if row is not None))


def _delete(db: sqlite3.Connection, table: str, agent_ids: Iterable[str]) -> None:
    for part in _parts(agent_ids, 1):
        db.execute(f"DELETE FROM {table} WHERE agent_id IN ({_marks(len(part))})", part)


def _insert(db: sqlite3.Connection, table: str, rows: Iterable[Sequence[object]]) -> None:
    for part in _parts(rows, _COLUMNS[table]):
        db.execute(_insertion(table, len(part)), list(chain.from_iterable(part)))


def _insertion(table: str, rows: int) -> str:
    values = ",".join([f"({_marks(_COLUMNS[table])})"] * rows)
    return f"INSERT INTO {table} VALUES {values} {_CONFLICTS[table]}"


def _marks(count: int) -> str:
    return ",".join("?" * count)


def _parts(items: Iterable[T], parameters: int) -> Iterator[list[T]]:
    """Of such a length that each makes one statement, with so many parameters an item."""
    left = iter(items)
    while part := list(islice(left, PARAMETERS // parameters)):
        yield part
