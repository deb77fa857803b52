"""The table of waits and the machine around it: every cell, no clock."""

import itertools
from collections.abc import Callable

import pytest

from dscore_agent.reconnect import MAX_HINT, Phase, Reconnector, ReconnectPolicy, Row, row_of

EXACT = ReconnectPolicy(jitter=False)
JITTER = ReconnectPolicy()
NOW = 1000.0


def never() -> float:
    raise AssertionError("without jitter nothing is random")


def waits(row: Row, count: int, policy: ReconnectPolicy = EXACT) -> list[float]:
    return [policy.delay(row, n, never) for n in range(count)]


@pytest.mark.parametrize(
    ("code", "reason", "row"),
    [
        (1000, "Client terminated", Row.FINAL),
        (4409, "taken over", Row.TAKEN_OVER),
        (4409, "", Row.TAKEN_OVER),
        (1008, "authentication failed", Row.UNAUTHENTICATED),
        (1000, "", Row.OTHER),
        (1008, "authentication timeout", Row.OTHER),
        (1008, "too many errors", Row.OTHER),
        (1001, "Server shutting down gracefully", Row.GOING_AWAY),
        (1001, "Server shutdown timeout", Row.GOING_AWAY),
        (1013, "Server shutting down", Row.SHUTTING_DOWN),
        (1013, "slow consumer", Row.SHUTTING_DOWN),
        (1005, "", Row.OTHER),
        (1006, "", Row.OTHER),
        (1011, "ping timeout", Row.OTHER),
        (4000, "", Row.OTHER),
    ],
)
def test_reconnect_7_each_close_code_has_its_row(code: int, reason: str, row: Row) -> None:
    assert row_of(code, reason) is row


def test_reconnect_7_after_1001_at_least_5_seconds() -> None:
    assert waits(Row.GOING_AWAY, 8) == [5, 5, 5, 8, 16, 32, 60, 60]


def test_reconnect_7_while_the_server_shuts_down_10_and_5_more_each_time() -> None:
    assert waits(Row.SHUTTING_DOWN, 13) == [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60, 60]


def test_reconnect_7_after_anything_else_doubled_each_time() -> None:
    assert waits(Row.OTHER, 8) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_page_s_cap_is_30() -> None:
    page = ReconnectPolicy(cap=30.0, jitter=False)
    assert max(waits(Row.OTHER, 12, page) + waits(Row.SHUTTING_DOWN, 12, page)) == 30


def test_days_of_attempts_do_not_overflow() -> None:
    assert EXACT.delay(Row.OTHER, 100_000, never) == 60


def test_without_backoff_each_row_stays_at_its_first_wait() -> None:
    steady = ReconnectPolicy(exponential=False, jitter=False)
    assert waits(Row.OTHER, 3, steady) == [1, 1, 1]
    assert waits(Row.SHUTTING_DOWN, 3, steady) == [10, 10, 10]
    assert waits(Row.GOING_AWAY, 3, steady) == [5, 5, 5]


@pytest.mark.parametrize(
    ("row", "n", "least", "most"),
    [
        (Row.OTHER, 0, 0, 1),
        (Row.OTHER, 9, 0, 60),
        (Row.GOING_AWAY, 0, 5, 5),
        (Row.GOING_AWAY, 4, 5, 16),
        (Row.SHUTTING_DOWN, 0, 10, 10),
        (Row.SHUTTING_DOWN, 3, 10, 25),
    ],
)
def test_reconnect_7_jitter_fills_what_lies_above_the_least_wait(
    row: Row, n: int, least: float, most: float
) -> None:
    assert JITTER.delay(row, n, lambda: 0.0) == least
    assert JITTER.delay(row, n, lambda: 0.5) == (least + most) / 2
    assert JITTER.delay(row, n, lambda: 1.0) == most


def connected(policy: ReconnectPolicy = EXACT) -> Reconnector:
    one = Reconnector(policy, never if not policy.jitter else lambda: 0.5)
    one.begin()
    one.opened(NOW)
    return one


def test_reconnect_7_a_hint_wins_over_the_table_and_gets_no_jitter() -> None:
    one = connected(JITTER)
    one.hinted(7.25)
    assert one.closed(1001, "", NOW + 60) == 7.25


def test_a_hint_counts_once() -> None:
    one = connected()
    one.hinted(7.25)
    one.closed(1001, "", NOW + 60)
    one.due()
    assert one.refused() == 2


