from itertools import product
from typing import get_args

import pytest

from dscore.auth import Keyring, Tokens
from dscore.policy import Candidate
from dscore.policy.admission import (
    TABLE,
    Kind,
    Sender,
    react,
    with_grant,
)


@pytest.mark.parametrize(("sender", "kind"), [*product(get_args(Sender), get_args(Kind))])
def test_every_cell_of_the_table(sender: Sender, kind: Kind) -> None:
    if (sender, kind) == ("agent", "heartbeat"):
        with pytest.raises(RuntimeError, match="heartbeat"):
            react(sender, kind)
    else:
        assert react(sender, kind) == TABLE[sender, kind]


def test_types_of_others_are_the_policys() -> None:
    assert react("agent", "detections") == "deliver"
    assert react("unauthenticated", "detections") == "not_introduced"
    assert react("agent", "app_terminated_") == "deliver"


def test_in_another_namespace_our_types_are_the_program_s() -> None:
    assert react("agent", "heartbeat", "/x") == "deliver"
    assert react("unauthenticated", "app_ready", "/x") == "not_introduced"
    assert react("watcher", "watch", "/x") == "not_introduced"
    assert react("unauthenticated", "watch", "/") == "watch"


@pytest.mark.parametrize(
    ("role", "token", "required", "allowed"),
    [
        ("agent", None, False, True),
        ("agent", None, True, False),
        ("agent", "agents", True, True),
        ("agent", "operators", True, False),
        ("operator", "operators", True, True),
        ("operator", "agents", True, False),
        ("operator", None, False, True),
    ],
)
def test_each_role_has_tokens_of_its_own(
    role: str, token: str | None, required: bool, allowed: bool
) -> None:
    candidate = Candidate(role, "a", "10.0.0.1", token, "app_ready", False)  # type: ignore[arg-type]
    keyring = Keyring(Tokens(["agents"]), Tokens(["operators"], role="operator"))
    granted = with_grant(candidate, required=required, keyring=keyring)
    assert (granted is not None) == allowed
    if granted is not None:
        assert granted.token_name == ("tokens:1" if token else None)
