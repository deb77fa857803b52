"""How much memory the values of a JSON text take.

Few bytes may become much memory: of 10 MB of `{"a":0},` the parser makes 300 MB. The figures are
those of the C client, whose parser takes more, so that both refuse the same messages.
"""

MAX_WEIGHT = 64 * 1024 * 1024
"""Bytes of memory, about, for the values of one text."""
TOO_HEAVY = "a message must be JSON: too many values"

_SCALAR = 128
_BRACKET = 400
_LIGHT = 1024 * 1024
"""What is no heavier, even if all that looks like a value is one, is not looked at any closer."""
_PIECE = 256 * 1024


def weight(text: bytes) -> int:
    """Bytes of memory, about, that the values of a text take; past MAX_WEIGHT only that they do.

    Args:
        text: Perhaps JSON.
    """
    most = _of(text)
    return most if most <= _LIGHT else _without_strings(text)


def _of(text: bytes) -> int:
    brackets = text.count(b"[") + text.count(b"{")
    empty = text.count(b"[]") + text.count(b"{}")
    # What is between two brackets has one value more than commas, if it has any.
    return brackets * _BRACKET + max(text.count(b",") + 1 - empty, 0) * _SCALAR


def _without_strings(text: bytes) -> int:
    # Without escapes a string ends at the next quote.
    text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    total, within = 0, 0
    for begin in range(0, len(text), _PIECE):
        parts = text[begin : begin + _PIECE].split(b'"')
        total += _of(b"s".join(parts[within::2]))
        within ^= (len(parts) - 1) % 2
        if total > MAX_WEIGHT:
            break
    return total
