"""A fleet that beats for a while, with kill -9 in the middle: no agent is ever said to be offline.

One watcher listens all the time, as a page would: it comes back to the second process as the agents
do. What it was told, what the pages list and what the store has on disk must agree in the end.
"""

import json
import sqlite3
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


def listed(serving: Serving) -> dict[str, tuple[str, bool]]:
    """Every agent the pages know: its state, and whether it is connected."""
    found: dict[str, tuple[str, bool]] = {}
    cursor = ""
    while cursor is not None:
        after = f"&cursor={cursor}" if cursor else ""
        status, body = serving.get(f"/api/v1/agents?limit=1000{after}")
        assert status == 200, body
        page = json.loads(body)
        found |= {one["id"]: (one["state"], one["connected"]) for one in page["items"]}
        cursor = page["next_cursor"]
    return found


def stored(path: Path) -> dict[str, str]:
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return dict(db.execute("SELECT id, status FROM clients"))
    finally:
        db.close()


@pytest.mark.parametrize(
    ("agents", "seconds"),
    [
        (1_000, 15),
        pytest.param(10_000, 60, marks=[pytest.mark.soak, pytest.mark.timeout(240)]),
    ],
)
def test_liveness_5_a_beating_fleet_is_never_offline_though_its_server_is_killed(
    serve: Serve, start_fleet: StartFleet, tmp_path: Path, agents: int, seconds: int
) -> None:
    settings = {
        # Three heartbeats must be missed in a row: that would be our fault.
        "DSCORE_MONITORING__CONNECTION_CHECK_INTERVAL": "6s",
        "DSCORE_MONITORING__HEALTH_CHECK_INTERVAL": "2s",
        # Over before the test is, so that an agent that is not seen to come back is found out.
        "DSCORE_MONITORING__RECONNECTION_GRACE_PERIOD": f"{seconds / 3}s",
        "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "1s",
        "DSCORE_LOG__LEVEL": "warning",
    }
    store = tmp_path / "soak.db"
    first = serve("--store", str(store), env=settings)
    fleet = start_fleet(
        first.ws, agents=agents, heartbeat_interval="2s", reconnect="yes", max_seconds=200
    )
    assert fleet.wait_until_introduced()["count"] == agents
    with watching(first) as page:
        wait_until(lambda: page.snapshots == [agents], "whole snapshot")
        page.listen(seconds / 2)
        assert figures(first)["missed_heartbeats_total"] == 0
        first.process.kill()
        first.wait()
        second = serve("--store", str(store), port=first.port, env=settings)
        wait_until(lambda: connected(second) == agents + 1, "whole fleet", seconds / 3)
        page.listen(seconds / 2)
        assert page.snapshots == [agents, agents], "known before they came back"
        beaten = figures(second)
        assert beaten["missed_heartbeats_total"] == 0
        assert beaten["heartbeats_total"] >= agents * (seconds / 2 - 2) / 2
        names = {f"agent-{number}" for number in range(agents)}
        assert listed(second) == dict.fromkeys(names, ("connected", True))
        assert stored(store) == dict.fromkeys(names, "online")
    report = fleet.stop()
    print(f"\nheartbeats, an outage included: {report['heartbeats']}")
    assert report["protocol_errors"]["count"] == 0, report
    wait_until(lambda: connected(second) == 0, "empty server")
    assert second.stop() == 0
