"""JSON as peers write it.

JavaScript before well-formed `JSON.stringify` (ES2019) sends half of a surrogate pair as an escape
of its own. It is no character, orjson refuses it, and PROTOCOL.md §2 has it read as U+FFFD.
`tests/vectors/surrogates.json` holds the core to the same.
"""

import re
from typing import Any

import orjson

# Each begins with what is sought, not with a look behind, which would be one for each byte.
_LONE = re.compile(
    rb"\\u[dD](?:"
    rb"[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"  # a first half
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2}"  # a second one
    rb")"
)
_BACKSLASH = rb"\\"
_NEVER = b"\0\0"
"""As long as an escaped backslash, and in no JSON."""


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
    """The same JSON with every lone surrogate escape written as U+FFFD.

    Peers choose how many escapes there are: none of them may be work for Python itself.
    """
    if b"\0" in text:
        return text  # no JSON
    # With those out of the way, a backslash is the beginning of an escape wherever it stands.
    plain = text.replace(_BACKSLASH, _NEVER)
    return _LONE.sub(rb"\\ufffd", plain).replace(_NEVER, _BACKSLASH)
