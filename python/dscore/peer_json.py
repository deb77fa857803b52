"""JSON as peers write it.

JavaScript before well-formed `JSON.stringify` (ES2019) sends half of a surrogate pair as an escape
of its own. It is no character, orjson refuses it, and PROTOCOL.md §2 has it read as U+FFFD.
`tests/vectors/surrogates.json` holds the core to the same.
"""

import re
from typing import Any

import orjson

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"  # a half
    rb"|.)",
    re.DOTALL,
)


def loads(text: bytes) -> Any:
    """What `orjson.loads` reads, with U+FFFD for each lone surrogate escape.

    Raises:
        orjson.JSONDecodeError: it is no JSON; a `ValueError`.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Not before: where all is well the escapes need not be looked at.
        return orjson.loads(without_lone_surrogates(text))


def without_lone_surrogates(text: bytes) -> bytes:
    """The same JSON with every lone surrogate escape written as U+FFFD."""
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], text)
