"""Frames of a server as bytes, and what a client makes of them: RFC 6455 §5 and §7.

`rfc` false: a choice of ours that is stricter than the RFC, or a limit. Bytes and texts are
lists of [unit, times]: the units, each repeated, in a row.
"""

import itertools
from typing import Any

from websockets.frames import Frame, Opcode

Event = list[Any]
LIMITS = {"max_message": 70_000, "max_fragments": 8}


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """One frame, unmasked, its length written in the shortest way."""
    return Frame(Opcode(opcode), payload, fin=fin).serialize(mask=False)


TEXT, BINARY, MORE, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
LONG = "ü" * 32_768
"""65,536 bytes."""


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def packed(data: bytes) -> list[list[Any]]:
    """Bytes as units in hexadecimal with how often each stands there."""
    return [[unit.hex(), times] for unit, times in _runs(data)]


def unpacked(parts: list[list[Any]]) -> bytes:
    """The bytes again."""
    return b"".join(bytes.fromhex(unit) * times for unit, times in parts)


def _runs(data: bytes) -> list[tuple[bytes, int]]:
    if len(data) < 1000:
        return [(data, 1)]
    # What is long here is four bytes again and again, but for its ends.
    runs: list[tuple[bytes, int]] = []
    words = [data[at : at + 4] for at in range(0, len(data), 4)]
    for word, group in itertools.groupby(words):
        runs.append((word, len(list(group))))
    return runs


def _packed_event(event: Event) -> Event:
    if event[0] != "text":
        return event
    data = event[1].encode()
    return ["text", packed(data)]


def _messages() -> list[tuple[str, bytes, list[Event]]]:
    euro = "€".encode()
    return [
        ("text", frame(TEXT, b"Hello"), [["text", "Hello"]]),
        ("empty text", frame(TEXT), [["text", ""]]),
        ("125 bytes", frame(TEXT, b"a" * 125), [["text", "a" * 125]]),
        ("126 bytes", frame(TEXT, b"a" * 126), [["text", "a" * 126]]),
        ("65,535 bytes", frame(TEXT, b"a" * 65_535), [["text", "a" * 65_535]]),
        ("65,536 bytes", frame(TEXT, LONG.encode()), [["text", LONG]]),
        (
            "fragments",
            frame(TEXT, b"Hel", fin=False) + frame(MORE, b"lo"),
            [["text", "Hello"]],
        ),
        (
            "a character in two fragments",
            frame(TEXT, euro[:1], fin=False) + frame(MORE, euro[1:]),
            [["text", "€"]],
        ),
        (
            "a ping between fragments",
            frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(MORE, b"b"),
            [["ping", b"p".hex()], ["text", "ab"]],
        ),
        (
            "empty fragments",
            frame(TEXT, fin=False) + frame(MORE, fin=False) + frame(MORE),
            [["text", ""]],
        ),
        ("an unasked pong", frame(PONG, b"x") + frame(TEXT, b"a"), [["text", "a"]]),
        ("a ping of 125 bytes", frame(PING, b"p" * 125), [["ping", (b"p" * 125).hex()]]),
        ("a NUL in a text", frame(TEXT, b"a\0b"), [["text", "a\0b"]]),
    ]


def _closes() -> list[tuple[str, bytes, list[Event]]]:
    good = [(1000, "Client terminated"), (1001, ""), (1013, "Server shutting down"), (4409, "ü")]
    return [
        ("no code", frame(CLOSE), [["close", 1005, ""]]),
        *((f"code {c}", closing(c, r.encode()), [["close", c, r]]) for c, r in good),
        ("after a close", closing(1000) + frame(TEXT, b"late"), [["close", 1000, ""]]),
        ("half a code", frame(CLOSE, b"\x03"), [["fail", 1002]]),
        *(
            (f"code {code} on the wire", closing(code), [["fail", 1002]])
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)
        ),
        ("a reason that is not UTF-8", closing(1000, b"\xff"), [["fail", 1007]]),
        ("a reason that ends half", closing(1000, b"\xe2\x82"), [["fail", 1007]]),
    ]


