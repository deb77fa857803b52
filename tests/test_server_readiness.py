"""Readiness, from the core's figures alone."""

import pytest

from dscore.server.readiness import why_full

EMPTY = {
    "places_taken": 0,
    "places_short": 0,
    "places_yielding": 0,
    "descriptors_short": 0,
    "http_connections": 0,
}


@pytest.mark.parametrize(
    ("stats", "word"),
    [
        ({}, None),
        ({"places_taken": 9}, None),
        ({"places_taken": 10}, "limits.connections"),
        # The probe has the last place.
        ({"places_taken": 10, "http_connections": 1}, None),
        # The probe came when there was none left.
        ({"places_taken": 10, "http_connections": 1, "places_short": 1}, "limits.connections"),
        ({"places_taken": 10, "places_yielding": 1}, None),
        ({"descriptors_short": 1}, "LimitNOFILE="),
        ({"descriptors_short": 1, "places_yielding": 2}, None),
    ],
)
def test_cause(stats: dict[str, int], word: str | None) -> None:
    cause = why_full({**EMPTY, **stats}, 10)
    assert (cause is None) if word is None else (cause is not None and word in cause)
