from itertools import product
from random import Random
from typing import get_args

import pytest

from dscore import core
from dscore.config import MonitoringConfig
from dscore.policy.liveness import TABLE, Ending, Input, Liveness
from dscore.registry import ONLINE_STATES, AgentRecord, State
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
    if state == "unknown":
        record.state = "connected"
        liveness.booted(record, 0)
        return record
    liveness.introduced(record, 0)
    match state:
        case "late":
            liveness.missed(record, 3, 0)
        case "offline":
            liveness.missed(record, 3, 0)
            liveness.advance(60 * S)
        case "terminating":
            liveness.asked(record, 0)
        case "terminated":
            liveness.ended(record, "terminated", 0)
        case "reconnecting":
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
        case "terminated":
            return liveness.ended(record, "terminated", now)
        case "removed":
            return liveness.ended(record, "operator", now)
        case "grace_over":
            return record in liveness.advance(200 * S)
    {"asked": liveness.asked, "spared": liveness.spared, "booted": liveness.booted}[what](
        record, now
    )
    return False


@pytest.mark.parametrize(("state", "what"), [*product(get_args(State), get_args(Input))])
def test_every_cell_of_the_table(liveness: Liveness, state: State, what: Input) -> None:
    record = put_into(liveness, state)
    was_online, reason = record.status == "online", record.reason_code
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
    assert (record.grace is not None) == (step.state in ("late", "reconnecting", "unknown"))
    if record.status == "online":
        assert record.reason_code is None
    elif state == "unknown" and what == "grace_over":
        assert record.reason_code == "no_connection"
    else:
        assert record.reason_code == (step.reason or reason)
        assert record.reason_code is not None, "what is offline is so for a reason"


@pytest.mark.parametrize("state", [one for one, what in TABLE if what == "asked"])
def test_a_whole_fleet_is_asked_as_one_agent_is(liveness: Liveness, state: State) -> None:
    alone, fleet = put_into(liveness, state), [put_into(liveness, state) for _ in range(2)]
    liveness.asked(alone, 60 * S)
    liveness.all_asked(fleet)
    for record in fleet:
        assert (record.state, record.reason_code) == (alone.state, alone.reason_code)
        assert (record.grace is None) == (alone.grace is None)


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


def test_liveness_2_heartbeat_timeout_of_an_offline_agent_changes_nothing(
    liveness: Liveness,
) -> None:
    record = put_into(liveness, "offline")
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


@pytest.mark.parametrize("state", ["connected", "late", "terminating"])
@pytest.mark.parametrize("ending", ["terminated", "operator"])
def test_liveness_6_ended_is_offline_at_once_without_grace(
    liveness: Liveness, state: State, ending: Ending
) -> None:
    record = put_into(liveness, state)
    assert liveness.ended(record, ending, 0)
    assert (record.status, record.reason_code) == ("offline", ending)
    assert liveness.next_deadline() is None


def test_liveness_6_the_end_of_a_connection_is_no_reason_of_a_status() -> None:
    reasons = {step.reason for step in TABLE.values()} - {None}
    assert reasons == {
        "heartbeat_timeout",
        "missed_heartbeats",
        "reconnect_timeout",
        "terminated",
        "operator",
    }


def test_liveness_7_a_takeover_is_no_change_and_clears_what_the_first_had_missed(
    liveness: Liveness, record: AgentRecord
) -> None:
    liveness.missed(record, 3, 0)
    assert not liveness.introduced(record, 1)
    assert (record.state, liveness.next_deadline()) == ("connected", None)


@pytest.mark.parametrize("accuracy", [0, 50])
def test_liveness_8_no_grace_ends_before_its_deadline(accuracy: int) -> None:
    liveness = Liveness(core.Wheel(0), MONITORING)
    random = Random(8)
    deadlines: dict[str, int] = {}
    for number in range(2_000):
        record = AgentRecord(str(number))
        began = random.randrange(200 * S)
        liveness.introduced(record, began)
        liveness.lost(record, began)
        deadlines[record.agent_id] = began + 120 * S
    while (deadline := liveness.next_deadline()) is not None:
        now = deadline + accuracy
        for record in liveness.advance(now):
            assert 0 <= now - deadlines.pop(record.agent_id) <= accuracy
    assert deadlines == {}


