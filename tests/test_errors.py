"""The exceptions: what they are caught as, and what they say."""

import builtins
import re
from pathlib import Path

import pytest

import dscore
from dscore import errors
from dscore.errors import (
    AgentError,
    ConfigError,
    ConnectionLostError,
    DrainingError,
    DscoreError,
    NoAcksError,
    NotConnectedError,
    NotKeptError,
    RequestError,
    RequestTimeoutError,
    StoreError,
    TooManyRequestsError,
    UnknownAgentError,
)


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (ConfigError, (DscoreError, ValueError)),
        (DrainingError, (DscoreError,)),
        (StoreError, (DscoreError,)),
        (NotKeptError, (StoreError,)),
        (UnknownAgentError, (AgentError, DscoreError, LookupError)),
        (NotConnectedError, (AgentError, DscoreError)),
        (NoAcksError, (RequestError, AgentError)),
        (TooManyRequestsError, (RequestError,)),
        (RequestTimeoutError, (RequestError, TimeoutError)),
        (ConnectionLostError, (RequestError, NotConnectedError, ConnectionError)),
    ],
)
def test_error_is_caught_as_its_bases(error: type, bases: tuple[type, ...]) -> None:
    assert all(issubclass(error, base) for base in bases)


def test_agent_error_names_the_agent() -> None:
    error = UnknownAgentError("cam-1")
    assert str(error) == "no agent 'cam-1' is known"
    assert error.agent_id == "cam-1"


def test_config_error_says_the_first_problem_and_counts_the_others() -> None:
    assert str(ConfigError("a")) == "a"
    assert str(ConfigError("a", "b")) == "a (and 1 more problem)"
    assert str(ConfigError("a", "b", "c")) == "a (and 2 more problems)"
    assert ConfigError("a", "b").problems == ("a", "b")


def test_errors_of_the_core_are_its_own() -> None:
    core = pytest.importorskip("dscore._core")
    for name in ("BindError", "CoreError", "ForkedError", "PoolClosedError"):
        assert getattr(errors, name) is getattr(core, name)
    assert issubclass(errors.BindError, OSError)


def test_every_error_is_drawn_in_the_docstring() -> None:
    assert errors.__doc__ is not None
    assert all(name in errors.__doc__ for name in errors.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchError"):
        errors.NoSuchError  # noqa: B018


def test_the_tree_names_every_exception_and_each_is_exported() -> None:
    names = {
        name
        for name, value in {
            **vars(errors),
            **{each: getattr(errors, each) for each in errors.__all__},
        }.items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    drawn = set(re.findall(r"(\w+Error)\b", (errors.__doc__ or "").partition("A peer")[0]))
    builtin = {name for name in drawn if hasattr(builtins, name)}
    assert drawn - builtin == names - builtin == set(errors.__all__)
    assert set(errors.__all__) <= set(dscore.__all__)


def test_an_exception_that_a_caller_may_meet_is_in_the_tree() -> None:
    """What is raised and caught within is told apart by where it is defined."""
    within = {
        *("TooLateError", "CursorError", "ClientLeftError", "CliError", "RefusedError"),
        *("TooNewError", "DamagedError", "BenchError"),
    }
    found = set()
    for path in (Path(__file__).parent.parent / "python" / "dscore").rglob("*.py"):
        found |= set(
            re.findall(r"^class (\w+Error)\((?!BaseModel)", path.read_text(), re.MULTILINE)
        )
    assert found - within <= set(errors.__all__)
    assert within <= found
