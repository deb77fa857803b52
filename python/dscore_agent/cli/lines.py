"""One record to one line: JSON for machines, text for a terminal. The same lines as the server's.

Values come from the network and from elements, so nothing in them may break a line or move a
terminal's cursor, and nothing about them may raise.
"""

import json
import logging
import time
import traceback
from collections.abc import Mapping
from typing import Any

import orjson

_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}
_COLORS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_NEEDS_QUOTES = frozenset(" =\"'")


def event_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a line says: of an agent's record its event and fields, of another library's its
    message."""
    event = {
        "timestamp": moment(record.created),
        "level": _LEVELS.get(record.levelno, "error"),
        "logger": record.name,
    }
    fields = getattr(record, "fields", None)
    # The name, too: records of other libraries may have attributes that are called so.
    if record.name.startswith("dscore.agent") and isinstance(fields, dict):
        event |= {"event": getattr(record, "event", ""), **fields}
    else:
        event["event"] = _message(record)
    if record.exc_info and record.exc_info[1] is not None:
        event["exception"] = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
    return event


def moment(seconds: float) -> str:
    """A time of `time.time` in UTC, to the millisecond."""
    second, millisecond = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{millisecond:03d}Z"


def json_line(event: Mapping[str, Any]) -> bytes:
    """A JSON object in one line."""
    try:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # What orjson refuses: huge integers, and lone surrogates.
        plain = {key: one if isinstance(one, str) else str(one) for key, one in event.items()}
        return json.dumps(plain).encode() + b"\n"


def text_line(event: Mapping[str, Any], *, colors: bool) -> bytes:
    """A line such as `2026-01-31T12:00:00.000Z info    connected url=ws://127.0.0.1:8765`."""
    fields = dict(event)
    del fields["logger"]
    name = _printable(str(fields.pop("event")))
    trace = fields.pop("exception", None)
    stamp, level = fields.pop("timestamp"), fields.pop("level")
    color, level = _COLORS[level], f"{level:<7}"
    if colors:
        stamp, name = f"{_DIM}{stamp}{_PLAIN}", f"{_BOLD}{name}{_PLAIN}"
        level = f"{color}{level}{_PLAIN}"
    words = " ".join(f"{key}={_value(value)}" for key, value in fields.items())
    line = f"{stamp} {level} {name} {words}".rstrip()
    if trace is not None:
        line += "".join(f"\n    {_printable(row)}" for row in str(trace).splitlines())
    return line.encode(errors="backslashreplace") + b"\n"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # Arguments that do not fit their format: still worth a line.
        return str(record.msg)


def _value(value: object) -> str:
    if isinstance(value, str):
        bare = value.isprintable() and value and _NEEDS_QUOTES.isdisjoint(value)
        return value if bare else repr(value)
    return _printable(str(value))


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]
