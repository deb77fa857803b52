"""Durations: what is read as one, and how one is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dscore.config import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("2m", 120.0),
        ("500ms", 0.5),
        ("300ms", 0.3),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("1d", 86400.0),
        (" 30 S ", 30.0),
        ("12.5", 12.5),
        ("0", 0.0),
        (30, 30.0),
        (0.25, 0.25),
    ],
)
def test_duration_reads_texts_and_numbers(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "wrong",
    [
        *("", "s", "-1s", "1x", "1s?", "1e3s", "٣s", "nan", "inf", "9" * 513),
        *(True, None, [], -1, -0.5, float("nan"), float("inf"), 10**400),
    ],
)
def test_duration_refuses_what_is_none_and_says_what_is_one(wrong: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(wrong)


@given(st.floats(min_value=0, max_value=1e12, allow_nan=False))
def test_duration_is_read_back_exactly_as_shown(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 10**9))
def test_duration_in_milliseconds_is_read_back_exactly_as_shown(milliseconds: int) -> None:
    assert parse_duration(f"{milliseconds}ms") == milliseconds / 1000
    assert len(format_duration(milliseconds / 1000)) <= len(f"{milliseconds}ms") + 1
