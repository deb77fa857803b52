"""Sessions and outboxes of a fleet (PROTOCOL.md §7), without a server."""

import pytest

from dscore._core import Fleet
from dscore.policy.liveness import new_fleet
from outboxes import PLENTY, TTL, introduced, known, left, outbox, queued, taken


@pytest.fixture
def fleet() -> Fleet:
    fleet = new_fleet()
    fleet.bound_outboxes(100, 1000, PLENTY)
    left(fleet, "a")
    return fleet


def reopened(fleet: Fleet, *, reconnection: bool | None, age: int = 0) -> bool:
    agent = known(fleet, "a")
    return fleet.open_session(agent, reconnection=reconnection, age=age, ttl=TTL)


def test_an_outbox_is_taken_in_order_and_once(fleet: Fleet) -> None:
    queued(fleet, "a", b"1", b"2", b"3")
    assert taken(fleet, "a") == [b"1", b"2", b"3"]
    assert taken(fleet, "a") == []


def test_an_outbox_drops_and_counts_the_oldest_past_the_limit(fleet: Fleet) -> None:
    fleet.bound_outboxes(2, 1000, PLENTY)
    queued(fleet, "a", b"1", b"2", b"3")
    assert outbox(fleet, "a") == (2, 1)
    assert fleet.take_drops() == [("a", 1)]
    assert fleet.take_drops() == []
    assert taken(fleet, "a") == [b"2", b"3"]


def test_an_outbox_drops_the_oldest_past_its_bytes(fleet: Fleet) -> None:
    queued(fleet, "a", b"1" * 600, b"2" * 600)
    assert taken(fleet, "a") == [b"2" * 600]


def test_an_outbox_keeps_one_message_of_any_size(fleet: Fleet) -> None:
    queued(fleet, "a", b"1" * 5000)
    assert taken(fleet, "a") == [b"1" * 5000]


def test_a_limit_of_nothing_keeps_nothing(fleet: Fleet) -> None:
    fleet.bound_outboxes(0, 1000, PLENTY)
    queued(fleet, "a", b"1")
    assert outbox(fleet, "a") == (0, 1)
    assert fleet.sessions() == (1, 0, 0)


def test_outboxes_together_are_bounded_the_oldest_go_first(fleet: Fleet) -> None:
    fleet.bound_outboxes(100, 10_000, 1000)
    left(fleet, "b")
    for number in range(6):
        queued(fleet, "ab"[number % 2], b"%d" % number * 300)
    assert fleet.sessions() == (2, 3, 900)
    assert sorted(fleet.take_drops()) == [("a", 2), ("b", 1)]
    assert taken(fleet, "a") == [b"4" * 300]


def test_the_newest_stays_though_it_is_more_than_all_may_be(fleet: Fleet) -> None:
    fleet.bound_outboxes(100, 10_000, 1000)
    left(fleet, "b")
    queued(fleet, "a", b"1", b"2")
    queued(fleet, "b", b"3" * 3000)
    assert fleet.sessions() == (2, 1, 3000)
    assert taken(fleet, "b") == [b"3" * 3000]


def test_a_removed_agent_leaves_no_session_and_no_message(fleet: Fleet) -> None:
    queued(fleet, "a", b"1")
    fleet.forget(known(fleet, "a"))
    assert fleet.sessions() == (0, 0, 0)
    assert fleet.take_drops() == [("a", 1)]


def test_a_session_of_one_that_left_runs_out(fleet: Fleet) -> None:
    left(fleet, "b", age=10)
    left(fleet, "c", age=20)
    introduced(fleet, "d")
    assert fleet.expire_sessions(15) == 2
    assert [name for name in "abcd" if fleet.has_session(known(fleet, name))] == ["c", "d"]


def test_reconnection_restores_a_session_that_exists(fleet: Fleet) -> None:
    assert reopened(fleet, reconnection=True, age=TTL)
    fleet.forget(known(fleet, "a"))
    agent = left(fleet, "a")
    fleet.expire_sessions(1)
    assert not fleet.has_session(agent)
    assert not reopened(fleet, reconnection=True)


def test_reconnection_after_the_ttl_begins_anew(fleet: Fleet) -> None:
    queued(fleet, "a", b"1")
    assert not reopened(fleet, reconnection=True, age=TTL + 1)
    assert taken(fleet, "a") == []


def test_no_reconnection_drops_the_old_outbox(fleet: Fleet) -> None:
    queued(fleet, "a", b"1")
    assert not reopened(fleet, reconnection=False)
    assert taken(fleet, "a") == []
    assert fleet.take_drops() == [("a", 1)]


def test_a_message_that_cannot_say_keeps_what_there_is(fleet: Fleet) -> None:
    queued(fleet, "a", b"1")
    assert reopened(fleet, reconnection=None)
    assert taken(fleet, "a") == [b"1"]


def test_what_happens_to_one_agents_session_is_no_others(fleet: Fleet) -> None:
    left(fleet, "b")
    queued(fleet, "a", b"1")
    assert outbox(fleet, "b") == (0, 0)
    assert taken(fleet, "b") == []
    assert taken(fleet, "a") == [b"1"]


def test_leaving_and_queueing_without_a_session_is_nothing(fleet: Fleet) -> None:
    agent = known(fleet, "a")
    fleet.expire_sessions(1)
    fleet.leave_session(agent, 1006, 0)
    assert not fleet.has_session(agent)
    assert fleet.queue(agent, b"1") is None


def test_a_portion_is_bounded_and_holds_at_least_one(fleet: Fleet) -> None:
    queued(fleet, "a", b"1" * 10, b"2" * 10, b"3" * 10)
    agent = introduced(fleet, "a")
    assert fleet.deliver(agent, 25) == [b"1" * 10, b"2" * 10]
    assert fleet.deliver(agent, 25) == [], "introduced twice"
    assert fleet.is_behind(agent)
    assert fleet.delivered(agent.conn, 1) == [b"3" * 10]
    assert not fleet.is_behind(agent)
    assert fleet.sessions() == (1, 1, 10)
    assert fleet.delivered(agent.conn, 1) == []
    assert fleet.sessions() == (1, 0, 0)


def test_a_connection_that_ends_loses_nothing_that_was_on_its_way(fleet: Fleet) -> None:
    queued(fleet, "a", b"1", b"2")
    agent = introduced(fleet, "a")
    assert fleet.deliver(agent, 1) == [b"1"]
    first = agent.conn
    # Taken over: what the first was sent is not known to have come.
    agent = introduced(fleet, "a")
    assert fleet.deliver(agent, PLENTY) == [b"1", b"2"]
    assert fleet.delivered(first, PLENTY) == []
    assert fleet.sessions() == (1, 2, 2)


def test_one_that_is_withdrawn_is_not_sent(fleet: Fleet) -> None:
    agent = known(fleet, "a")
    numbers = [fleet.queue(agent, text) for text in (b"1", b"2", b"3")]
    assert numbers[1] is not None
    assert fleet.withdraw(agent, numbers[1])
    assert not fleet.withdraw(agent, numbers[1])
    assert taken(fleet, "a") == [b"1", b"3"]
