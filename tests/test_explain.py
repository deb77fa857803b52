"""The sentence and the lines of `dscore why`."""

import re
from datetime import datetime, timedelta, timezone
from string import Formatter
from typing import Any

import pytest

from dscore.explain import clock, describe, sentence, span
from dscore.messages import timestamp
from dscore.phrases import PHRASES

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=timezone.utc)
SEOUL = timezone(timedelta(hours=9))


def at(seconds: float) -> str:
    return timestamp(NOON.timestamp() + seconds)


def agent(status: str, state: str, **fields: Any) -> dict[str, Any]:
    known = {
        "id": "agent-17",
        "reason_code": None,
        "connected": False,
        "ip": "10.0.3.4",
        "connected_at": at(-3600),
        "last_heartbeat": at(3),
    }
    return {**known, "status": status, "state": state, **fields}


def why(agent: dict[str, Any], *story: tuple[float, str, dict[str, Any]]) -> str:
    """The sentence for a story, told oldest first."""
    entries = [
        {"number": number, "at": at(seconds), "kind": kind, "data": data}
        for number, (seconds, kind, data) in enumerate(story)
    ]
    return sentence(agent, entries[::-1], clock(NOON, timezone.utc))


def closed(code: int = 1006, initiator: str = "network", **fields: Any) -> dict[str, Any]:
    known = {
        "code": code,
        "answer": 0,
        "reason": "",
        "initiator": initiator,
        "cause": "",
        "ip": "10.0.3.4",
        "lasted_ms": 3_700_000,
        "rtt_us": 1250,
        "stale": False,
    }
    return {**known, **fields}


CONNECTED = (
    -3600.0,
    "connected",
    {
        "ip": "10.0.3.4",
        "dialect": "raw",
        "introduced_by": "app_ready",
        "took_over": False,
        "session_restored": False,
    },
)
LOST = (11.0, "disconnected", closed())


def test_a_lost_agent_that_did_not_come_back() -> None:
    assert why(
        agent("offline", "offline", reason_code="reconnect_timeout"),
        CONNECTED,
        LOST,
        (131, "offline", {"reason_code": "reconnect_timeout"}),
    ) == (
        "agent-17 is offline since 12:02:11Z: its connection from 10.0.3.4 was lost without a "
        "close frame, it did not come back within 120 s; last heartbeat 12:00:03Z"
    )


def test_an_agent_that_still_has_time() -> None:
    assert why(agent("online", "reconnecting"), CONNECTED, LOST) == (
        "agent-17 is reconnecting since 12:00:11Z: its connection from 10.0.3.4 was lost without a "
        "close frame, and it still has time to come back; last heartbeat 12:00:03Z"
    )


def test_an_agent_that_is_there() -> None:
    assert why(agent("online", "connected", connected=True, last_heartbeat=None), CONNECTED) == (
        "agent-17 is online: connected from 10.0.3.4 since 11:00:00Z; it never sent a heartbeat"
    )


def test_an_agent_that_is_back() -> None:
    said = why(
        agent("online", "connected", connected=True, connected_at=at(1000)),
        LOST,
        (131, "offline", {"reason_code": "reconnect_timeout"}),
        (1000, *CONNECTED[1:]),
    )
    assert "since 12:16:40Z, after it was offline for 14 min;" in said


def test_an_absence_before_the_last_one_is_not_told() -> None:
    said = why(
        agent("online", "connected", connected=True, connected_at=at(5000)),
        (131, "offline", {"reason_code": "reconnect_timeout"}),
        (1000, *CONNECTED[1:]),
        (4990, "disconnected", closed()),
        (5000, *CONNECTED[1:]),
    )
    assert "after it was offline" not in said


def test_a_late_agent() -> None:
    missed = (90.0, "missed", {"misses": 3, "silent_ms": 90_000})
    assert (
        "is late: connected from 10.0.3.4 since 11:00:00Z, but it missed 3 heartbeats in a row "
        "and was silent for 90 s;" in why(agent("online", "late"), CONNECTED, missed)
    )


def test_an_agent_that_was_silent_too_long() -> None:
    said = why(
        agent("offline", "offline", connected=True, reason_code="missed_heartbeats"),
        CONNECTED,
        (90, "missed", {"misses": 3, "silent_ms": 90_000}),
        (150, "offline", {"reason_code": "missed_heartbeats"}),
    )
    assert "offline since 12:02:30Z: it missed 3 heartbeats in a row" in said
    assert "its connection from 10.0.3.4 is still open;" in said


def test_a_silent_agent_that_was_closed_later() -> None:
    end = closed(1011, "server", reason="heartbeat timeout", cause="heartbeat_timeout")
    said = why(
        agent("offline", "offline", reason_code="missed_heartbeats"),
        CONNECTED,
        (90, "missed", {"misses": 3, "silent_ms": 90_000}),
        (150, "offline", {"reason_code": "missed_heartbeats"}),
        (300, "disconnected", end),
    )
    assert "was closed by the server with 1011 heartbeat timeout" in said
    assert "at 12:05:00Z;" in said


def test_an_agent_that_was_terminated() -> None:
    said = why(
        agent("offline", "terminated", reason_code="terminated"),
        CONNECTED,
        (20, "terminated", {"latency_ms": 35.0, "drain": True}),
    )
    assert "offline since 12:00:20Z: the drain asked it to stop its application, and it did" in said


