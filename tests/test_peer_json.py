"""JSON of peers: lone surrogates as the shared vectors have them, and nothing else let through."""

import json
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dscore.peer_json import loads, without_lone_surrogates

VECTORS = json.loads((Path(__file__).parent / "vectors" / "surrogates.json").read_bytes())


@pytest.mark.parametrize(("text", "expected"), VECTORS)
def test_every_vector_is_read_as_it_says(text: str, expected: str) -> None:
    assert loads(text.encode()) == expected
    assert loads(b'{"a": [' + text.encode() + b"]}") == {"a": [expected]}
    assert loads(b"{" + text.encode() + b": 1}") == {expected: 1}


@pytest.mark.parametrize(
    "text", [b"", b"{", b'"\\ud80"', b'"\\ud800', b'"\\x"', b"\\ud800", b"\xff"]
)
def test_what_is_no_json_is_still_refused(text: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        loads(text)


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_has_no_lone_surrogate_is_left_as_it_is(value: object) -> None:
    for text in (orjson.dumps(value), json.dumps(value).encode()):
        assert without_lone_surrogates(text) == text
        assert loads(text) == value


@given(st.text(st.characters(codec=None)))
def test_what_is_read_can_be_written_again(value: str) -> None:
    read = loads(json.dumps(value).encode())
    assert orjson.loads(orjson.dumps(read)) == read


@pytest.mark.parametrize("escape", [rb"\n", rb"\ud800", rb"\\", rb"\ud83d\ude00"])
def test_no_number_of_escapes_makes_python_work(escape: bytes) -> None:
    """A message of 1 MB, full of escapes, held the loop up for half a second, without a token."""
    text = b'{"type": "app_ready", "x": "\\ud800' + escape * 50_000 + b'"}'
    calls = 0

    def count(_frame: Any, _event: str, _argument: Any) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read = loads(text)
    finally:
        sys.setprofile(before)
    assert read["x"].startswith("\ufffd")
    assert calls < 100
