"""Bytes in a message: Socket.IO sends them beside its JSON, with a placeholder where each belongs.

{"type": "picture", "jpeg": b"…"}   is   {"type": "picture", "jpeg": {"_placeholder": true,
                                          "num": 0}}   and one attachment
"""

from __future__ import annotations

from typing import Any

import orjson

from dscore.messages.inbound import Refusal

MAX_ATTACHMENTS = 256
"""Of one message: what the core sends and takes."""


def detach(value: Any) -> tuple[bytes, list[bytes]]:
    """The JSON of a value, and the bytes that were in it: each once, in however many places.

    An agent may name one attachment in thousands of places. Sent back as thousands, it would take
    thousands of times the memory.

    Raises:
        ValueError: it is no JSON otherwise, or nested too deeply, or there are too many bytes
            objects in it.
    """
    attachments: list[bytes] = []
    numbers: dict[int, int] = {}

    def place(found: object) -> dict[str, Any]:
        if not isinstance(found, bytes | bytearray | memoryview):
            raise TypeError
        number = numbers.setdefault(id(found), len(attachments))
        if number == len(attachments):
            attachments.append(bytes(found))
        return {"_placeholder": True, "num": number}

    try:
        text = orjson.dumps(value, default=place)
    except orjson.JSONEncodeError as error:
        raise ValueError(f"a message must be JSON: {error}") from None
    if len(attachments) > MAX_ATTACHMENTS:
        raise ValueError(f"a message has at most {MAX_ATTACHMENTS} attachments")
    return text, attachments


def attach(value: Any, attachments: list[bytes]) -> Any:
    """The value with its attachments where the placeholders are; containers are changed in place.

    Raises:
        Refusal: `bad_field`; a placeholder names no attachment.
    """
    if not attachments:
        return value
    whole = [value]
    # No recursion: JSON may be nested more deeply than Python may call.
    rest: list[Any] = [whole]
    while rest:
        container = rest.pop()
        entries = container.items() if isinstance(container, dict) else enumerate(container)
        for key, entry in entries:
            if isinstance(entry, dict) and entry.get("_placeholder") is True:
                # No key is added or taken away, so this may be done on the way.
                container[key] = _attachment(entry, attachments)
            elif isinstance(entry, dict | list):
                rest.append(entry)
    return whole[0]


def _attachment(placeholder: dict[str, Any], attachments: list[bytes]) -> bytes:
    number = placeholder.get("num")
    if type(number) is int and 0 <= number < len(attachments):  # True is an int too
        return attachments[number]
    raise Refusal("bad_field", f"a placeholder names none of {len(attachments)} attachments")
