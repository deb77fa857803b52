"""The SQLite file: opened, read, written batch by batch. For one thread only, which may block.

Rows go in many to a statement. sqlite3 gives up the interpreter's lock for each step and must get
it back after: row by row, a busy event loop would let it have one row for every 5 ms.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING, Any, TypeVar

from dscore.errors import StoreError
from dscore.log import get_logger
from dscore.store import audit, reading, timelines
from dscore.store.place import Place
from dscore.store.reading import Damage, checked
from dscore.store.remedies import why_not
from dscore.store.rows import AuditRow, Loaded, Pruning, StoredAgent, Upkeep
from dscore.store.schema import TooNewError, migrate

if TYPE_CHECKING:
    from dscore._core import Changes

T = TypeVar("T")

PARAMETERS = 640
"""Of one statement, in as many rows as that makes: bound in about 0.1 ms, for which the event loop
may have to wait. Compiled, they take some 100 KB."""
CACHED_STATEMENTS = 2
"""Statements kept compiled: a long batch repeats one again and again. Each number of rows is a
statement of its own, and all that ever were would be megabytes."""

_COLUMNS = StoredAgent._fields
_AGENTS = f"SELECT {', '.join(_COLUMNS)} FROM agents ORDER BY changed_at, number"
_ROW = "INSERT INTO agents VALUES {} ON CONFLICT (number) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _COLUMNS[1:]
)
# An update that may fail in its middle keeps a journal of its own, every page it touches; a batch
# that fails is rolled back as a whole in any case.
_STATE = (
    "UPDATE OR ROLLBACK agents SET state = ?, reason_code = ?, last_close = ?, left_at = ?, "
    "dropped = ?, seen_at = coalesce(?, seen_at), changed_at = ? WHERE {}"
)
_SEEN = (
    "UPDATE OR ROLLBACK agents SET seen_at = coalesce(column2, seen_at), "
    "heartbeat_at = coalesce(column3, heartbeat_at) FROM (VALUES {}) WHERE number = column1"
)
# What was written before, and it was not told: the file was gone at once.
_MESSAGE = "INSERT INTO outbox VALUES {} ON CONFLICT DO NOTHING"
_AUDIT = "INSERT INTO audit VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_MINUTE = "INSERT INTO history VALUES (?, ?) ON CONFLICT DO UPDATE SET samples = excluded.samples"
_DELETE = "DELETE FROM {} WHERE number IN ({{}})"
_TAKE_OUT = {
    "agents": ("DELETE FROM agents WHERE number = ?", timelines.FORGET.format("?")),
    "sessions": (
        "UPDATE agents SET last_close = NULL, left_at = NULL, dropped = 0 WHERE number = ?",
    ),
    "outbox": ("DELETE FROM outbox WHERE number = ?",),
    "timelines": ("DELETE FROM timelines WHERE number = ?",),
    "marks": ("DELETE FROM marks WHERE number = ?",),
    "history": ("DELETE FROM history WHERE number = ?",),
    "audit": ("DELETE FROM audit WHERE number = ?",),
}

_log = get_logger("dscore.store")


class Database:
    """One file and the connection to it, which is opened anew after every failure."""

    def __init__(self, path: str) -> None:
        """Touches nothing yet."""
        self._path = path
        self._place = Place(path)
        self._db: sqlite3.Connection | None = None
        self._trimmed = 0
        """What `timelines.prune` has looked at."""
        self.damaged_total = 0

    def load(self) -> tuple[Loaded, int | None]:
        """Opens the file, makes it if there is none, and reads it. Damaged rows are taken out.

        Returns:
            What it holds, and where the age clock stood; None: in a new file.

        Raises:
            StoreError: says what is wrong with it.
        """
        damages: list[Damage] = []
        try:
            self._place.hold()
            loaded, age = _load(self._connection(), damages)
            self._trimmed = loaded.last_entry
            self._take_out(damages)
            if self._place.is_open_to_others:
                remedy = f"chmod 600 {quote(self._place.real)}"
                _log.warning("store_readable", path=self._path, remedy=remedy)
        except (sqlite3.Error, TooNewError, OSError) as error:
            self._disconnect()
            self._place.give_up()
            raise StoreError(why_not(self._path, error)) from error
        return loaded, age

    def write(self, changes: "Changes", upkeep: Upkeep, alive_at: int) -> None:
        """Writes all of it in one transaction, to the file that is where it should be.

        Args:
            alive_at: the time, in Unix milliseconds.

        Raises:
            sqlite3.Error: nothing was written.
            OSError: the file is gone, and cannot be put back.
        """
        self.look()
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            _write(db, changes)
            db.execute(
                "INSERT INTO process (one, alive_at, age) VALUES (1, ?, ?) "
                "ON CONFLICT DO UPDATE SET alive_at = excluded.alive_at, age = excluded.age",
                (alive_at, changes.age),
            )
            db.executemany(_AUDIT, upkeep.audit)
            if upkeep.minutes:
                db.executemany(_MINUTE, upkeep.minutes)
                db.execute("DELETE FROM history WHERE number < ?", (upkeep.oldest_minute,))
            trimmed = self._trimmed
            if upkeep.pruning is not None:
                trimmed = _prune(db, upkeep.pruning, trimmed)
            db.execute("COMMIT")
            self._trimmed = trimmed
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

    def timeline(
        self, agent: int, limit: int, before: int | None
    ) -> list[tuple[int, int, str, bytes]]:
        """The newest entries of an agent, newest first.

        Raises:
            sqlite3.Error: they cannot be read.
        """
        entries, damages = timelines.read(self._connection(), agent, limit, before)
        with suppress(sqlite3.Error):  # In a file that takes no writes they are named again.
            self._take_out(damages)
        return entries

    def audit(self, limit: int, before: int | None) -> list[AuditRow]:
        """The newest lines of the audit, newest first.

        Raises:
            sqlite3.Error: they cannot be read.
        """
        lines, damages = audit.read(self._connection(), limit, before)
        with suppress(sqlite3.Error):
            self._take_out(damages)
        return lines

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
        self.damaged_total += len(damages)
        for table, key, reason in damages:
            _log.warning("store_row_dropped", table=table, key=repr(key)[:200], reason=reason)
            for statement in _TAKE_OUT[table]:
                self._connection().execute(statement, (key,))


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
            "PRAGMA cache_size = -400; PRAGMA journal_size_limit = 16777216; "
            # Else the journals of single statements are files.
            "PRAGMA temp_store = MEMORY;"
        )
        migrate(db)
        db.text_factory = reading.text
    except BaseException:
        db.close()
        raise
    return db


def _load(db: sqlite3.Connection, damages: list[Damage]) -> tuple[Loaded, int | None]:
    agents = list(checked("agents", db.execute(_AGENTS), reading.agent, damages))
    agents = reading.without_doubles(agents, damages)
    agents = [reading.with_session(agent, damages) for agent in agents]
    known = {agent.agent_id for agent in agents if agent.last_close is not None}
    rows = db.execute("SELECT number, agent_id, message FROM outbox ORDER BY number")
    messages = list(checked("outbox", rows, partial(reading.message, known), damages))
    rows = db.execute("SELECT number, age FROM marks")
    marks = list(checked("marks", rows, reading.mark, damages))
    rows = db.execute("SELECT number, samples FROM history ORDER BY number")
    history = list(checked("history", rows, reading.minute, damages))
    process = db.execute("SELECT alive_at, age FROM process").fetchone()
    alive_at, age = (None, None) if process is None else reading.process(process, agents)
    last_entry, last_audit = timelines.last_number(db), audit.last_number(db)
    return Loaded(agents, messages, last_entry, last_audit, marks, history, alive_at), age


def _prune(db: sqlite3.Connection, pruning: Pruning, trimmed: int) -> int:
    trimmed = timelines.prune(db, pruning, trimmed)
    audit.prune(db, pruning.before)
    db.execute("DELETE FROM marks")
    db.executemany("INSERT INTO marks VALUES (?, ?)", pruning.marks)
    return trimmed


def _write(db: sqlite3.Connection, changes: "Changes") -> None:
    for statement in (_DELETE.format("agents"), timelines.FORGET):
        _delete(db, statement, changes.forgotten)
    _values(db, _ROW, len(_COLUMNS), changes.rows)
    for *values, which in changes.states():
        db.execute(_STATE.format(which), (*values, changes.age))
    _values(db, _SEEN, 3, changes.seen)
    _values(db, timelines.WRITE, 4, changes.entries)
    _values(db, _MESSAGE, 3, changes.messages)
    _delete(db, _DELETE.format("outbox"), changes.delivered)


def _values(
    db: sqlite3.Connection, statement: str, columns: int, rows: Callable[[int, int], list[Any]]
) -> None:
    """Executes a statement with many rows at a time, as many of them as objects."""
    row, most, start, length, text = f"({_marks(columns)})", PARAMETERS // columns, 0, 0, ""
    while values := rows(start, start + most):
        if len(values) != length:
            length = len(values)
            text = statement.format(",".join([row] * (length // columns)))
        db.execute(text, values)
        start += most


def _delete(db: sqlite3.Connection, statement: str, numbers: list[int]) -> None:
    for part in _parts(numbers, PARAMETERS):
        db.execute(statement.format(_marks(len(part))), part)


def _marks(count: int) -> str:
    return ",".join("?" * count)


def _parts(values: list[T], length: int) -> Iterator[list[T]]:
    for start in range(0, len(values), length):
        yield values[start : start + length]
