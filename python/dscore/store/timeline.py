"""An entry of a timeline, packed: as objects of Python it would be four, and twice as large."""

from struct import Struct

from dscore.store.rows import Entry

TIMELINE_LENGTH = 200
"""Entries of each agent's timeline: weeks of a quiet one's, an hour of one that flaps."""

_HEAD = Struct("<QqH")
"""Number, time and the length of the kind, which follows; the rest is the data."""
_KIND_AT = _HEAD.size
_pack = _HEAD.pack


def packed_entry(number: int, at: int, kind: str, data: bytes) -> bytes:
    """An entry without its agent."""
    name = kind.encode()
    return _pack(number, at, len(name)) + name + data


def unpacked_entry(agent_id: str, packed: bytes) -> Entry:
    number, at, length = _HEAD.unpack_from(packed)
    data_at = _KIND_AT + length
    return Entry(number, agent_id, at, packed[_KIND_AT:data_at].decode(), packed[data_at:])
