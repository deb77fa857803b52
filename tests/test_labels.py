"""Labels of agents."""

import orjson
import pytest

from dscore.labels import as_dict
from dscore_agent.labels import MAX_LABELS, MAX_NAME, MAX_VALUE
from labelled import read_labels


def read(labels: object) -> dict[str, str]:
    return as_dict(read_labels(orjson.dumps({"fps": 30, "labels": labels})))


def test_labels_are_read_from_a_config() -> None:
    assert read({"site": "busan", "line": "3=4", "카메라": ""}) == {
        "site": "busan",
        "line": "3=4",
        "카메라": "",
    }


@pytest.mark.parametrize("config", [None, b"{}", b'{"x":"labels"}', b'{"a":{"labels":{"b":"c"}}}'])
def test_a_config_without_labels_has_none(config: bytes | None) -> None:
    assert read_labels(config) == ()


@pytest.mark.parametrize("labels", [None, [], "site", 3, {}])
def test_labels_that_are_no_object_are_none(labels: object) -> None:
    assert read(labels) == {}


def test_what_is_no_short_string_is_left_out() -> None:
    wrong = {
        "": "empty",
        "a=b": "equals",
        "n" * (MAX_NAME + 1): "long",
        "long": "v" * (MAX_VALUE + 1),
        "number": 3,
        "none": None,
        "nested": {"a": "b"},
    }
    longest = {"n" * MAX_NAME: "v" * MAX_VALUE}
    assert read({**wrong, **longest}) == longest


def test_no_more_than_so_many_are_kept() -> None:
    many = {f"name-{number:02}": "x" for number in range(MAX_LABELS + 5)}
    assert list(read(many)) == list(many)[:MAX_LABELS]
