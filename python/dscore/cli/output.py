"""What commands print: JSON for programs, tables and bars for people.

Results go to stdout, progress to stderr. Everything that comes from an agent is made harmless
first: an id may hold a terminal's control sequences.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from json import dumps
from typing import Any

import orjson
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from dscore.cli.streams import is_written_in_full

PIPE_WIDTH = 10_000
"""Columns where no terminal sets a width: nothing is cut or folded."""
NAMED = 10
"""Agents named in a sentence; the document has more."""
NARROWEST = 4
"""Columns that every cell but the first of a row is left, the gap before it included."""


def json(document: Any) -> None:
    """Prints a document."""
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    text = orjson.dumps(document, option=option).decode()
    if not is_written_in_full(text):
        text = dumps(document, indent=2) + "\n"  # JSON has escapes of its own
    sys.stdout.write(text)
    sys.stdout.flush()


def record(document: Any) -> None:
    """Prints a document in one line, of many."""
    text = orjson.dumps(document).decode()
    line(text if is_written_in_full(text) else dumps(document))


def line(text: str) -> None:
    """Prints one line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """Prints one line to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def agents(count: int) -> str:
    """So many, in words."""
    return "1 agent" if count == 1 else f"{count:,} agents"


def named(ids: Sequence[str], total: int) -> str:
    """The first ids of `total`, and how many more there are."""
    first = ", ".join(map(printable, ids[:NAMED])) or "none"
    return f"{first} and {total - NAMED:,} more" if total > NAMED else first


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, red: str = "") -> None:
    """Prints rows under headings; cells equal to `red` are coloured on a terminal."""
    console = Console(
        file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False
    )
    console.print(grid(headings, rows, console.width, red=red))


def grid(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    width: int,
    *,
    red: str = "",
    fold: bool = True,
) -> Table:
    """Rows under headings. Cells that are too wide are folded, or cut to keep a row in its line;
    those of the first column, by which a row is found, only when there is no room beside them.

    Args:
        headings: Of the columns.
        rows: As many cells each.
        width: Columns of the terminal.
        red: Cells equal to it are red.
        fold: Else a row stays in its line.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widest = max((cell_len(row[0]) for row in cells), default=0)
    is_whole = widest + (len(headings) - 1) * NARROWEST <= width
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        # Rich takes from columns that may wrap first; a cell of one line is then cut all the same.
        table.add_column(
            heading,
            overflow="fold" if fold else "ellipsis",
            no_wrap=number == 0 and (is_whole or not fold),
        )
    for row in cells:
        table.add_row(*(Text(cell, "red" if cell == red else "", no_wrap=not fold) for cell in row))
    return table


def printable(text: str) -> str:
    """The text with everything escaped that is no visible character."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def ago(timestamp: str | None, now: datetime) -> str:
    """How long ago a timestamp of the server was."""
    if timestamp is None:
        return "-"
    return f"{span((now - _moment(timestamp)).total_seconds())} ago"


def until(timestamp: str, now: datetime) -> str:
    """How long it is until a timestamp of the server."""
    return span((_moment(timestamp) - now).total_seconds())


def _moment(timestamp: str) -> datetime:
    return datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def span(seconds: float) -> str:
    """A duration in its two largest units, for people."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


class _Progress(Progress):
    """A bar with lines under it."""

    lines: Sequence[str] = ()

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in self.lines)


class Bar:
    """A progress bar that may be no bar at all."""

    def __init__(self, progress: _Progress | None, task: Any) -> None:
        self._progress = progress
        self._task = task

    def update(self, done: int, total: int) -> None:
        """So many of so many."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done, total=total)

    def below(self, lines: Sequence[str]) -> None:
        """Lines under the bar, in the place of those before."""
        if self._progress is not None:
            self._progress.lines = lines

    def __bool__(self) -> bool:
        return self._progress is not None


@contextmanager
def bar(what: str, *, quiet: bool) -> Iterator[Bar]:
    """A progress bar on stderr; none when that is no terminal, or when asked to be quiet."""
    if quiet or not sys.stderr.isatty():
        yield Bar(None, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with _Progress(*columns, console=Console(stderr=True)) as progress:
        yield Bar(progress, progress.add_task(what, total=None))
