from itertools import count, product
from random import Random
from typing import Literal, get_args

import pytest

from dscore._core import AgentRow, Fleet
from dscore.config import MonitoringConfig
from dscore.messages import ReasonCode
from dscore.policy.liveness import ONLINE_STATES, TABLE, configure, new_fleet
from dscore.states import Input, State
from graces import expire
from outboxes import restore_one

S = 1000
MONITORING = MonitoringConfig(
    reconnection_grace_period=120, heartbeat_grace_period=60, max_missed_heartbeats=3
)
ALL = 1_000_000
_conns = count(1)


def fleet_of(monitoring: MonitoringConfig = MONITORING) -> Fleet:
    fleet = new_fleet()
    configure(fleet, monitoring)
    return fleet


@pytest.fixture
def fleet() -> Fleet:
    return fleet_of()


@pytest.fixture
def agent(fleet: Fleet) -> AgentRow:
    agent, changed = introduce(fleet, "a", 0)
    assert changed
    return agent


def introduce(fleet: Fleet, agent_id: str, now: int) -> tuple[AgentRow, bool]:
    """The agent on a connection of its own, and whether its status has changed."""
    conn = next(_conns)
    fleet.open(conn, "10.0.0.1")
    introduced = fleet.introduce(conn, agent_id, "app_ready", now)
    assert introduced is not None
    return introduced.agent, introduced.changed


def restore(
    fleet: Fleet,
    agent_id: str,
    state: State,
    now: int = 0,
    *,
    last_heartbeat: int | None = None,
    reason: ReasonCode | None = None,
) -> AgentRow:
    """An agent as an earlier process left it."""
    words = (state, reason, "10.0.0.1", "raw", 1, "app_ready", 0, last_heartbeat, None)
    restore_one(fleet, agent_id, *words, left=0, now=now)
    agent = fleet.agent(agent_id)
    assert agent is not None
    return agent


def put_into(fleet: Fleet, state: State, agent_id: str = "a") -> AgentRow:
    """An agent that came into a state by the ways of the table."""
    if state == "unknown":
        return restore(fleet, agent_id, "connected")
    agent, _ = introduce(fleet, agent_id, 0)
    match state:
        case "late":
            fleet.missed(agent, 3, 0)
        case "offline":
            fleet.missed(agent, 3, 0)
            expire(fleet, 60 * S, ALL)
        case "terminating":
            fleet.feed(agent, "terminate_sent", 0)
        case "terminated":
            fleet.feed(agent, "terminated", 0)
        case "reconnecting":
            fleet.feed(agent, "lost", 0)
    assert agent.state == state
    return agent


def ends_at(fleet: Fleet, at: int) -> bool:
    """Whether the next grace period ends just then; the wheel may want to be looked at before."""
    deadline = fleet.next_deadline()
    assert deadline is not None
    assert deadline <= at
    return expire(fleet, at - 1, ALL) == [] and expire(fleet, at, ALL) != []


def beat(fleet: Fleet, agent: AgentRow, now: int) -> bool:
    fleet.heard(agent, heartbeat_ms=now)
    return fleet.feed(agent, "beat", now)


def feed(fleet: Fleet, agent: AgentRow, what: Input) -> bool:
    now = 60 * S
    match what:
        case "introduced":
            return introduce(fleet, agent.agent_id, now)[1]
        case "missed":
            return fleet.missed(agent, 1, now)
        case "missed_limit":
            return fleet.missed(agent, 3, now)
        case "grace_over":
            return agent in expire(fleet, 200 * S, ALL)
    return fleet.feed(agent, what, now)


@pytest.mark.parametrize(("state", "what"), [*product(get_args(State), get_args(Input))])
def test_every_cell_of_the_table(fleet: Fleet, state: State, what: Input) -> None:
    agent = put_into(fleet, state)
    was_online, reason = agent.status == "online", agent.reason_code
    step = TABLE.get((state, what))
    if step is None:
        if what == "grace_over":
            assert not agent.has_grace, "nothing is armed that could run out"
        else:
            with pytest.raises(RuntimeError, match=f"{what} of a while {state}"):
                feed(fleet, agent, what)
        return
    changed = feed(fleet, agent, what)
    assert agent.state == step.state
    assert changed == (was_online != (agent.status == "online"))
    assert agent.has_grace == (step.state in ("late", "reconnecting", "unknown"))
    if agent.status == "online":
        assert agent.reason_code is None
    elif state == "unknown" and what == "grace_over":
        assert agent.reason_code == "no_connection"
    else:
        assert agent.reason_code == (step.reason or reason)
        assert agent.reason_code is not None, "what is offline is so for a reason"