def test_a_hint_does_not_bring_back_who_shall_stay_away() -> None:
    one = connected()
    one.hinted(7.25)
    assert one.closed(1000, "Client terminated", NOW) is None


@pytest.mark.parametrize("seconds", [0.0, -5.0])
def test_no_hint_brings_a_fleet_back_without_a_pause(seconds: float) -> None:
    one = connected()
    one.hinted(seconds)
    assert one.closed(1001, "", NOW + 60) == 1


def test_no_hint_sends_an_agent_away_for_good() -> None:
    one = connected()
    one.hinted(1e9)
    assert one.closed(1001, "", NOW) == MAX_HINT


def test_reconnect_7_only_a_connection_of_10_seconds_resets_the_count() -> None:
    one = connected()
    waited = []
    for lived in (9.9, 9.9, 9.9, 10.0, 9.9):
        waited.append(one.closed(1006, "", NOW + lived))
        one.due()
        one.opened(NOW)
    assert waited == [1, 2, 4, 1, 2]


def test_reconnect_7_attempts_have_no_end() -> None:
    one = Reconnector(EXACT, never)
    one.begin()
    for _ in range(10_000):
        wait = one.refused()
        one.due()
    assert (wait, one.attempts) == (60, 10_000)


def test_each_failure_waits_as_its_own_cause_demands() -> None:
    one = connected()
    assert one.closed(1001, "", NOW + 60) == 5
    one.due()
    assert one.refused(Row.SHUTTING_DOWN) == 15
    one.due()
    assert one.refused() == 4


@pytest.mark.parametrize("row", [Row.TAKEN_OVER, Row.UNAUTHENTICATED])
def test_reconnect_7_an_identity_waits_5_minutes_doubled_up_to_an_hour(row: Row) -> None:
    assert waits(row, 6) == [300, 600, 1200, 2400, 3600, 3600]
    # Full jitter: a fleet whose token has expired must not knock in one moment.
    assert JITTER.delay(row, 0, lambda: 0.5) == 150


def test_reconnect_7_new_credentials_wait_as_anything_else() -> None:
    one = connected()
    assert one.closed(1008, "authentication failed", NOW) == 300
    assert one.renewed() == 1
    one.due()
    one.opened(NOW)
    assert one.closed(1008, "authentication failed", NOW) == 600


@pytest.mark.parametrize(("seconds", "wait"), [(7.5, 7.5), (0.0, 1.0), (1e9, MAX_HINT)])
def test_reconnect_7_retry_after_is_a_hint(seconds: float, wait: float) -> None:
    one = Reconnector(JITTER, never)
    one.begin()
    assert one.refused(retry_after=seconds) == wait


EVENTS: dict[str, Callable[[Reconnector], object]] = {
    "begin": lambda one: one.begin(),
    "due": lambda one: one.due(),
    "refused": lambda one: one.refused(),
    "opened": lambda one: one.opened(NOW),
    "hinted": lambda one: one.hinted(1.0),
    "closed": lambda one: one.closed(1006, "", NOW),
    "closed for good": lambda one: one.closed(1000, "Client terminated", NOW),
    "renewed": lambda one: one.renewed(),
    "stop": lambda one: one.stop(),
}

TABLE = {
    (Phase.IDLE, "begin"): Phase.ATTEMPTING,
    (Phase.WAITING, "due"): Phase.ATTEMPTING,
    (Phase.WAITING, "renewed"): Phase.WAITING,
    (Phase.ATTEMPTING, "refused"): Phase.WAITING,
    (Phase.ATTEMPTING, "opened"): Phase.CONNECTED,
    (Phase.CONNECTED, "hinted"): Phase.CONNECTED,
    (Phase.CONNECTED, "closed"): Phase.WAITING,
    (Phase.CONNECTED, "closed for good"): Phase.STOPPED,
    **{(phase, "stop"): Phase.STOPPED for phase in Phase},
}


@pytest.mark.parametrize(("phase", "event"), list(itertools.product(Phase, EVENTS)))
def test_every_cell_of_the_machine(phase: Phase, event: str) -> None:
    one = Reconnector(EXACT, never)
    one.phase = phase
    following = TABLE.get((phase, event))
    if following is None:
        with pytest.raises(RuntimeError):
            EVENTS[event](one)
        assert one.phase is phase
    else:
        EVENTS[event](one)
        assert one.phase is following
