"""JSON that is kept takes the memory it needs."""

import tracemalloc

import orjson
import pytest

from dscore.packed import packed


def test_is_the_json_of_the_value() -> None:
    assert packed({"a": [1, "ü", None]}) == '{"a":[1,"ü",null]}'.encode()
    with pytest.raises(orjson.JSONEncodeError):
        packed(object())


def test_ten_thousand_small_values_are_kept_in_less_than_a_megabyte() -> None:
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = [packed({"n": number}) for number in range(10_000)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 10_000
    assert after - before < 1_000_000