def test_a_termination_that_failed_leaves_an_agent_like_all_others(liveness: Liveness) -> None:
    record = put_into(liveness, "terminating")
    liveness.spared(record, 0)
    assert record.state == "connected"


def test_an_agent_asked_to_stop_that_misses_heartbeats_is_late_like_all_others(
    liveness: Liveness,
) -> None:
    record = put_into(liveness, "terminating")
    liveness.missed(record, 3, 0)
    assert (record.state, liveness.next_deadline()) == ("late", 60 * S)


def test_thousands_of_graces_that_end_at_once_are_ended_in_slices(liveness: Liveness) -> None:
    records = [put_into(liveness, "reconnecting") for _ in range(5)]
    assert liveness.advance(120 * S, 2) == records[:2]
    assert liveness.next_deadline() == 0, "there are more"
    # One of those that wait comes back just in time, and another is lost anew after that.
    assert not liveness.introduced(records[2], 120 * S)
    assert not liveness.introduced(records[3], 120 * S)
    assert not liveness.lost(records[3], 120 * S)
    assert liveness.advance(120 * S, 2) == records[4:]
    assert liveness.next_deadline() == 240 * S
    assert [record.state for record in records[2:4]] == ["connected", "reconnecting"]


def test_a_grace_can_be_cut_short(liveness: Liveness, record: AgentRecord) -> None:
    assert not liveness.cut_short(record, 0), "it is connected"
    liveness.lost(record, 0)
    assert liveness.cut_short(record, 1)
    assert (record.state, record.reason_code) == ("offline", "reconnect_timeout")
    assert not liveness.cut_short(record, 2)
    assert liveness.next_deadline() is None


def test_graces_that_wait_for_their_turn_wait_through_a_maintenance(liveness: Liveness) -> None:
    records = [put_into(liveness, "reconnecting") for _ in range(2)]
    liveness.advance(120 * S, 1)
    liveness.stop_clock(120 * S)
    assert liveness.next_deadline() is None
    assert liveness.advance(500 * S) == []
    liveness.start_clock(500 * S)
    assert liveness.advance(500 * S) == records[1:]


def stored(state: State, last_heartbeat: int | None = None) -> AgentRecord:
    """A record as an earlier process left it."""
    record = AgentRecord("a")
    record.state = state
    record.last_heartbeat = last_heartbeat
    return record


@pytest.mark.parametrize("state", sorted(ONLINE_STATES))
def test_liveness_5_an_agent_stored_as_online_has_a_grace_in_which_nothing_changes(
    liveness: Liveness, state: State
) -> None:
    record = stored(state)
    liveness.booted(record, 7 * S)
    assert (record.state, record.status, record.reason_code) == ("unknown", "online", None)
    assert liveness.advance(127 * S - 1) == []
    assert not liveness.introduced(record, 127 * S - 1)
    assert liveness.next_deadline() is None


@pytest.mark.parametrize(
    ("last_heartbeat", "reason"),
    [
        (None, "no_connection"),
        (-181 * S, "heartbeat_timeout"),
        (-180 * S, "reconnect_timeout"),
        (-5 * S, "reconnect_timeout"),
    ],
)
def test_liveness_5_one_that_does_not_come_back_after_a_boot_is_offline(
    liveness: Liveness, last_heartbeat: int | None, reason: str
) -> None:
    record = stored("connected", last_heartbeat)
    liveness.booted(record, 0)
    assert liveness.advance(120 * S) == [record]
    assert (record.status, record.reason_code) == ("offline", reason)


def test_liveness_5_an_agent_stored_as_offline_stays_so_for_the_same_reason(
    liveness: Liveness,
) -> None:
    for state, reason in (("offline", "missed_heartbeats"), ("terminated", "terminated")):
        record = stored(state)  # type: ignore[arg-type]
        record.reason_code = reason  # type: ignore[assignment]
        liveness.booted(record, 0)
        assert (record.state, record.reason_code, record.grace) == (state, reason, None)


def test_liveness_6_after_a_boot_the_grace_stands_still_in_maintenance_too(
    liveness: Liveness,
) -> None:
    liveness.stop_clock(0)
    record = stored("connected")
    liveness.booted(record, 10 * S)
    liveness.start_clock(1_000 * S)
    assert liveness.next_deadline() == 1_120 * S
