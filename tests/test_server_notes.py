"""What the log is told of a batch: the lines that the fleet makes are those that the log's own
renderer would make."""

from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orjson import loads

import fake_core
from dscore._core import Inbox, Notes
from dscore.log.render import render_json
from dscore.policy.liveness import new_fleet
from dscore.states import Input, OutcomeName

TIME = "2026-01-31T12:00:00.000Z"
REQUEST = "00000000-0000-4000-8000-0123456789ab"
HOSTILE = "\x00\x1f\b\f\n\r\t\x7f\x9b\\/\"'\u2028\u2029\u202e\ue000\U0010ffff \u00e9\U0001f600"

Initiator = Literal["peer", "server", "network"]

texts = st.text() | st.sampled_from(["", " ", HOSTILE])
ids = st.text(min_size=1) | st.just(HOSTILE)
"""Of what Rust and JSON can hold: no lone surrogates."""
latencies = st.integers(0, 2**40).map(lambda us: us / 1000)


def applied(agent_id: str | None, *events: object) -> Notes:
    """What is to be done about events of connection 7, which is an agent's that nothing has asked
    to stop, or, as after its removal, is known no longer."""
    fleet = new_fleet()
    if agent_id is not None:
        fleet.open(7, "10.0.0.1")
        fleet.introduce(7, agent_id, "app_ready", 0)
    pool = fake_core.ReactorPool(fake_core.CoreConfig())
    pool.push(*events)
    inbox = Inbox(pool, [])
    inbox.take(len(events))
    while inbox:
        fleet.step(inbox, len(events), 0)
    pool.close()
    notes = fleet.notes()
    assert notes is not None
    return notes


def lines(notes: Notes, level: Literal["info", "warning"] = "info") -> bytes:
    return notes.lines(TIME, level)


def line(event: str, level: str = "info", logger: str = "dscore.server", **fields: object) -> bytes:
    front = {"timestamp": TIME, "level": level, "logger": logger, "event": event}
    return render_json({**front, **fields})


@given(
    agent_id=ids,
    code=st.integers(0, 2**16 - 1),
    reason=texts,
    cause=texts,
    initiator=st.sampled_from(get_args(Initiator)),
)
def test_a_lost_connection_is_a_line(
    agent_id: str, code: int, reason: str, cause: str, initiator: Initiator
) -> None:
    notes = applied(agent_id, fake_core.Closed(7, code, reason, initiator, cause))
    expected = line(
        "agent_disconnected",
        agent_id=agent_id,
        conn_id=7,
        close_code=code,
        reason=reason,
        initiator=initiator,
        cause=cause,
    )
    assert lines(notes) == expected
    assert lines(notes, "warning") == b""


@given(agent_id=ids, state=st.sampled_from(["lost", "missed_limit"]))
def test_a_grace_period_that_is_over_is_a_line(agent_id: str, state: Input) -> None:
    fleet = new_fleet()
    fleet.open(7, "10.0.0.1")
    introduced = fleet.introduce(7, agent_id, "app_ready", 0)
    assert introduced is not None
    fleet.feed(introduced.agent, state, 0)
    fleet.expire(200_000, 1)
    notes = fleet.notes()
    assert notes is not None
    reason = introduced.agent.reason_code
    assert reason == {"lost": "reconnect_timeout", "missed_limit": "missed_heartbeats"}[state]
    where = {"logger": "dscore.liveness"}
    assert lines(notes) == line("agent_offline", **where, agent_id=agent_id, reason=reason)
    assert lines(notes, "warning") == b""
    (entry,) = fleet.timeline(introduced.agent, limit=9)
    assert entry[2:] == ("offline", b'{"reason_code":"%s"}' % reason.encode())


@given(
    agent_id=ids,
    outcome=st.sampled_from(get_args(OutcomeName)),
    latency_ms=latencies,
    message=texts,
    is_incomplete=st.booleans(),
    is_drain=st.booleans(),
)
def test_the_end_of_a_terminate_app_is_a_line(
    *,
    agent_id: str,
    outcome: OutcomeName,
    latency_ms: float,
    message: str,
    is_incomplete: bool,
    is_drain: bool,
) -> None:
    event = fake_core.Outcome(
        7, REQUEST, outcome, latency_ms, message, drain=is_drain, incomplete=is_incomplete
    )
    notes = applied(agent_id, event)
    who = {"agent_id": agent_id, "request_id": REQUEST}
    warning = info = b""
    if outcome == "acked":
        sentence = f"DeepStream client {agent_id} terminated gracefully"
        if is_incomplete:
            warning = line("agent_incomplete", "warning", **who, message=message)
        info = line("agent_terminated", message=sentence, **who, latency_ms=latency_ms)
    elif outcome != "notified":
        words = {"outcome": outcome, "message": message}
        warning = line("agent_not_terminated", "warning", **who, **words)
    assert lines(notes) == warning + info
    assert lines(notes, "warning") == warning


@pytest.mark.parametrize("outcome", ["acked", "vanished"])
def test_an_agent_that_was_removed_before_it_answered_has_no_id(outcome: OutcomeName) -> None:
    notes = applied(None, fake_core.Outcome(7, REQUEST, outcome, 1.0))
    who = {"agent_id": None, "request_id": REQUEST}
    expected = {
        "acked": line(
            "agent_terminated",
            message="DeepStream client None terminated gracefully",
            **who,
            latency_ms=1.0,
        ),
        "vanished": line("agent_not_terminated", "warning", **who, outcome="vanished", message=""),
    }
    assert lines(notes) == expected[outcome]


def test_lost_connections_come_before_the_ends_of_terminate_apps_and_each_in_its_order() -> None:
    events = [
        fake_core.Outcome(7, REQUEST, "timed_out"),
        fake_core.Outcome(8, REQUEST, "failed"),
        fake_core.Closed(7),
    ]
    said = [loads(one) for one in lines(applied("a", *events)).splitlines()]
    assert [(one["event"], one.get("outcome")) for one in said] == [
        ("agent_disconnected", None),
        ("agent_not_terminated", "timed_out"),
        ("agent_not_terminated", "failed"),
    ]


def test_a_level_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match='level: "loud" is none'):
        lines(applied("a", fake_core.Closed(7)), "loud")  # type: ignore[arg-type]


def test_of_requests_the_owner_hears_what_no_drain_has_asked() -> None:
    outcomes = [
        fake_core.Outcome(7, REQUEST, "failed", 1.5, "no", drain=drain) for drain in (True, False)
    ]
    notes = applied("a", *outcomes)
    assert notes.settled == [(7, REQUEST, "failed", 1.5, "no", False)]