def _faults() -> list[tuple[str, bytes, list[Event]]]:
    text = frame(TEXT, b"a")
    heads = {
        "a reserved bit": b"\xc1\x00",
        "opcode 3": b"\x83\x00",
        "opcode 11": b"\x8b\x00",
        "masked": b"\x81\x81\0\0\0\0a",
        "a fragmented ping": b"\x09\x00",
        "a ping of 126 bytes": b"\x89\x7e\x00\x7e" + bytes(126),
        "a close of 126 bytes": b"\x88\x7e\x00\x7e" + bytes(126),
    }
    return [
        *((name, text + head, [["text", "a"], ["fail", 1002]]) for name, head in heads.items()),
        ("a continuation of nothing", frame(MORE, b"a"), [["fail", 1002]]),
        ("a text within a text", frame(TEXT, b"a", fin=False) + text, [["fail", 1002]]),
        ("a fault, then a message", b"\x83\x00" + text, [["fail", 1002]]),
        *(
            (f"not UTF-8: {bad.hex()}", frame(TEXT, bad), [["fail", 1007]])
            for bad in (
                *(b"\xff", b"\x80", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xed\xa0\x80"),
                *(b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"a\xe2\x82"),
            )
        ),
        (
            "half a character, then no more",
            frame(TEXT, b"\xe2", fin=False) + frame(MORE, b"a"),
            [["fail", 1007]],
        ),
    ]


def _choices() -> list[tuple[str, bytes, list[Event]]]:
    many = frame(TEXT, b"a", fin=False) + frame(MORE, b"a", fin=False) * 8
    huge = b"\x81\x7f" + (2**62).to_bytes(8, "big")
    return [
        ("binary", frame(BINARY, b"a"), [["fail", 1003]]),
        ("nine fragments", many, [["fail", 1008]]),
        ("70,001 bytes", frame(TEXT, b"a" * 70_001), [["fail", 1009]]),
        (
            "70,001 bytes in fragments",
            frame(TEXT, b"a" * 70_000, fin=False) + frame(MORE, b"a"),
            [["fail", 1009]],
        ),
        ("a length of 2**62", huge, [["fail", 1009]]),
        ("the highest bit of a length", b"\x81\x7f" + b"\xff" * 8, [["fail", 1002]]),
        ("a long way to write 5", b"\x81\x7e\x00\x05Hello", [["fail", 1002]]),
        ("a longer way to write 5", b"\x81\x7f" + bytes(7) + b"\x05Hello", [["fail", 1002]]),
        ("half a character at once", frame(TEXT, b"\xf8", fin=False), [["fail", 1007]]),
    ]


def cases() -> list[dict[str, Any]]:
    """What a server sends, in hexadecimal, and what is heard."""
    ours = [*_messages(), *_closes(), *_faults()]
    named = [(True, one) for one in ours] + [(False, one) for one in _choices()]
    return [
        {"name": name, "rfc": rfc, "bytes": packed(data), "events": [*map(_packed_event, events)]}
        for rfc, (name, data, events) in named
    ]


def written() -> list[dict[str, Any]]:
    """Frames of a client, with their masks."""
    found = []
    mask = bytes.fromhex("37fa213d")
    for opcode, payload, fin in (
        (TEXT, b"Hello", True),
        (TEXT, b"Hel", False),
        (MORE, b"lo", True),
        (PONG, b"", True),
        (CLOSE, b"\x03\xf5Server shutting down", True),
        *((TEXT, b"a" * size, True) for size in (125, 126, 127, 65_535, 65_536)),
    ):
        size = len(payload)
        length = (
            bytes([0x80 | size])
            if size < 126
            else b"\xfe" + size.to_bytes(2, "big")
            if size < 65_536
            else b"\xff" + size.to_bytes(8, "big")
        )
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        data = bytes([opcode | (0x80 if fin else 0)]) + length + mask + masked
        names = {"opcode": opcode, "fin": fin, "payload": packed(payload), "mask": mask.hex()}
        found.append({**names, "bytes": packed(data)})
    return found


def document() -> dict[str, Any]:
    """What `frames.json` holds."""
    return {"limits": LIMITS, "cases": cases(), "written": written()}
