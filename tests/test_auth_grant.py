"""What a token is good for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dscore.auth import Grant


def grant(*agents: str) -> Grant:
    return Grant("t", frozenset({"agent"}), agents)


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("cam-1", ["cam-1"], ["cam-11", "Cam-1", "", "cam-*"]),
        ("cam-*", ["cam-", "cam-1", "cam-a/b\n"], ["cam", "xcam-1"]),
        ("*", ["", "anything"], []),
        ("a*b*c", ["abc", "aXbYc", "abbcc", "abcbc"], ["acb", "ab", "a"]),
        ("ab*ba", ["abba", "ab-ba"], ["aba"]),
        ("a**c", ["ac", "abc"], ["a"]),
        ("[ab]?.", ["[ab]?."], ["a?.", "ax."]),
    ],
)
def test_a_star_stands_for_any_characters(
    pattern: str, fits: list[str], fits_not: list[str]
) -> None:
    assert all(map(grant(pattern).may_be_agent, fits))
    assert not any(map(grant(pattern).may_be_agent, fits_not))


@given(st.text("ab*", max_size=12), st.text("ab", max_size=12))
def test_patterns_are_those_of_a_shell(pattern: str, agent_id: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), agent_id) is not None
    assert grant(pattern).may_be_agent(agent_id) == expected


def test_many_stars_take_no_longer_than_the_id_is() -> None:
    assert not grant("*a" * 2000 + "b").may_be_agent("a" * 128)


def test_one_of_several_patterns_is_enough_and_none_of_them_is_none() -> None:
    assert grant("a", "b-*").may_be_agent("b-1")
    assert not grant().may_be_agent("a")
    assert Grant("t", frozenset({"agent"})).may_be_agent("a")
    assert not Grant("t", frozenset({"operator"})).may_be_agent("a")
