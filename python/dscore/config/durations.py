"""Durations as people write them: "30s", "2m", "1h30m", "500ms", or a number of seconds."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_HINT = 'give a number of seconds or a text such as "30s", "2m", "1h30m" or "500ms"'
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_TEXT = 512


def parse_duration(value: object) -> float:
    """Seconds, from a number of seconds or a text.

    Raises:
        ValueError: neither of the two, negative, or not finite; the sentence says what to write.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"must be a duration: {_HINT}")
    if isinstance(value, str):
        return _parse_text("".join(value.lower().split()))
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError("must be a duration that is finite and not negative")
    return seconds


def _parse_text(text: str) -> float:
    if len(text) <= _LONGEST_TEXT:
        if _NUMBER.fullmatch(text):
            return float(text)
        if _WHOLE.fullmatch(text):
            return math.fsum(_part(number, unit) for number, unit in _PART.findall(text))
    raise ValueError(f"must be a duration: {_HINT}")


def _part(number: str, unit: str) -> float:
    # Divided, not multiplied by 0.001: 300 ms must be exactly 0.3.
    return float(number) / 1000 if unit == "ms" else float(number) * _SECONDS[unit]


def format_duration(seconds: float) -> str:
    """The shortest text in one unit that `parse_duration` reads back as exactly `seconds`."""
    if seconds == int(seconds):
        whole = int(seconds)
        for unit in ("d", "h", "m"):
            if whole and whole % _SECONDS[unit] == 0:
                return f"{whole // _SECONDS[unit]}{unit}"
        return f"{whole}s"
    milliseconds = round(seconds * 1000)
    if milliseconds / 1000 == seconds:
        return f"{milliseconds}ms"
    return f"{Decimal(repr(seconds)):f}s"
