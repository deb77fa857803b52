"""Logging: events with stable names and fields, cheap enough for one about each of 18,000 agents.

    _log = get_logger("dscore.server")
    _log.debug("agent_introduced", agent_id=agent_id, conn_id=conn)

Field names that mean the same everywhere: `agent_id`, `conn_id`, `request_id`, `close_code`,
`reason`. Names of events are snake_case and never change; what varies is a field.

Until `configure` is called, which only a program of its own does (`dscore serve`), everything goes
to the standard `logging` loggers of the same names: a library does not decide where lines go.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import orjson
from structlog import BoundLoggerBase
from structlog.processors import format_exc_info
from structlog.typing import EventDict

from dscore.config import LogConfig
from dscore.log.render import now, plain_fields, render_json, text_renderer
from dscore.log.writer import Writer

__all__ = [
    "Logger",
    "close",
    "configure",
    "flush",
    "get_logger",
    "lines_lost_total",
    "write_lines",
]

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_STDOUT = 1

Render: TypeAlias = Callable[[str, Literal["info", "warning"]], bytes]
"""Makes lines of a time and the lowest level that is wanted: JSON, a newline behind each."""


class Logger(BoundLoggerBase):
    """A structlog logger, to be bound like any other. Its level is asked before anything is built,
    and no processors are run."""

    @property
    def says_debug(self) -> bool:
        """Whether `debug` writes anything: worth a question where its fields are to be gathered."""
        return _output.level <= logging.DEBUG

    def debug(self, event: str, **fields: Any) -> None:
        if _output.level <= logging.DEBUG:
            self._say("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        if _output.level <= logging.INFO:
            self._say("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        if _output.level <= logging.WARNING:
            self._say("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._say("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error, with the traceback of the exception being handled."""
        self._say("error", event, {"exc_info": True, **fields})

    def _say(self, level: str, event: str, fields: dict[str, Any]) -> None:
        # In one go what structlog does with a chain of processors. Named first, the logger comes
        # before the event; the context has it.
        front = {"timestamp": now(), "level": level, "logger": "", "event": event}
        _output.say({**front, **self._context, **fields})


def get_logger(name: str) -> Logger:
    """The logger of one module; `name` begins with "dscore."."""
    return Logger(None, (), {"logger": name})


def write_lines(render: Render) -> None:
    """Lines that were not built here, in one go, of the same moment: what a batch of events has to
    say, which in a drain is a line about each of hundreds of agents."""
    if _output.level > logging.WARNING:
        return
    block = render(now(), "info" if _output.level <= logging.INFO else "warning")
    if block:
        _output.say_lines(block)


def configure(config: LogConfig, *, fd: int = _STDOUT) -> None:
    """Makes this process write its log to a descriptor. Again: only the level is taken over.

    Warnings and errors of other libraries, which use the standard `logging`, are written too.
    """
    _output.level = _LEVELS[config.level]
    if _output.writer is not None:
        return
    on_terminal = os.isatty(fd)
    as_text = config.format == "text" or (config.format == "auto" and on_terminal)
    colors = on_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    render = text_renderer(colors=colors) if as_text else render_json

    def lines_lost(count: int) -> bytes:
        event = {"event": "log_lines_lost", "lines": count}
        return render({"timestamp": now(), "level": "warning", "logger": "dscore.log", **event})

    writer = _output.writer = Writer(fd, lost=lines_lost)
    _output.say = _written_to(writer, render)
    _output.say_lines = _lines_written_to(writer, render)
    logging.root.addHandler(_OTHERS)
    atexit.register(close)


def flush(seconds: float = 2.0) -> None:
    """Waits until all lines are out; to be called before `os._exit`, which runs nothing else."""
    if _output.writer is not None:
        _output.writer.flush(seconds)


def lines_lost_total() -> int:
    """Lines that this process's log had no room for; 0 where it has none of its own."""
    return 0 if _output.writer is None else _output.writer.lost_total


def close() -> None:
    """Writes what is left and leaves logging to the standard `logging` again."""
    writer, _output.writer = _output.writer, None
    if writer is None:
        return
    atexit.unregister(close)
    logging.root.removeHandler(_OTHERS)
    _output.say, _output.say_lines = _to_standard_logging, _lines_to_standard_logging
    _output.level = logging.NOTSET
    writer.close()


class _Output:
    """Where lines go now, whichever logger they come from."""

    def __init__(self) -> None:
        self.level = logging.NOTSET
        self.say: Callable[[EventDict], None] = _to_standard_logging
        self.say_lines: Callable[[bytes], None] = _lines_to_standard_logging
        self.writer: Writer | None = None


class _OthersHandler(logging.Handler):
    """Takes the records of libraries that use the standard `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # Arguments that do not fit their format: still worth a line.
            message = str(record.msg)
        logger = get_logger(record.name)
        say = logger.error if record.levelno >= logging.ERROR else logger.warning
        say(message, exc_info=record.exc_info)


def _lines_to_standard_logging(lines: bytes) -> None:
    for line in lines.splitlines():
        _to_standard_logging(orjson.loads(line))


def _to_standard_logging(event: EventDict) -> None:
    level = _LEVELS[event.pop("level")]
    del event["timestamp"]
    logger = logging.getLogger(event.pop("logger"))
    if logger.isEnabledFor(level):
        exc_info = event.pop("exc_info", None)
        name = event.pop("event")
        logger.log(level, "%s", f"{name} {plain_fields(event)}".rstrip(), exc_info=exc_info)


def _written_to(
    writer: Writer, render: Callable[[EventDict], bytes]
) -> Callable[[EventDict], None]:
    def say(event: EventDict) -> None:
        if "exc_info" in event:
            event = format_exc_info(None, event["level"], event)
        writer.write(render(event))

    return say


def _lines_written_to(
    writer: Writer, render: Callable[[EventDict], bytes]
) -> Callable[[bytes], None]:
    if render is render_json:
        return writer.write
    # Within a line JSON has no newline.
    return lambda lines: writer.write(
        b"".join(render(orjson.loads(line)) for line in lines.splitlines())
    )


_output = _Output()
_OTHERS = _OthersHandler(logging.WARNING)
