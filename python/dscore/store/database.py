"""The SQLite file: opened, read, written batch by batch. For one thread only, which may block.

Rows go in many to a statement. sqlite3 gives up the interpreter's lock for each step and must get
it back after: row by row, a busy event loop would let it have one row for every 5 ms.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dscore.errors import StoreError
from dscore.log import get_logger
from dscore.store import audit, reading
from dscore.store.batch import Batch, Pruning
from dscore.store.marks import Mark
from dscore.store.place import Place
from dscore.store.reading import Damage, checked
from dscore.store.remedies import why_not
from dscore.store.rows import AuditRow, Entry, MessageRow, Minute, SessionRow, StoredAgent
from dscore.store.schema import TooNewError, migrate
from dscore.store.timeline import TIMELINE_LENGTH

if TYPE_CHECKING:
    from dscore._core import Changes

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
SAMPLE = 1000
"""Entries looked at to find out how large one is."""
ROW_BYTES = 40
"""Of an entry and its place in the index, beside its texts."""

_AGENTS = (
    "SELECT agents.agent_id, status, state, reason_code, ip, dialect, generation, introduced_by, "
    "connected_at, changed_at, config, seen_at, heartbeat_at "
    "FROM agents LEFT JOIN last_seen USING (agent_id) ORDER BY changed_at"
)

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
    # Written before, and it was not told: the file was gone at once.
    "outbox": "ON CONFLICT DO NOTHING",
    "events": "ON CONFLICT DO NOTHING",
    "audit": "ON CONFLICT DO NOTHING",
    "history": "ON CONFLICT DO UPDATE SET samples = excluded.samples",
}
_log = get_logger("dscore.store")

_COLUMNS = {
    "agents": 11,
    "last_seen": 3,
    "sessions": 4,
    "outbox": 3,
    "events": 5,
    "audit": 5,
    "history": 2,
}
_NUMBERED = frozenset(("outbox", "events", "marks", "history", "audit"))
"""Tables whose rows have a number; the others, an agent id."""


T = TypeVar("T")


class Loaded(NamedTuple):
    """All that a file held, timelines excepted."""

    agents: list[StoredAgent]
    sessions: list[SessionRow]
    messages: list[MessageRow]
    alive_at: int | None
    age: int | None
    """Where the age clock stood; None: in a new file."""
    last_entry: int
    last_audit: int
    marks: list[Mark]
    history: list[Minute]
    damages: list[Damage]


class Database:
    """One file and the connection to it, which is opened anew after every failure."""

    def __init__(self, path: str) -> None:
        """Touches nothing yet."""
        self._path = path
        self._place = Place(path)
        self._db: sqlite3.Connection | None = None
        self._trimmed = 0
        """Timelines are no longer than they may be, up to the entry of this number."""

    def load(self) -> Loaded:
        """Opens the file, makes it if there is none, and reads it. Damaged rows are taken out.

        Raises:
            StoreError: says what is wrong with it.
        """
        try:
            self._place.hold()
            loaded = _load(self._connection())
            self._trimmed = loaded.last_entry
            self._take_out(loaded.damages)
            if self._place.is_open_to_others:
                remedy = f"chmod 600 {quote(self._place.real)}"
                _log.warning("store_readable", path=self._path, remedy=remedy)
        except (sqlite3.Error, TooNewError, OSError) as error:
            self._disconnect()
            self._place.give_up()
            raise StoreError(why_not(self._path, error)) from error
        return loaded

    def write(self, batch: Batch, alive_at: int, age: int) -> None:
        """Writes all of it in one transaction, to the file that is where it should be.

        Args:
            alive_at: the time, in Unix milliseconds.
            age: the same moment on the age clock.

        Raises:
            sqlite3.Error: nothing was written.
            OSError: the file is gone, and cannot be put back.
        """
        self.look()
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            _write(db, batch)
            db.execute(
                "INSERT INTO process (one, alive_at, age) VALUES (1, ?, ?) "
                "ON CONFLICT DO UPDATE SET alive_at = excluded.alive_at, age = excluded.age",
                (alive_at, age),
            )
            if batch.pruning is not None:
                self._prune(db, batch.pruning)
            db.execute("COMMIT")
        except BaseException:
            # A file that was full or read-only is only found mended by one who opens it again.
            self._disconnect()
            raise
        # Once more: what went into a file that is gone is lost
        self.look()

    def look(self) -> None:
        """Sees that the file is where it should be, and puts it back if it is not: all that it
        holds, for it is still open here.

        Raises:
            sqlite3.Error: it cannot be read.
            OSError: it cannot be put back.
        """
        missing = self._place.missing()
        if missing is None:
            return
        try:
            if self._db is not None:
                self._settle_log(self._db)
                self._disconnect()
            aside = self._place.restore()
        except (OSError, sqlite3.Error) as error:
            raise OSError(f"{missing}, and it cannot be put back: {error}") from error
        _log.warning(
            "store_restored", path=self._path, file=self._place.real, reason=missing, aside=aside
        )

    def timeline(self, agent_id: str, limit: int, before: int | None) -> tuple[list[Entry], int]:
        """The newest entries of an agent, newest first, and how many were damaged.

        Raises:
            sqlite3.Error: they cannot be read.
        """
        rows = self._connection().execute(
            "SELECT number, agent_id, at, kind, data FROM events "
            "WHERE agent_id = ? AND number < ? ORDER BY number DESC",
            (agent_id, (1 << 63) - 1 if before is None else before),
        )
        damages: list[Damage] = []
        # Those that are damaged count for no limit: what is older must not be hidden by them.
        entries = list(islice(checked("events", rows, reading.entry, damages), limit))
        rows.close()
        with suppress(sqlite3.Error):  # In a file that takes no writes they are named again.
            self._take_out(damages)
        return entries, len(damages)

    def audit(self, limit: int, before: int | None) -> tuple[list[AuditRow], int]:
        """The newest lines of the audit, newest first, and how many were damaged.

        Raises:
            sqlite3.Error: they cannot be read.
        """
        lines, damages = audit.read(self._connection(), limit, before)
        with suppress(sqlite3.Error):
            self._take_out(damages)
        return lines, len(damages)

    def close(self) -> None:
        """Lets go of the file."""
        self._disconnect()
        self._place.let_go()

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = _connect(self._place.real)
            self._place.opened()
        return self._db

    def _disconnect(self) -> None:
        if self._db is not None:
            self._place.closed()
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    @staticmethod
    def _settle_log(db: sqlite3.Connection) -> None:
        """Brings all that is in the log into the file, which is copied without it."""
        row = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if row is not None and row[0]:
            raise sqlite3.OperationalError("another program reads it")

    def _take_out(self, damages: Sequence[Damage]) -> None:
        """Takes damaged rows out of the file, so that they are named once."""
        _name(damages)
        for table, key, _ in damages:
            column = "number" if table in _NUMBERED else "agent_id"
            # Undecoded, a text is bytes here, and no text is equal to bytes.
            self._connection().execute(
                f"DELETE FROM {table} WHERE {column} IS ? OR {column} = CAST(? AS TEXT)", (key, key)
            )

    def _prune(self, db: sqlite3.Connection, pruning: Pruning) -> None:
        """Keeps timelines within their age, their number and their bytes, each and all together."""
        # Numbers grow with time, so what is too old is found without looking at the rest.
        first, last = db.execute(
            "SELECT coalesce(min(number), 0), coalesce(max(number), 0) FROM events"
        ).fetchone()
        cut = max(pruning.to + 1, last - min(TIMELINES_LENGTH, _fitting(db, last, pruning)))
        db.execute("DELETE FROM events WHERE number < ?", (min(cut, first + PRUNE_SLICE),))
        db.execute(
            "DELETE FROM events WHERE number IN (SELECT events.number "
            "FROM (SELECT DISTINCT agent_id FROM events WHERE number > ?) AS grown "
            "JOIN events ON events.agent_id = grown.agent_id AND events.number <= "
            "(SELECT number FROM events WHERE agent_id = grown.agent_id "
            "ORDER BY number DESC LIMIT 1 OFFSET ?))",
            (self._trimmed, TIMELINE_LENGTH),
        )
        audit.prune(db, pruning.before)
        db.execute("DELETE FROM marks")
        db.executemany("INSERT INTO marks VALUES (?, ?)", pruning.marks)
        self._trimmed = last


def _fitting(db: sqlite3.Connection, last: int, pruning: Pruning) -> int:
    """How many entries fit the bytes of all timelines, if all are like the newest."""
    (size,) = db.execute(
        "SELECT avg(length(data) + length(kind) + 2 * length(agent_id)) FROM events "
        "WHERE number > ?",
        (last - SAMPLE,),
    ).fetchone()
    return int(pruning.max_bytes / ((size or 0) + ROW_BYTES))


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
        db.text_factory = reading.text
    except BaseException:
        db.close()
        raise
    return db


def _load(db: sqlite3.Connection) -> Loaded:
    damages: list[Damage] = []
    agents = list(checked("agents", db.execute(_AGENTS), reading.agent, damages))
    known = {agent.agent_id for agent in agents}
    rows = db.execute("SELECT agent_id, last_close, left_at, dropped FROM sessions")
    sessions = list(checked("sessions", rows, partial(reading.session, known), damages))
    known = {session.agent_id for session in sessions}
    rows = db.execute("SELECT number, agent_id, message FROM outbox ORDER BY number")
    messages = list(checked("outbox", rows, partial(reading.message, known), damages))
    rows = db.execute("SELECT number, age FROM marks")
    marks = list(checked("marks", rows, reading.mark, damages))
    rows = db.execute("SELECT number, samples FROM history ORDER BY number")
    history = list(checked("history", rows, reading.minute, damages))
    process = db.execute("SELECT alive_at, age FROM process").fetchone()
    alive_at, age = (None, None) if process is None else reading.process(process, agents)
    (last_entry,) = db.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
    last = last_entry, audit.last_number(db)
    return Loaded(agents, sessions, messages, alive_at, age, *last, marks, history, damages)


def _name(damages: Sequence[Damage]) -> None:
    for table, key, reason in damages:
        _log.warning("store_row_dropped", table=table, key=repr(key)[:200], reason=reason)


def _write(db: sqlite3.Connection, batch: Batch) -> None:
    _insert(db, "events", batch.entries)
    db.executemany(
        "DELETE FROM events WHERE agent_id = ? AND number <= ?", list(batch.forgotten.items())
    )
    _insert(db, "audit", batch.audit)
    _replace(db, "agents", batch.agents)
    _delete(db, "last_seen", batch.forgotten)
    _insert(db, "last_seen", batch.seen)
    _delete(db, "sessions", batch.forgotten)
    if batch.changes is not None:
        _write_sessions(db, batch.changes)
    if batch.history:
        _insert(db, "history", batch.history.items())
        db.execute("DELETE FROM history WHERE number < ?", (batch.history_from,))


def _write_sessions(db: sqlite3.Connection, changes: "Changes") -> None:
    _delete(db, "sessions", changes.ended)
    _insert(db, "sessions", changes.sessions)
    _insert(db, "outbox", changes.messages)
    for part in _parts(changes.delivered, 1):
        db.execute(f"DELETE FROM outbox WHERE number IN ({_marks(len(part))})", part)


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
