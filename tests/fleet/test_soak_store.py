"""A fleet that beats while everything happens to what its server keeps.

The store is removed under the server, the wall clock is set, the process is stopped for seconds,
and then killed; the next one boots with a wrong clock. No agent is ever said to be offline, and
nothing that was kept is lost.
"""

import asyncio
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import clock_set_serve
from fleet import Fleet
from page import connected, figures, watching
from serving import Serving
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]
StartFleet = Callable[..., Fleet]

pytestmark = pytest.mark.alone

YEARS = 20 * 365 * 86_400.0
AWAY = "away"


async def introduce(serving: Serving, *, reconnection: bool, waiting: int) -> list[Any]:
    """An agent comes, and goes; the numbers of the notes that had waited for it."""
    async with agent(serving.ws, AWAY, introduce=False) as one:
        await one.introduce(reconnection=reconnection)
        return [(await one.recv_type("note"))["n"] for _ in range(waiting)]


def leave_note(serving: Serving, n: int) -> None:
    path = f"/api/v1/agents/{AWAY}/message"
    status, body = serving.request("POST", path, {"type": "note", "n": n})
    assert (status, json.loads(body)) == (202, {"delivered": False})


def stored(path: Path, query: str) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        (count,) = db.execute(query).fetchone()
    return int(count)


def stop_for(serving: Serving, seconds: float) -> None:
    """SIGSTOP, and SIGCONT so many seconds later: the time is what is tested."""
    os.kill(serving.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(serving.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("agents", "seconds"),
    [
        pytest.param(500, 3, marks=[pytest.mark.slow, pytest.mark.timeout(120)]),
        pytest.param(10_000, 10, marks=[pytest.mark.soak, pytest.mark.timeout(400)]),
    ],
)
def test_ages_9_a_fleet_outlives_its_store_its_clock_and_its_server(
    serve: Serve, start_fleet: StartFleet, tmp_path: Path, agents: int, seconds: int
) -> None:
    ahead, path = tmp_path / "ahead", tmp_path / "data" / "soak.db"
    ahead.write_text("0")
    path.parent.mkdir()
    settings = {
        "DSCORE_MONITORING__CONNECTION_CHECK_INTERVAL": "6s",
        "DSCORE_MONITORING__HEALTH_CHECK_INTERVAL": "2s",
        "DSCORE_MONITORING__PROCESS_CHECK_INTERVAL": "1s",
        "DSCORE_MONITORING__RECONNECTION_GRACE_PERIOD": "60s",
        "DSCORE_LOG__LEVEL": "warning",
    }
    options: dict[str, Any] = {
        "env": settings,
        "program": (clock_set_serve.__file__, str(ahead)),
    }
    first = serve("--store", str(path), **options)
    fleet = start_fleet(
        first.ws, agents=agents, heartbeat_interval="2s", reconnect="yes", max_seconds=300
    )
    assert fleet.wait_until_introduced()["count"] == agents
    assert asyncio.run(introduce(first, reconnection=False, waiting=0)) == []
    with watching(first) as page:
        wait_until(lambda: page.snapshots == [agents + 1], "whole snapshot", 20)
        leave_note(first, 0)
        for step in (YEARS, -2 * YEARS, YEARS + 7200):
            ahead.write_text(str(float(ahead.read_text()) + step))
            page.listen(seconds / 3)
        assert figures(first)["clock_steps_total"] == 3
        for suffix in ("", "-wal", "-shm"):
            path.with_name(f"soak.db{suffix}").unlink()
        leave_note(first, 1)
        first.wait_for_log("store_restored")
        assert stored(path, "SELECT count(*) FROM agents") == agents + 1
        stop_for(first, seconds)
        page.listen(seconds)
        path.parent.rename(tmp_path / "moved")
        leave_note(first, 2)
        assert figures(first)["store_failing"] == 0
        first.process.kill()
        first.wait()
        ahead.write_text(str(-YEARS))
        second = serve("--store", str(path), port=first.port, **options)
        wait_until(lambda: connected(second) == agents + 1, "whole fleet", 60)
        ahead.write_text("0")
        page.listen(seconds)
        assert figures(second)["missed_heartbeats_total"] == 0
        assert stored(path, "SELECT count(*) FROM clients WHERE status = 'online'") == agents + 1
        assert asyncio.run(introduce(second, reconnection=True, waiting=3)) == [0, 1, 2]
    report = fleet.stop()
    print(f"\nheartbeats, an outage included: {report['heartbeats']}")
    assert report["protocol_errors"]["count"] == 0, report
    wait_until(lambda: connected(second) == 0, "empty server", 20)
    assert second.stop() == 0
