from itertools import product
from typing import get_args

import pytest

from dscore.policy.drain import TABLE, Drain, DrainState, Input, reconnect_window_ms


def drain_of(*agents: str, intent: str = "terminate") -> Drain:
    drain = Drain(intent, 1_000, 0.0)  # type: ignore[arg-type]
    drain.count_in(dict(enumerate(agents, 1)))
    return drain


@pytest.mark.parametrize(("state", "what"), [*product(get_args(DrainState), get_args(Input))])
def test_every_cell_of_the_table(state: DrainState, what: Input) -> None:
    drain = drain_of()
    drain.state = state
    following = TABLE.get((state, what))
    if following is None:
        with pytest.raises(RuntimeError, match=f"{what} while {state}"):
            drain.advance(what)
    else:
        drain.advance(what)
        assert drain.state == following


def test_drain_4_counts_each_outcome_once() -> None:
    drain = drain_of("a", "b")
    assert drain.settle(1, "acked", 2.0)
    assert not drain.settle(1, "vanished")
    assert not drain.settle(99, "acked")
    status = drain.status()
    assert (status.total, status.acked, status.vanished, status.pending) == (2, 1, 0, 1)


def test_drain_6_report_adds_up() -> None:
    drain = drain_of(*"abcdef")
    drain.settle(1, "acked", 10.0)
    drain.settle(2, "acked", 30.0, "a stream")
    drain.settle(3, "failed")
    drain.settle(4, "vanished")
    drain.settle(5, "notified")
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
    }
    assert report.exit_code == 3


def test_drain_6_without_acks_there_are_no_latencies() -> None:
    report = drain_of().finish(1_000)
    assert report.latency_ms == {"p50": None, "p99": None, "max": None}
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("outcome", "code"),
    [("acked", 0), ("notified", 0), ("failed", 3), ("timed_out", 3), ("vanished", 3)],
)
def test_drain_6_exit_code_of_an_outcome(outcome: str, code: int) -> None:
    drain = drain_of("a")
    drain.settle(1, outcome)  # type: ignore[arg-type]
    assert drain.finish(1_000).exit_code == code


def test_restart_asks_no_agent_for_an_ack() -> None:
    drain = drain_of("a", "b", intent="restart")
    drain.settle(1, "notified")
    drain.settle(2, "notified")
    report = drain.finish(1_000)
    assert (report.notified, report.not_acked, report.exit_code) == (2, [], 0)


def test_percentiles_are_of_the_nearest_rank() -> None:
    drain = drain_of(*(str(n) for n in range(100)))
    for conn in range(1, 101):
        drain.settle(conn, "acked", float(conn))
    assert drain.finish(1_000).latency_ms == {"p50": 50.0, "p99": 99.0, "max": 100.0}


@pytest.mark.parametrize(
    ("setting", "agents", "window"),
    [(None, 10, 5_000), (None, 18_000, 18_000), (2.5, 18_000, 2_500), (0.0, 10, 0)],
)
def test_reconnect_window_grows_with_the_fleet_unless_set(
    setting: float | None, agents: int, window: int
) -> None:
    assert reconnect_window_ms(setting, agents) == window
