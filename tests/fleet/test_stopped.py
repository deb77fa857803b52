"""A fleet that beats for a while, with its server stopped and continued in the middle: of it all,
nothing is to be seen but the log line and the figures of the gap (PROTOCOL.md §5 rule 3)."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet import Fleet
from page import connected, figures, watching
from serving import Serving
from waiting import wait_until

Serve = Callable[..., Serving]
StartFleet = Callable[..., Fleet]

pytestmark = pytest.mark.alone


def stop_for(server: Serving, seconds: float) -> None:
    """SIGSTOP, and SIGCONT after so long."""
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(server.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("agents", "seconds"),
    [
        pytest.param(1_000, 12, marks=pytest.mark.slow),
        pytest.param(10_000, 60, marks=[pytest.mark.soak, pytest.mark.timeout(300)]),
    ],
)
def test_liveness_3_a_beating_fleet_does_not_notice_that_its_server_was_stopped(
    serve: Serve, start_fleet: StartFleet, tmp_path: Path, agents: int, seconds: int
) -> None:
    stop = seconds / 3
    settings = {
        # All of them are over before the stop is.
        "DSCORE_MONITORING__CONNECTION_CHECK_INTERVAL": f"{stop * 0.6}s",
        "DSCORE_MONITORING__HEALTH_CHECK_INTERVAL": "1s",
        "DSCORE_MONITORING__OFFLINE_TIMEOUT": f"{stop * 0.8}s",
        "DSCORE_MONITORING__RECONNECTION_GRACE_PERIOD": f"{stop * 0.5}s",
        "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "0.5s",
        "DSCORE_SOCKET__PING_INTERVAL": f"{stop * 0.4}s",
        "DSCORE_SOCKET__PING_TIMEOUT": f"{stop * 0.4}s",
        "DSCORE_SHUTDOWN__TIMEOUT": f"{stop * 0.8}s",
        "DSCORE_LOG__LEVEL": "warning",
    }
    server = serve("--store", str(tmp_path / "stopped.db"), env=settings)
    fleet = start_fleet(
        server.ws, agents=agents, heartbeat_interval="1s", reconnect="yes", max_seconds=280
    )
    assert fleet.wait_until_introduced()["count"] == agents
    with watching(server) as page:
        wait_until(lambda: page.snapshots == [agents], "whole snapshot")
        for _ in range(2):
            stop_for(server, stop)
            page.listen(stop / 2)
        assert page.snapshots == [agents], "the page was never cut off"
    beaten = figures(server)
    assert connected(server) == agents
    assert beaten["ping_timeouts_total"] == beaten["missed_heartbeats_total"] == 0
    assert beaten["accepted_total"] < agents + 100, "none came back, for none was sent away"
    assert beaten["gaps_total"] >= 2
    assert beaten["gap_ms_total"] >= 2 * stop * 1000
    assert server.wait_for_log("gap")["seconds"] >= stop
    # And once more in the middle of its drain.
    fleet.trigger()
    server.process.send_signal(signal.SIGTERM)
    stop_for(server, stop)
    assert server.wait(60) == 0
    assert fleet.report()["terminate"]["acked"] == agents
