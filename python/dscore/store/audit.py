"""The audit in a file: what was done by means of the operator API, and what was refused of it."""

import sqlite3
from collections.abc import Sequence
from itertools import islice

from dscore.store import reading
from dscore.store.reading import Damage, checked
from dscore.store.rows import AuditRow

LENGTH = 100_000
"""Lines of what was done: one every 26 s for 30 days."""
REFUSED_LENGTH = 10_000
"""Lines of what was refused to an unknown sender, whom they cost nothing."""


def last_number(db: sqlite3.Connection) -> int:
    (number,) = db.execute("SELECT coalesce(max(number), 0) FROM audit").fetchone()
    return int(number)


def read(
    db: sqlite3.Connection, limit: int, before: int | None
) -> tuple[list[AuditRow], Sequence[Damage]]:
    """The newest lines, newest first, and those that are damaged."""
    rows = db.execute(
        "SELECT number, at, age, refused, data FROM audit WHERE number < ? ORDER BY number DESC",
        ((1 << 63) - 1 if before is None else before,),
    )
    damages: list[Damage] = []
    found = list(islice(checked("audit", rows, reading.audit, damages), limit))
    rows.close()
    return found, damages


def prune(db: sqlite3.Connection, before: int) -> None:
    """Keeps the audit within its age, and both kinds of it within their number: what is refused
    pushes nothing out that was done."""
    db.execute("DELETE FROM audit WHERE age < ?", (before,))
    for refused, most in enumerate((LENGTH, REFUSED_LENGTH)):
        db.execute(
            "DELETE FROM audit WHERE refused = ? AND number <= (SELECT number FROM audit "
            "WHERE refused = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (refused, refused, most),
        )
