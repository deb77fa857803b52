"""Events with stable names and fields, over the standard `logging`.

An embedding program decides where lines go, so a record reads well on its own
(`connected url=ws://…`), and keeps its parts for handlers that want them: `record.event` and
`record.fields`. `dscore.log` would load more than an edge program should have to.
"""

import logging
import math
import select
import time
from collections.abc import Mapping
from typing import Any

MAX_VALUE = 500
"""Characters of a value: some come from the network."""
LIMIT_LINES = 50
LIMIT_SECONDS = 10.0


class Log:
    """The logger of one module."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        self._say(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, *, error: BaseException | None = None, **fields: Any) -> None:
        """An error, with the traceback of `error` if there is one."""
        self._say(logging.ERROR, event, fields, error)

    def lines(self, level: int, lines: list[str]) -> None:
        """Plain lines, one record each."""
        for line in lines:
            self._say(level, line, {})

    def is_enabled_for(self, level: int) -> bool:
        """A line of this level would be written."""
        return self._logger.isEnabledFor(level)

    def _say(
        self,
        level: int,
        event: str,
        fields: Mapping[str, Any],
        error: BaseException | None = None,
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        fields = {name: _cut(value) for name, value in fields.items()}
        words = [event, *(f"{name}={_shown(value)}" for name, value in fields.items())]
        record = self._logger.makeRecord(
            self._logger.name,
            level,
            __file__,
            0,
            "%s",
            (" ".join(words),),
            None if error is None else (type(error), error, error.__traceback__),
            extra={"event": event, "fields": fields},
        )
        _handle(self._logger, record)


class LineLimit:
    """Lines that a server or an element decides the number of: they must not fill a disk.

    Fifty in ten seconds; with the first one after that it is said how many were left out.
    """

    def __init__(self, log: Log, reason: str) -> None:
        """Has written nothing yet.

        Args:
            log: Where the lines go.
            reason: Why lines are left out, for `lines_left_out`.
        """
        self._log = log
        self._reason = reason
        self._since = -math.inf
        self._lines = 0
        """Those left out included."""

    def info(self, event: str, **fields: Any) -> None:
        if self._allows():
            self._log.info(event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        if self._allows():
            self._log.warning(event, **fields)

    def error(self, event: str, *, error: BaseException | None = None, **fields: Any) -> None:
        if self._allows():
            self._log.error(event, error=error, **fields)

    def _allows(self) -> bool:
        now = time.monotonic()
        if now - self._since >= LIMIT_SECONDS:
            left_out, self._lines, self._since = self._lines - LIMIT_LINES, 0, now
            if left_out > 0:
                self._log.warning("lines_left_out", count=left_out, reason=self._reason)
        self._lines += 1
        return self._lines <= LIMIT_LINES


def _handle(logger: logging.Logger, record: logging.LogRecord) -> None:
    """What `logging` does with a record, past handlers that would block.

    A pipe that is read by no process fills up, and then holds every writer for good: the agent, and
    whatever it stops, must not be among them. The lock of such a handler may be held, too.
    """
    if logger.disabled or not logger.filter(record):
        return
    for handler in _handlers(logger):
        if record.levelno >= handler.level and not _is_full(handler):
            handler.handle(record)


def _handlers(logger: logging.Logger) -> list[logging.Handler]:
    found: list[logging.Handler] = []
    at: logging.Logger | None = logger
    while at is not None:
        found += at.handlers
        at = at.parent if at.propagate else None
    return found or ([logging.lastResort] if logging.lastResort is not None else [])


def _is_full(handler: logging.Handler) -> bool:
    """It writes into a pipe or the like that has no room now."""
    try:
        descriptor = handler.stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
    poller = select.poll()
    poller.register(descriptor, select.POLLOUT)
    return not poller.poll(0)


def _cut(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"


def _shown(value: object) -> str:
    text = str(value)
    # Reasons come from the network: nothing in them may break a line or move a cursor.
    return text if text.isprintable() and text and not set(text) & set(" =\"'") else repr(text)
