"""Timelines in a file: a row holds some entries of one agent, and is named by the newest of them.

Their index is by parts of 16,384 numbers that follow one another, and in each by agent: new rows go
to its end, into few pages, however much the file holds. By agent alone each of them dirtied a page
of its own. An agent is looked for in every part: 2,000,000 entries are 123 of them.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from dscore.store import reading
from dscore.store.reading import Damage, checked
from dscore.store.rows import Pruning

TIMELINE_LENGTH = 200
"""Entries of each agent's timeline, as in the fleet's own (`rust/fleet/src/timeline.rs`)."""
TIMELINES_LENGTH = 2_000_000
"""Entries of all timelines together, some 400 MB: what a fleet of 10,000 fills."""
PRUNE_SLICE = 50_000
"""Entries deleted at a time, in about 0.1 s; the next prune goes on."""
TRIM_SLICE = 128
"""New rows whose agents' timelines are counted at a time, in 0.1 to 0.5 s where all are full; the
next prune goes on."""
TRIM_BEHIND = 16_384
"""Entries that may wait for that. The oldest are passed over past it: an agent that goes on growing
is met again."""
SAMPLE = 1000
"""Entries looked at to find out how large one is."""
ROW_BYTES = 40
"""Of a row of entries and its place in the index, beside the entries."""

# The parts that hold rows, newest first; counted down, a damaged number would be parts without end.
_PARTS = (
    "WITH RECURSIVE parts(part) AS (SELECT max(number) >> 14 FROM timelines UNION ALL "
    "SELECT (SELECT max(number) >> 14 FROM timelines WHERE number < part << 14) FROM parts "
    "WHERE part IS NOT NULL)"
)
_OF_AGENTS = "parts CROSS JOIN timelines ON number >> 14 = part AND agent IN ({})"
# Of rows that are not older as a whole the oldest may hold entries that are.
_READ = (
    f"{_PARTS}, own(number) AS (SELECT number FROM {_OF_AGENTS.format('?')}) "
    "SELECT number, count, entries FROM timelines WHERE number IN own AND number <= "
    "coalesce((SELECT min(number) FROM own WHERE number >= ?), ?) ORDER BY number DESC"
)
_DELETE = f"{_PARTS} DELETE FROM timelines WHERE number IN "
# In floats: whole numbers that are damaged may have no sum.
_TRIM = (
    f"{_DELETE} (SELECT number FROM (SELECT number, count, "
    "total(count) OVER (PARTITION BY agent ORDER BY number DESC) AS so_far FROM "
    + _OF_AGENTS.format("SELECT agent FROM timelines WHERE number > ? AND number <= ?")
    + ") WHERE so_far - count >= ?)"
)

FORGET: Final = f"{_DELETE} (SELECT number FROM {_OF_AGENTS})"
"""Deletes the rows of some agents."""
# What was written before, and it was not told: the file was gone at once.
WRITE: Final = "INSERT INTO timelines VALUES {} ON CONFLICT DO NOTHING"
"""Adds rows."""


def last_number(db: sqlite3.Connection) -> int:
    (number,) = db.execute("SELECT coalesce(max(number), 0) FROM timelines").fetchone()
    return int(number)


def read(
    db: sqlite3.Connection, agent: int, limit: int, before: int | None
) -> tuple[list[tuple[int, int, str, bytes]], Sequence[Damage]]:
    """The newest entries of an agent, newest first, and the rows that are damaged."""
    before = (1 << 63) - 1 if before is None else before
    damages: list[Damage] = []
    entries: list[tuple[int, int, str, bytes]] = []
    with closing(db.execute(_READ, (agent, before, before))) as rows:
        # A row that is damaged counts for no limit: what is older must not be hidden by it.
        for found in checked("timelines", rows, reading.entries, damages):
            entries += [row for row in found if row[0] < before]
            if len(entries) >= limit:
                break
    return entries[:limit], damages


def prune(db: sqlite3.Connection, pruning: Pruning, trimmed: int) -> int:
    """Keeps timelines within their age, their number and their bytes, each and all together.

    Args:
        trimmed: the rows up to this number were looked at by earlier prunes.

    Returns:
        The same, of this one.
    """
    # Numbers grow with time, so what is too old is found without looking at the rest.
    first, last = db.execute(
        "SELECT coalesce(min(number), 0), coalesce(max(number), 0) FROM timelines"
    ).fetchone()
    cut = max(pruning.to + 1, last + 1 - min(TIMELINES_LENGTH, _fitting(db, last, pruning)))
    db.execute("DELETE FROM timelines WHERE number < ?", (min(cut, first + PRUNE_SLICE),))
    return _trim(db, max(trimmed, last - TRIM_BEHIND))


def _trim(db: sqlite3.Connection, trimmed: int) -> int:
    """Keeps timelines that have grown within their number, those first that grew first."""
    (to,) = db.execute(
        "SELECT max(number) FROM "
        "(SELECT number FROM timelines WHERE number > ? ORDER BY number LIMIT ?)",
        (trimmed, TRIM_SLICE),
    ).fetchone()
    if to is None:
        return trimmed
    db.execute(_TRIM, (trimmed, to, TIMELINE_LENGTH))
    return int(to)


def _fitting(db: sqlite3.Connection, last: int, pruning: Pruning) -> int:
    """How many entries fit the bytes of all timelines, if all are like the newest."""
    size, count = db.execute(
        "SELECT total(length(entries) + ?), total(count) FROM timelines "
        "WHERE number > ? AND count > 0",
        (ROW_BYTES, last - SAMPLE),
    ).fetchone()
    return int(pruning.max_bytes / (size / count)) if size and count else pruning.max_bytes
