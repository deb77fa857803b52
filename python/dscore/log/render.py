"""One event to one line: JSON for machines, text for a terminal.

Values come from agents, so nothing in them may break a line or move a terminal's cursor, and
nothing about them may raise.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from structlog.typing import EventDict

_COLORS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_is_bare = re.compile("[^ =\"']+").fullmatch


_last_second = (-1, "")


def now() -> str:
    """The time as it stands in every line: UTC, to the millisecond. A drain asks for it hundreds
    of times a second, so all but the milliseconds is made once a second."""
    global _last_second
    at, millisecond = divmod(time.time_ns() // 1_000_000, 1000)
    # Taken and put as one pair: another thread may be here too.
    second, text = _last_second
    if second != at:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
        _last_second = (at, text)
    return f"{text}.{millisecond:03d}Z"


def render_json(event: EventDict) -> bytes:
    """A JSON object in one line."""
    try:
        return orjson.dumps(event, default=plain_text, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # What orjson refuses: huge integers, lone surrogates, circles, keys that are no strings.
        plain = {
            key: one if isinstance(one, str) else plain_text(one) for key, one in event.items()
        }
        return json.dumps(plain).encode() + b"\n"


def text_renderer(*, colors: bool) -> Callable[[EventDict], bytes]:
    """Makes lines such as `2026-01-31T12:00:00.000Z info    agent_online agent_id=cam-1`."""

    def render(event: EventDict) -> bytes:
        event.pop("logger")
        name = _printable(str(event.pop("event")))
        trace = event.pop("exception", None)
        moment, level = event.pop("timestamp"), event.pop("level")
        color, level = _COLORS[level], f"{level:<7}"
        if colors:
            moment, name = f"{_DIM}{moment}{_PLAIN}", f"{_BOLD}{name}{_PLAIN}"
            level = f"{color}{level}{_PLAIN}"
        line = f"{moment} {level} {name} {plain_fields(event)}".rstrip()
        if trace is not None:
            line += "".join(f"\n    {_printable(row)}" for row in str(trace).splitlines())
        return line.encode(errors="backslashreplace") + b"\n"

    return render


def plain_fields(fields: Mapping[str, Any]) -> str:
    """Fields as `key=value`, parted by spaces; a value is quoted where it must be."""
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: object) -> str:
    if isinstance(value, str):
        return value if value.isprintable() and _is_bare(value) else repr(value)
    return _printable(plain_text(value))


def plain_text(value: object) -> str:
    """A value that a renderer has no form for."""
    try:
        return str(value)
    except Exception as error:  # A broken __str__ of a hook's object must not end anything.
        return f"<{type(error).__name__}>"


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]
