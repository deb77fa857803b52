from itertools import product
from typing import get_args

import pytest

from dscore.auth import Tokens
from dscore.policy import Candidate
from dscore.policy.admission import (
    TABLE,
    Kind,
    Sender,
    has_token,
    leave_session,
    open_session,
    react,
)
from dscore.store import MemoryStore, Session
from outboxes import taken


@pytest.mark.parametrize(("sender", "kind"), [*product(get_args(Sender), get_args(Kind))])
def test_every_cell_of_the_table(sender: Sender, kind: Kind) -> None:
    if (sender, kind) == ("agent", "heartbeat"):
        with pytest.raises(RuntimeError, match="heartbeat"):
            react(sender, kind)
    else:
        assert react(sender, kind) == TABLE[sender, kind]


def test_types_of_others_are_the_policys() -> None:
    assert react("agent", "detections") == "hand_over"
    assert react("unauthenticated", "detections") == "not_introduced"
    assert react("agent", "app_terminated_") == "hand_over"


def test_in_another_namespace_our_types_are_the_program_s() -> None:
    assert react("agent", "heartbeat", "/x") == "hand_over"
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
    agents, operators = Tokens(["agents"]), Tokens(["operators"])
    assert has_token(candidate, required=required, agents=agents, operators=operators) == allowed


def open_it(
    store: MemoryStore,
    *,
    reconnection: bool | None,
    now: float = 0.0,
) -> bool:
    return open_session(store, "a", reconnection=reconnection, age=lambda: now, ttl=60.0)


def test_reconnection_restores_a_session_that_exists() -> None:
    store = MemoryStore()
    assert not open_it(store, reconnection=True), "there was none"
    leave_session(store, "a", close_code=1001, now=10.0)
    assert open_it(store, reconnection=True, now=70.0)
    session = store.get("a")
    assert session is not None
    assert (session.last_close, session.left_at) == (1001, None)


def test_reconnection_after_the_ttl_begins_anew() -> None:
    store = MemoryStore()
    open_it(store, reconnection=False)
    store.queue("a", b"1", limit=9, max_bytes=9)
    leave_session(store, "a", close_code=1006, now=10.0)
    assert not open_it(store, reconnection=True, now=70.1)
    assert list(taken(store, "a")) == []


def test_no_reconnection_drops_the_old_outbox() -> None:
    store = MemoryStore()
    open_it(store, reconnection=False)
    store.queue("a", b"1", limit=9, max_bytes=9)
    assert not open_it(store, reconnection=False)
    assert list(taken(store, "a")) == []


def test_a_message_that_cannot_say_keeps_what_there_is() -> None:
    store = MemoryStore()
    assert not open_it(store, reconnection=None)
    store.queue("a", b"1", limit=9, max_bytes=9)
    assert open_it(store, reconnection=None)
    assert taken(store, "a") == [b"1"]


def test_what_happens_to_one_agents_session_is_no_others() -> None:
    store = MemoryStore()
    for agent_id in ("a", "b"):
        open_session(store, agent_id, reconnection=None, age=float, ttl=60.0)
    store.queue("a", b"1", limit=9, max_bytes=9)
    leave_session(store, "a", close_code=1001, now=10.0)
    assert store.get("b") == Session()
    assert list(taken(store, "b")) == []
    assert taken(store, "a") == [b"1"]


def test_leaving_without_a_session_is_nothing() -> None:
    leave_session(MemoryStore(), "a", close_code=1006, now=0.0)