@pytest.mark.parametrize("state", [one for one, what in TABLE if what == "terminate_sent"])
def test_a_whole_fleet_is_asked_as_one_agent_is(fleet: Fleet, state: State) -> None:
    alone, *others = (put_into(fleet, state, name) for name in "abc")
    fleet.feed(alone, "terminate_sent", 60 * S)
    fleet.begin_drain(60 * S, asked=True, spared=[])
    for agent in others:
        assert (agent.state, agent.reason_code) == (alone.state, alone.reason_code)
        assert agent.has_grace == alone.has_grace


def test_liveness_2_is_offline_after_misses_and_grace_and_back_with_a_heartbeat(
    fleet: Fleet, agent: AgentRow
) -> None:
    for misses in (1, 2):
        assert not fleet.missed(agent, misses, 30 * S * misses)
        assert agent.state == "connected"
    fleet.missed(agent, 3, 90 * S)
    assert expire(fleet, 150 * S - 1, ALL) == []
    assert expire(fleet, 150 * S, ALL) == [agent]
    assert (agent.status, agent.reason_code) == ("offline", "missed_heartbeats")
    assert beat(fleet, agent, 160 * S)
    assert (agent.status, agent.reason_code, agent.last_heartbeat) == ("online", None, 160 * S)


def test_liveness_2_a_check_response_brings_back_and_leaves_last_heartbeat_as_it_is(
    fleet: Fleet, agent: AgentRow
) -> None:
    fleet.heard(agent, heartbeat_ms=5)
    fleet.missed(agent, 3, 0)
    expire(fleet, 60 * S, ALL)
    assert fleet.feed(agent, "beat", 70 * S)
    assert agent.last_heartbeat == 5


def test_liveness_2_heartbeat_timeout_is_offline_at_once(fleet: Fleet, agent: AgentRow) -> None:
    assert fleet.feed(agent, "timed_out", 300 * S)
    assert agent.reason_code == "heartbeat_timeout"
    assert fleet.next_deadline() is None


def test_liveness_2_heartbeat_timeout_of_an_offline_agent_changes_nothing(
    fleet: Fleet,
) -> None:
    agent = put_into(fleet, "offline")
    assert not fleet.feed(agent, "timed_out", 300 * S)
    assert agent.reason_code == "missed_heartbeats"


def test_liveness_4_stays_online_through_the_reconnection_grace(
    fleet: Fleet, agent: AgentRow
) -> None:
    assert not fleet.feed(agent, "lost", 10 * S)
    assert (agent.status, agent.state) == ("online", "reconnecting")
    assert expire(fleet, 130 * S - 1, ALL) == []
    assert expire(fleet, 130 * S, ALL) == [agent]
    assert (agent.status, agent.reason_code) == ("offline", "reconnect_timeout")


def test_liveness_4_back_in_time_is_no_change(fleet: Fleet, agent: AgentRow) -> None:
    fleet.feed(agent, "lost", 0)
    assert not introduce(fleet, "a", 119 * S)[1]
    assert fleet.next_deadline() is None
    assert expire(fleet, 500 * S, ALL) == []


def test_liveness_4_waits_out_the_rest_of_a_young_heartbeats_grace() -> None:
    monitoring = MonitoringConfig(reconnection_grace_period=10, heartbeat_grace_period=60)
    fleet = fleet_of(monitoring)
    agent, _ = introduce(fleet, "a", 0)
    fleet.heard(agent, heartbeat_ms=95 * S)
    fleet.feed(agent, "lost", 100 * S)
    assert expire(fleet, 155 * S - 1, ALL) == []
    assert expire(fleet, 155 * S, ALL) == [agent]
    assert agent.reason_code == "reconnect_timeout"


def test_liveness_6_grace_periods_stand_still_while_the_clock_is_stopped(
    fleet: Fleet, agent: AgentRow
) -> None:
    fleet.feed(agent, "lost", 0)
    fleet.stop_clock(100 * S)
    fleet.stop_clock(150 * S)
    assert fleet.next_deadline() is None
    assert expire(fleet, 1_000 * S, ALL) == []
    fleet.start_clock(1_100 * S)
    assert expire(fleet, 1_120 * S - 1, ALL) == []
    assert expire(fleet, 1_120 * S, ALL) == [agent]


def test_liveness_6_a_grace_that_begins_in_maintenance_has_its_whole_length_afterwards(
    fleet: Fleet, agent: AgentRow
) -> None:
    fleet.stop_clock(100 * S)
    fleet.feed(agent, "lost", 500 * S)
    fleet.start_clock(600 * S)
    assert ends_at(fleet, 720 * S)


@pytest.mark.parametrize("state", ["connected", "late", "terminating"])
@pytest.mark.parametrize("ending", ["terminated", "removed"])
def test_liveness_6_ended_is_offline_at_once_without_grace(
    fleet: Fleet, state: State, ending: Literal["terminated", "removed"]
) -> None:
    agent = put_into(fleet, state)
    assert fleet.feed(agent, ending, 0)
    assert (agent.status, agent.reason_code) == (
        "offline",
        "operator" if ending == "removed" else ending,
    )
    assert fleet.next_deadline() is None


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
    fleet: Fleet, agent: AgentRow
) -> None:
    fleet.missed(agent, 3, 0)
    assert not introduce(fleet, "a", 1)[1]
    assert (agent.state, fleet.next_deadline()) == ("connected", None)


