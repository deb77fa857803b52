from itertools import product
from typing import get_args

import pytest

import fake_core
from dscore._core import Fleet, Inbox
from dscore.messages import Intent
from dscore.policy.drain import TABLE, Drain, DrainState, Input, reconnect_window_ms
from dscore.policy.liveness import new_fleet
from dscore.states import OutcomeName


def begun(*agents: str, intent: Intent = "terminate") -> tuple[Drain, Fleet]:
    """A drain of agents on connections 1, 2 and so on, and the fleet that keeps its account."""
    fleet = new_fleet()
    for conn, agent_id in enumerate(agents, 1):
        fleet.open(conn, "10.0.0.1")
        fleet.introduce(conn, agent_id, "app_ready", 0)
    fleet.begin_drain(0, asked=intent == "terminate", spared=[])
    return Drain(intent, 1_000, 0.0, fleet), fleet


def settle(
    fleet: Fleet, conn: int, outcome: OutcomeName, latency_ms: float = 0.0, words: str = ""
) -> None:
    event = fake_core.Outcome(conn, "r", outcome, latency_ms, words, incomplete=bool(words))
    pool = fake_core.ReactorPool(fake_core.CoreConfig())
    pool.push(event)
    inbox = Inbox(pool, [])
    inbox.take(1)
    fleet.step(inbox, 1, 0)
    pool.close()


@pytest.mark.parametrize(("state", "what"), [*product(get_args(DrainState), get_args(Input))])
def test_every_cell_of_the_table(state: DrainState, what: Input) -> None:
    drain, _ = begun()
    drain.state = state
    following = TABLE.get((state, what))
    if following is None:
        with pytest.raises(RuntimeError, match=f"{what} while {state}"):
            drain.advance(what)
    else:
        drain.advance(what)
        assert drain.state == following


def test_drain_4_counts_each_outcome_once() -> None:
    drain, fleet = begun("a", "b")
    settle(fleet, 1, "acked", 2.0)
    settle(fleet, 1, "vanished")
    settle(fleet, 99, "acked")
    status = drain.status()
    assert (status.total, status.acked, status.vanished, status.pending) == (2, 1, 0, 1)


def test_drain_6_report_adds_up() -> None:
    drain, fleet = begun(*"abcdef")
    settle(fleet, 1, "acked", 10.0)
    settle(fleet, 2, "acked", 30.0, "a stream")
    settle(fleet, 3, "failed")
    settle(fleet, 4, "vanished")
    settle(fleet, 5, "notified")
    drain.advance("told")
    drain.give_up()
    report = drain.finish(3_500)
    assert report.as_dict() == {
        "intent": "terminate",
        "total": 6,
        "acked": 2,
        "failed": 1,
        "timed_out": 1,
        "vanished": 1,
        "notified": 1,
        "incomplete": 1,
        "latency_ms": {"p50": 10.0, "p99": 30.0, "max": 30.0},
        "not_acked": ["c", "d", "e", "f"],
        "duration_ms": 2_500.0,
        "cut": [],
    }
    assert report.exit_code == 3


def test_drain_6_without_acks_there_are_no_latencies() -> None:
    drain, _ = begun()
    report = drain.finish(1_000)
    assert report.latency_ms == {"p50": None, "p99": None, "max": None}
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("acked", 0), ("notified", 0), ("failed", 3), ("timed_out", 3), ("vanished", 3)],
)
def test_drain_6_exit_code_of_an_outcome(outcome: OutcomeName, code: int) -> None:
    drain, fleet = begun("a")
    settle(fleet, 1, outcome)
    assert drain.finish(1_000).exit_code == code


def test_restart_asks_no_agent_for_an_ack() -> None:
    drain, fleet = begun("a", "b", intent="restart")
    fleet.notified([1, 2])
    report = drain.finish(1_000)
    assert (report.notified, report.not_acked, report.exit_code) == (2, [], 0)


def test_percentiles_are_of_the_nearest_rank() -> None:
    drain, fleet = begun(*(str(n) for n in range(100)))
    for conn in range(1, 101):
        settle(fleet, conn, "acked", float(conn))
    assert drain.finish(1_000).latency_ms == {"p50": 50.0, "p99": 99.0, "max": 100.0}


@pytest.mark.parametrize(
    ("setting", "agents", "window"),
    [(None, 10, 5_000), (None, 18_000, 18_000), (2.5, 18_000, 2_500), (0.0, 10, 0)],
)
def test_reconnect_window_grows_with_the_fleet_unless_set(
    setting: float | None, agents: int, window: int
) -> None:
    assert reconnect_window_ms(setting, agents) == window
