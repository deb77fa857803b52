"""Bytes in messages, as Socket.IO sends them."""

import json
from typing import Any

import pytest

from dscore.messages import Refusal, attach, detach


def test_bytes_leave_a_placeholder_each_in_order() -> None:
    data, attachments = detach(["x", {"a": b"1", "b": [bytearray(b"2"), memoryview(b"3")], "c": 4}])
    assert json.loads(data) == [
        "x",
        {
            "a": {"_placeholder": True, "num": 0},
            "b": [{"_placeholder": True, "num": 1}, {"_placeholder": True, "num": 2}],
            "c": 4,
        },
    ]
    assert attachments == [b"1", b"2", b"3"]


def test_what_is_no_json_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match=r"must be JSON.*set"):
        detach({"a": {1}})
    nested: list[Any] = []
    for _ in range(2000):
        nested = [nested]
    with pytest.raises(ValueError, match="must be JSON"):
        detach(nested)


def test_bytes_in_many_places_are_one_attachment() -> None:
    picture = bytes(10)
    data, attachments = detach([picture, {"again": picture}] * 1000)
    assert attachments == [picture]
    assert attach(json.loads(data), attachments) == [picture, {"again": picture}] * 1000


def test_more_attachments_than_a_packet_may_have_are_an_error() -> None:
    pictures = [bytes([number % 256]) * 2 for number in range(257)]
    assert len(detach(pictures[:256])[1]) == 256
    with pytest.raises(ValueError, match="at most 256"):
        detach(pictures)


@pytest.mark.parametrize("value", [b"x", {"a": b"x"}, [[b"x"], {"b": {"c": [b"y", b"z"]}}, 1]])
def test_attached_again_it_is_what_it_was(value: Any) -> None:
    data, attachments = detach(value)
    assert attach(json.loads(data), attachments) == value


def test_without_attachments_a_placeholder_is_an_object_like_any_other() -> None:
    value = {"a": {"_placeholder": True, "num": 0}}
    assert attach(value, []) == value


@pytest.mark.parametrize("number", [-1, 1, True, 0.0, "0", None])
def test_a_placeholder_that_names_no_attachment_is_refused(number: object) -> None:
    with pytest.raises(Refusal) as refused:
        attach({"a": [{"_placeholder": True, "num": number}]}, [b"x"])
    assert refused.value.code == "bad_field"


def test_nesting_deeper_than_python_may_call_is_no_trouble() -> None:
    value: Any = {"_placeholder": True, "num": 0}
    for _ in range(5000):
        value = [value]
    value = attach(value, [b"deep"])
    while isinstance(value, list):
        [value] = value
    assert value == b"deep"