@pytest.mark.parametrize("accuracy", [0, 50])
def test_liveness_8_no_grace_ends_before_its_deadline(accuracy: int) -> None:
    fleet = fleet_of()
    random = Random(8)
    deadlines: dict[str, int] = {}
    for number in range(2_000):
        began = random.randrange(200 * S)
        agent, _ = introduce(fleet, str(number), began)
        fleet.feed(agent, "lost", began)
        deadlines[agent.agent_id] = began + 120 * S
    while (deadline := fleet.next_deadline()) is not None:
        now = deadline + accuracy
        for agent in expire(fleet, now, ALL):
            assert 0 <= now - deadlines.pop(agent.agent_id) <= accuracy
    assert deadlines == {}


def test_a_termination_that_failed_leaves_an_agent_like_all_others(fleet: Fleet) -> None:
    agent = put_into(fleet, "terminating")
    fleet.feed(agent, "terminate_over", 0)
    assert agent.state == "connected"


def test_an_agent_asked_to_stop_that_misses_heartbeats_is_late_like_all_others(
    fleet: Fleet,
) -> None:
    agent = put_into(fleet, "terminating")
    fleet.missed(agent, 3, 0)
    assert agent.state == "late"
    assert ends_at(fleet, 60 * S)


def test_thousands_of_graces_that_end_at_once_are_ended_in_slices(fleet: Fleet) -> None:
    records = [put_into(fleet, "reconnecting", f"a{n}") for n in range(5)]
    assert expire(fleet, 120 * S, 2) == records[:2]
    assert fleet.next_deadline() == 0, "there are more"
    # One of those that wait comes back just in time, and another is lost anew after that.
    assert not introduce(fleet, "a2", 120 * S)[1]
    assert not introduce(fleet, "a3", 120 * S)[1]
    assert not fleet.feed(records[3], "lost", 120 * S)
    assert expire(fleet, 120 * S, 2) == records[4:]
    assert [agent.state for agent in records[2:4]] == ["connected", "reconnecting"]
    assert ends_at(fleet, 240 * S)


def test_a_grace_can_be_cut_short(fleet: Fleet, agent: AgentRow) -> None:
    assert not fleet.expire_now(agent, 0), "it is connected"
    fleet.feed(agent, "lost", 0)
    assert fleet.expire_now(agent, 1)
    assert (agent.state, agent.reason_code) == ("offline", "reconnect_timeout")
    assert not fleet.expire_now(agent, 2)
    assert fleet.next_deadline() is None


def test_graces_that_wait_for_their_turn_wait_through_a_maintenance(fleet: Fleet) -> None:
    records = [put_into(fleet, "reconnecting", f"a{n}") for n in range(2)]
    expire(fleet, 120 * S, 1)
    fleet.stop_clock(120 * S)
    assert fleet.next_deadline() is None
    assert expire(fleet, 500 * S, ALL) == []
    fleet.start_clock(500 * S)
    assert expire(fleet, 500 * S, ALL) == records[1:]


@pytest.mark.parametrize("state", sorted(ONLINE_STATES))
def test_liveness_5_an_agent_stored_as_online_has_a_grace_in_which_nothing_changes(
    fleet: Fleet, state: State
) -> None:
    agent = restore(fleet, "a", state, 7 * S)
    assert (agent.state, agent.status, agent.reason_code) == ("unknown", "online", None)
    assert expire(fleet, 127 * S - 1, ALL) == []
    assert not introduce(fleet, "a", 127 * S - 1)[1]
    assert fleet.next_deadline() is None


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
    fleet: Fleet, last_heartbeat: int | None, reason: str
) -> None:
    agent = restore(fleet, "a", "connected", 0, last_heartbeat=last_heartbeat)
    assert expire(fleet, 120 * S, ALL) == [agent]
    assert (agent.status, agent.reason_code) == ("offline", reason)


def test_liveness_5_an_agent_stored_as_offline_stays_so_for_the_same_reason(
    fleet: Fleet,
) -> None:
    stored: list[tuple[State, ReasonCode]] = [
        ("offline", "missed_heartbeats"),
        ("terminated", "terminated"),
    ]
    for state, reason in stored:
        agent = restore(fleet, state, state, reason=reason)
        assert (agent.state, agent.reason_code, agent.has_grace) == (state, reason, False)


def test_liveness_6_after_a_boot_the_grace_stands_still_in_maintenance_too(
    fleet: Fleet,
) -> None:
    fleet.stop_clock(0)
    restore(fleet, "a", "connected", 10 * S)
    fleet.start_clock(1_000 * S)
    assert ends_at(fleet, 1_120 * S)