@pytest.mark.parametrize("reason", ["no_connection", "heartbeat_timeout", "reconnect_timeout"])
def test_an_agent_that_did_not_come_back_after_the_boot(reason: str) -> None:
    said = why(
        agent("offline", "offline", reason_code=reason),
        (0, "started", {"version": "1"}),
        (120, "offline", {"reason_code": reason}),
    )
    assert "offline since 12:02:00Z: it did not come back" in said


def test_an_agent_of_which_nothing_is_known_yet() -> None:
    said = why(agent("online", "unknown"), (5, "started", {"version": "1"}))
    assert said.startswith("agent-17 is not back yet since the server started at 12:00:05Z")
    assert why(agent("online", "unknown")).startswith("agent-17 is not back yet since the server")
    said = why(agent("online", "unknown"), LOST, (5, "started", {"version": "1"}))
    assert "; before, its connection from 10.0.3.4 was lost without a close frame;" in said


def test_an_offline_agent_whose_timeline_has_aged_out() -> None:
    said = why(agent("offline", "offline", reason_code="reconnect_timeout"))
    assert said.startswith("agent-17 is offline (reconnect_timeout), and nothing tells since when")


def test_the_end_of_a_stale_connection_is_no_reason() -> None:
    stale = (20.0, "disconnected", closed(4409, "server", stale=True))
    assert "lost without a close frame" in why(agent("online", "reconnecting"), LOST, stale)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (closed(1001, "peer", reason="bye"), "was closed by the agent with 1001 bye"),
        (closed(1005, "peer"), "was closed by the agent without a code"),
        (closed(1013, "server", cause="slow_consumer"), "1013: it did not read what it was sent"),
        (closed(1011, "server", cause="ping_timeout"), "nothing came from it any more"),
        (closed(4409, "server", cause="taken_over"), "another one took its place"),
        (closed(1006, "server", cause="shutdown"), "was cut by the server"),
        (closed(1002, "server", reason="bad mask"), "was closed by the server with 1002 bad mask"),
        (closed(1001, "server"), "the agent did not answer that"),
        (closed(1001, "server", answer=1000), "the agent answered 1000"),
        (closed(), "it lasted 1 h 2 min, round trip 1.2 ms"),
        (closed(stale=True), "an earlier connection was lost"),
    ],
)
def test_every_end_of_a_connection_has_its_words(end: dict[str, Any], words: str) -> None:
    assert words in describe("disconnected", end)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("connected", {**CONNECTED[2], "took_over": True}, "took over from an earlier connection"),
        ("connected", {**CONNECTED[2], "session_restored": True}, "app_ready), session restored"),
        ("missed", {"misses": 1, "silent_ms": 30_000}, "missed a heartbeat and was silent"),
        ("recovered", {"by": "heartbeat"}, "a heartbeat came"),
        ("online", {}, "online"),
        ("offline", {"reason_code": "operator"}, "offline: operator"),
        ("asked", {}, "was asked to stop"),
        ("terminated", {"latency_ms": 35, "drain": False}, "after 35 ms"),
        ("unterminated", {"outcome": "timed_out", "message": ""}, "did not answer"),
        ("unterminated", {"outcome": "failed", "message": "broken"}, "failed: broken"),
        ("refused", {"status": "ERROR", "message": "busy"}, "with ERROR: busy"),
        ("progress", {"stage": "flush", "granted_ms": 2500}, "flush (+2.5 s)"),
        ("started", {"version": "1.2"}, "dscore 1.2"),
        ("stopped", {}, "stopped"),
        ("maintenance", {"enabled": False}, "maintenance off"),
        ("drain", {"intent": "restart"}, "(restart)"),
        ("of a newer version", {"x": 1}, "of a newer version"),
    ],
)
def test_every_kind_of_entry_has_its_words(kind: str, data: dict[str, Any], words: str) -> None:
    assert words in describe(kind, data)


def test_times_are_those_of_the_wall_with_the_date_when_it_is_another_day() -> None:
    seoul = clock(NOON, SEOUL)
    assert seoul("2026-03-04T12:00:00.500Z") == "21:00:00"
    assert seoul("2026-03-04T15:00:00.000Z") == "2026-03-05 00:00:00"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.035, "35 ms"),
        (9.5, "9.5 s"),
        (3, "3 s"),
        (120, "120 s"),
        (3700, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_both_languages_have_the_same_phrases_with_the_same_holes() -> None:
    english, korean = PHRASES["en"], PHRASES["ko"]
    assert english.keys() == korean.keys()

    def holes(phrase: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(phrase) if name}

    for name, phrase in english.items():
        assert holes(korean[name]) == holes(phrase), name


@pytest.mark.parametrize("kind", ["offline", "terminated", "disconnected", "missed", "clock"])
def test_a_story_is_told_in_korean(kind: str) -> None:
    data = {
        "offline": {"reason_code": "reconnect_timeout"},
        "terminated": {"latency_ms": 90_000, "incomplete": "a"},
        "disconnected": {
            "code": 1006,
            "reason": "",
            "answer": 0,
            "initiator": "network",
            "cause": "",
            "lasted_ms": 700_000,
            "rtt_us": 1500,
            "stale": False,
        },
        "missed": {"misses": 2, "silent_ms": 60_000},
        "clock": {"seconds": -3},
    }[kind]
    told = describe(kind, data, "ko")
    assert told != describe(kind, data)
    assert re.search("[가-힣]", told)
    assert not re.search(r"[a-z]{3,}", told.replace("reconnect_timeout", "")), told
