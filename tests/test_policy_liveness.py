from itertools import product
from typing import get_args

import pytest

from dscore.config import MonitoringConfig
from dscore.policy.liveness import TABLE, Input, Liveness
from dscore.registry import AgentRecord, State
from fake_core import Wheel

S = 1000
MONITORING = MonitoringConfig(
    reconnection_grace_period=120, heartbeat_grace_period=60, max_missed_heartbeats=3
)


@pytest.fixture
def liveness() -> Liveness:
    return Liveness(Wheel(0), MONITORING)  # type: ignore[arg-type]


@pytest.fixture
def record(liveness: Liveness) -> AgentRecord:
    record = AgentRecord("a")
    assert liveness.introduced(record, 0)
    return record


def put_into(liveness: Liveness, state: State) -> AgentRecord:
    """An agent that came into a state by the ways of the table."""
    record = AgentRecord("a")
    if state == "gone":
        return record
    liveness.introduced(record, 0)
    if state in ("late", "silent"):
        liveness.missed(record, 3, 0)
    if state == "silent":
        liveness.advance(60 * S)
    if state == "reconnecting":
        liveness.lost(record, 0)
    assert record.state == state
    return record


def feed(liveness: Liveness, record: AgentRecord, what: Input) -> bool:
    now = 60 * S
    match what:
        case "introduced":
            return liveness.introduced(record, now)
        case "beat":
            return liveness.beat(record, now, heartbeat=True)
        case "missed":
            return liveness.missed(record, 1, now)
        case "overdue":
            return liveness.missed(record, 3, now)
        case "lost":
            return liveness.lost(record, now)
        case "timed_out":
            return liveness.timed_out(record, now)
        case "ended":
            return liveness.ended(record, "terminated", now)
        case "grace_over":
            return record in liveness.advance(200 * S)


@pytest.mark.parametrize(("state", "what"), [*product(get_args(State), get_args(Input))])
def test_every_cell_of_the_table(liveness: Liveness, state: State, what: Input) -> None:
    record = put_into(liveness, state)
    was_online = record.status == "online"
    step = TABLE.get((state, what))
    if step is None:
        if what == "grace_over":
            assert record.grace is None, "nothing is armed that could run out"
        else:
            with pytest.raises(RuntimeError, match=f"{what} of a while {state}"):
                feed(liveness, record, what)
        return
    changed = feed(liveness, record, what)
    assert record.state == step.state
    assert changed == (was_online != (record.status == "online"))
    assert (record.grace is not None) == (step.state in ("late", "reconnecting"))
    if record.status == "online":
        assert record.reason_code is None
    elif was_online:
        assert record.reason_code == (step.reason or "terminated")


def test_liveness_2_is_offline_after_misses_and_grace_and_back_with_a_heartbeat(
    liveness: Liveness, record: AgentRecord
) -> None:
    for misses in (1, 2):
        assert not liveness.missed(record, misses, 30 * S * misses)
        assert record.state == "connected"
    liveness.missed(record, 3, 90 * S)
    assert liveness.next_deadline() == 150 * S
    assert liveness.advance(150 * S - 1) == []
    assert liveness.advance(150 * S) == [record]
    assert (record.status, record.reason_code) == ("offline", "missed_heartbeats")
    assert liveness.beat(record, 160 * S, heartbeat=True)
    assert (record.status, record.reason_code, record.last_heartbeat) == ("online", None, 160 * S)


def test_liveness_2_a_check_response_brings_back_and_leaves_last_heartbeat_as_it_is(
    liveness: Liveness, record: AgentRecord
) -> None:
    record.last_heartbeat = 5
    liveness.missed(record, 3, 0)
    liveness.advance(60 * S)
    assert liveness.beat(record, 70 * S, heartbeat=False)
    assert record.last_heartbeat == 5


def test_liveness_2_heartbeat_timeout_is_offline_at_once(
    liveness: Liveness, record: AgentRecord
) -> None:
    assert liveness.timed_out(record, 300 * S)
    assert record.reason_code == "heartbeat_timeout"
    assert liveness.next_deadline() is None


def test_liveness_2_heartbeat_timeout_of_a_silent_agent_changes_nothing(liveness: Liveness) -> None:
    record = put_into(liveness, "silent")
    assert not liveness.timed_out(record, 300 * S)
    assert record.reason_code == "missed_heartbeats"


def test_liveness_4_stays_online_through_the_reconnection_grace(
    liveness: Liveness, record: AgentRecord
) -> None:
    assert not liveness.lost(record, 10 * S)
    assert (record.status, record.state) == ("online", "reconnecting")
    assert liveness.advance(130 * S - 1) == []
    assert liveness.advance(130 * S) == [record]
    assert (record.status, record.reason_code) == ("offline", "reconnect_timeout")


def test_liveness_4_back_in_time_is_no_change(liveness: Liveness, record: AgentRecord) -> None:
    liveness.lost(record, 0)
    assert not liveness.introduced(record, 119 * S)
    assert liveness.next_deadline() is None
    assert liveness.advance(500 * S) == []


def test_liveness_4_waits_out_the_rest_of_a_young_heartbeats_grace() -> None:
    monitoring = MonitoringConfig(reconnection_grace_period=10, heartbeat_grace_period=60)
    liveness = Liveness(Wheel(0), monitoring)  # type: ignore[arg-type]
    record = AgentRecord("a")
    liveness.introduced(record, 0)
    record.last_heartbeat = 95 * S
    liveness.lost(record, 100 * S)
    assert liveness.advance(155 * S - 1) == []
    assert liveness.advance(155 * S) == [record]
    assert record.reason_code == "reconnect_timeout"


def test_liveness_6_grace_periods_stand_still_while_the_clock_is_stopped(
    liveness: Liveness, record: AgentRecord
) -> None:
    liveness.lost(record, 0)
    liveness.stop_clock(100 * S)
    liveness.stop_clock(150 * S)
    assert liveness.next_deadline() is None
    assert liveness.advance(1_000 * S) == []
    liveness.start_clock(1_100 * S)
    assert liveness.next_deadline() == 1_120 * S
    assert liveness.advance(1_120 * S - 1) == []
    assert liveness.advance(1_120 * S) == [record]


def test_liveness_6_a_grace_that_begins_in_maintenance_has_its_whole_length_afterwards(
    liveness: Liveness, record: AgentRecord
) -> None:
    liveness.stop_clock(100 * S)
    liveness.lost(record, 500 * S)
    liveness.start_clock(600 * S)
    assert liveness.next_deadline() == 720 * S


def test_liveness_6_ended_is_offline_at_once_without_grace(
    liveness: Liveness, record: AgentRecord
) -> None:
    assert liveness.ended(record, "operator", 0)
    assert (record.status, record.reason_code) == ("offline", "operator")
    assert liveness.next_deadline() is None
