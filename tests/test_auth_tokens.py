"""Tokens of files and lists: where they come from, and what they are good for."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dscore.auth import GENERATED, MAX_TOKEN_BYTES, Grant, Keyring, Tokens
from dscore.errors import ConfigError


def allows(tokens: Tokens, candidate: str | None) -> bool:
    return tokens.find(candidate) is not None


def test_allows_only_its_tokens() -> None:
    tokens = Tokens(["alpha", "béta"])
    assert allows(tokens, "alpha")
    assert allows(tokens, "béta")
    for other in (None, "", "alph", "alphaa", "ALPHA", " alpha", "gamma", "\udcff"):
        assert not allows(tokens, other)


def test_without_tokens_every_token_is_wrong() -> None:
    tokens = Tokens()
    assert not tokens
    assert not allows(tokens, "")
    assert not allows(tokens, None)


TEXTS = st.text(max_size=40).filter(lambda text: not text.startswith("sha256:"))


@given(st.sets(TEXTS.filter(bool)), TEXTS)
def test_allows_exactly_what_is_in_the_set(given_tokens: set[str], candidate: str) -> None:
    tokens = Tokens(given_tokens)
    assert len(tokens) == len(given_tokens)
    assert allows(tokens, candidate) is (candidate in given_tokens)
    assert all(allows(tokens, token) for token in given_tokens)


def test_empty_token_in_the_set_is_no_token() -> None:
    assert not allows(Tokens([""]), "")


def test_candidate_past_the_limit_is_refused() -> None:
    assert allows(Tokens(["x" * MAX_TOKEN_BYTES]), "x" * MAX_TOKEN_BYTES)
    assert not allows(Tokens(["x"]), "x" * 10_000_000)


def test_file_holds_one_token_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(b"\xef\xbb\xbf# agents\nalpha\r\n\n  beta#1  \n#gamma\n")
    tokens = Tokens.from_settings(path, ["delta"])
    assert len(tokens) == 3
    assert all(allows(tokens, each) for each in ["alpha", "beta#1", "delta"])
    assert not any(allows(tokens, each) for each in ["gamma", "#gamma", "# agents"])


def test_settings_without_a_file_are_the_list_alone() -> None:
    assert allows(Tokens.from_settings(None, ["a"]), "a")
    assert len(Tokens.from_settings(None)) == 0


def test_file_problem_names_the_setting_the_path_and_the_remedy(tmp_path: Path) -> None:
    missing, empty, binary, long = (tmp_path / name for name in ("m", "e", "b", "l"))
    empty.write_text("\n# nothing\n")
    binary.write_bytes(b"\xff\xfe")
    long.write_text("x" * (MAX_TOKEN_BYTES + 1))
    for path, why in [
        (missing, "No such file or directory: give a file"),
        (tmp_path, "Is a directory: give a file"),
        (empty, "holds no token: write at least one"),
        (binary, "is not UTF-8 text: write one token a line"),
    ]:
        with pytest.raises(ConfigError) as caught:
            Tokens.from_settings(path, setting="auth.operator_token_file")
        assert str(caught.value).startswith(f"auth.operator_token_file = {path}: {why}")
    with pytest.raises(ConfigError, match="longer than 1024 bytes: shorten it"):
        Tokens.from_settings(long)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text("alpha\n")
    path.chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        Tokens.from_settings(path)


def test_tokens_are_never_shown() -> None:
    tokens = Tokens(["alpha"])
    assert repr(tokens) == "Tokens(1)"
    assert not hasattr(tokens, "__dict__")
    assert not any("alpha" in repr(getattr(tokens, slot)) for slot in Tokens.__slots__)


def tokens_of(path: Path, *lines: str, role: str = "agent") -> Tokens:
    path.write_text("\n".join(lines))
    return Tokens.from_settings(path, role=role)  # type: ignore[arg-type]


def found(tokens: Tokens, token: str) -> Grant:
    grant = tokens.find(token)
    assert grant is not None
    return grant


def test_a_token_is_named_by_its_place_and_has_the_role_of_its_file(tmp_path: Path) -> None:
    tokens = Tokens.from_settings(None, ["a"], setting="auth.token_file")
    assert found(tokens, "a") == Grant("auth.tokens:1", frozenset({"agent"}))
    operators = tokens_of(
        tmp_path / "op", "# shift", "b", "c name=anna role=watcher", role="operator"
    )
    assert found(operators, "b") == Grant("op:2", frozenset({"operator"}))
    assert found(operators, "c") == Grant("op:3(anna)", frozenset({"watcher"}))
    assert found(operators, "b").may_operate
    assert found(operators, "c").may_read
    assert not found(operators, "c").may_operate
    assert found(Tokens.generated("d"), "d").name == GENERATED


def test_a_token_is_bound_to_agents(tmp_path: Path) -> None:
    tokens = tokens_of(tmp_path / "t", "a agent=cam-1,cam-2", "b\tagent=north-*  agent=*", "c")
    assert [found(tokens, token).agents for token in "abc"] == [
        ("cam-1", "cam-2"),
        ("north-*", "*"),
        None,
    ]


def test_it_is_said_why_a_token_was_refused_and_never_which_one_it_was(tmp_path: Path) -> None:
    keyring = Keyring(
        tokens_of(tmp_path / "agents", "one agent=cam-1", "two"),
        tokens_of(tmp_path / "operators", "three role=watcher name=wall", role="operator"),
    )
    assert keyring.why_not("one", "cam-2") == "agents:1 is for agents of other ids"
    assert keyring.why_not("one") == keyring.why_not("two").replace("2", "1")
    assert keyring.why_not("two") == "agents:2 is for agents"
    assert keyring.why_not("three", "cam-1") == "operators:1(wall) is for watchers"
    assert keyring.why_not("guess-4711") == keyring.why_not(None) == "it is in no token file"


def test_a_token_may_be_kept_as_its_digest(tmp_path: Path) -> None:
    lower, upper = (sha256(token).hexdigest() for token in (b"one", b"two"))
    tokens = tokens_of(tmp_path / "t", f"sha256:{lower} agent=a", f"sha256:{upper.upper()}")
    assert found(tokens, "one").agents == ("a",)
    assert allows(tokens, "two")
    assert not allows(tokens, f"sha256:{lower}")
    assert not allows(tokens, lower)


@pytest.mark.parametrize(
    ("role", "line", "sentence"),
    [
        ("agent", "secret role=operator", "agent=ID and name=NAME, not that role="),
        ("agent", "secret agent=", "not that agent="),
        ("agent", "secret agent=a,,b", "not that agent="),
        ("agent", "secret name=a/b", "not that name="),
        ("agent", "secret of-two words=here", "not another word"),
        (
            "operator",
            "secret role=agent",
            "role=operator, role=watcher and name=NAME, not that role=",
        ),
        ("operator", "secret agent=a", "not that agent="),
        ("agent", "sha256:abc", "64 hexadecimal digits"),
        ("agent", f"sha256:{'g' * 64}", "64 hexadecimal digits"),
    ],
)
def test_a_line_that_is_wrong_names_its_place_and_never_the_secret(
    tmp_path: Path, role: str, line: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match="tokens, line 2: ") as caught:
        tokens_of(tmp_path / "tokens", "fine", line, role=role)
    assert sentence in str(caught.value)
    assert not any(word in str(caught.value) for word in ("secret", "of-two", "here"))
