"""Thousands that go in one moment, stay away, and come back: linear work, no heartbeat is late."""

from collections.abc import Callable

import psutil
import pytest

from fleet import Fleet
from page import Page, connected, figures, watching
from serving import Serving
from waiting import wait_until

Serve = Callable[..., Serving]
StartFleet = Callable[..., Fleet]

pytestmark = pytest.mark.alone

SIZES = (4_500, 18_000)
STEADY = 500
SETTINGS = {
    "DSCORE_MONITORING__RECONNECTION_GRACE_PERIOD": "2s",
    "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "0s",
    "DSCORE_MONITORING__CONNECTION_CHECK_INTERVAL": "2s",
    "DSCORE_MONITORING__HEALTH_CHECK_INTERVAL": "1s",
    "DSCORE_LOG__LEVEL": "warning",
}


def cpu_seconds(serving: Serving) -> float:
    times = psutil.Process(serving.pid).cpu_times()
    return float(times.user + times.system)


def go_and_come_back(
    serving: Serving, start_fleet: StartFleet, page: Page, prefix: str, agents: int
) -> float:
    """Processor time of the server for each of them, from their coming to their return."""
    began = cpu_seconds(serving)
    for _ in range(2):
        fleet = start_fleet(serving.ws, agents=agents, prefix=prefix, concurrency=512)
        assert fleet.wait_until_introduced()["count"] == agents
        page.offline.clear()
        # Its process is killed: the kernel ends all its connections in one go.
        fleet.process.kill()
        wait_until(lambda: len(page.offline) >= agents, f"{agents} of {prefix} offline", 60)
        assert {one["reason_code"] for one in page.offline} == {"reconnect_timeout"}
        assert len({one["id"] for one in page.offline}) == len(page.offline) == agents
    return (cpu_seconds(serving) - began) / agents


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_mass_disconnect_and_return_is_linear_and_delays_no_heartbeat(
    serve: Serve, start_fleet: StartFleet
) -> None:
    serving = serve(env=SETTINGS)
    steady = start_fleet(
        serving.ws, agents=STEADY, prefix="steady-", heartbeat_interval="200ms", max_seconds=200
    )
    steady.wait_until_introduced()
    with watching(serving) as page:
        costs = {
            agents: go_and_come_back(serving, start_fleet, page, f"mass-{agents}-", agents)
            for agents in SIZES
        }
    assert figures(serving)["missed_heartbeats_total"] == 0
    heartbeats = steady.stop()["heartbeats"]
    print(f"\nheartbeats meanwhile: {heartbeats}")
    print({agents: f"{cost * 1e6:.0f} µs each" for agents, cost in costs.items()})
    few, many = SIZES
    assert costs[many] < 1.5 * costs[few]
    assert heartbeats["failed"] == 0
    # The kernel ends 18,000 connections in one go, on the processors that the fleets and the server
    # share: an answer waits for its turn among them, 0.1 s on a quiet machine, and no longer than
    # until the next heartbeat is due on a busy one.
    assert heartbeats["latency_ms"]["p50"] < 10
    assert heartbeats["latency_ms"]["max"] < 1000
    wait_until(lambda: connected(serving) == 0, "empty server")
    assert serving.stop() == 0
