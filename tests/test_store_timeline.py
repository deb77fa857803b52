import pytest

from dscore.store import Entry
from dscore.store.timeline import packed_entry, unpacked_entry


@pytest.mark.parametrize(
    ("number", "at", "kind", "data"),
    [
        (1, 1_732_287_411_000, "connected", b'{"ip":"10.0.0.1"}'),
        (1 << 40, 0, "x" * 300, b""),
        (2, -5, "\N{SNOWMAN}", b"\x00" * 70_000),
    ],
)
def test_a_packed_entry_is_read_as_it_was(number: int, at: int, kind: str, data: bytes) -> None:
    packed = packed_entry(number, at, kind, data)
    assert unpacked_entry("a", packed) == Entry(number, "a", at, kind, data)
