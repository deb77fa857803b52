"""What a fleet with 200 changes a second costs the page and its server: of 17,000 agents, and of
100,000 that are known, as many of them connected. Figures are written to `build/page`; what is
asserted is that no press is lost.

    .venv/bin/python -m pytest -s -m slow tests/test_page_load.py
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect

from browser import Browser
from fleet import Fleet
from known_agents import fill_store
from serving import Serving
from test_http_page import browser, in_a_browser, window
from waiting import wait_until

__all__ = ["browser", "window"]
AGENTS = 17_000
"""Connected: a process may hold 20,000 descriptors."""
KNOWN = 100_000
ALIVE = 60
"""Of those that come and go, at one time."""
CHANGES = 200
"""A second."""
SECONDS = 30
"""Watched, without the page and with it: as long as the server waits before it asks a silent agent
for a sign of life (`monitoring.connection_check_interval`), so that each has one round of that."""
OUT = Path(__file__).parent.parent / "build" / "page"

WATCH = """
window.figures = { long: [], frames: 0 };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) figures.long.push(Math.round(entry.duration));
}).observe({ entryTypes: ["longtask"] });
const count = () => { figures.frames += 1; requestAnimationFrame(count); };
requestAnimationFrame(count);
"""


class Churn:
    """Agents that come and go, so that watchers are told of so many changes a second."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._closing = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()

    async def _run(self) -> None:
        alive: list[Any] = []
        number = 0
        due = time.monotonic()
        while not self._closing.is_set():
            one = await connect(self._url, compression=None)
            name = {"type": "app_ready", "instance_id": f"churn-{number % 200}"}
            await one.send(json.dumps({**name, "config": {"labels": {"site": f"s{number % 9}"}}}))
            alive.append(one)
            number += 1
            if len(alive) > ALIVE:
                # Cut, not closed: it is lost, and offline when its grace is over.
                alive.pop(0).transport.abort()
            # Each comes online once and goes offline once.
            due += 2 / CHANGES
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        for one in alive:
            one.transport.abort()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("known", [AGENTS, KNOWN])
@in_a_browser
def test_a_large_fleet_that_changes_all_the_time(
    serve: Callable[..., Serving],
    start_fleet: Callable[..., Fleet],
    browser: Browser,
    tmp_path: Path,
    known: int,
) -> None:
    env = {
        "DSCORE_MONITORING__RECONNECTION_GRACE_PERIOD": "0s",
        "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "0s",
    }
    if known > AGENTS:
        fill_store(serve, tmp_path, known - AGENTS)
        serving = serve(directory=tmp_path, env=env)
    else:
        serving = serve(env=env | {"DSCORE_STORE__PATH": ":memory:"})
    start_fleet(serving.ws, agents=AGENTS).wait_until_introduced()
    churn = Churn(serving.ws)
    try:
        server = psutil.Process(serving.process.pid)
        time.sleep(3)
        alone = _cpu(server, SECONDS)
        browser.open("about:blank")
        browser.cdp("Performance.enable", timeDomain="threadTicks")
        began = time.monotonic()
        browser.open(serving.url)
        counted = "return document.querySelector('.tile b')?.textContent.length > 3"
        wait_until(lambda: browser.run(counted), "first counts", 60)
        first_counts = time.monotonic() - began
        wait_until(lambda: browser.run("return document.querySelector('.rows .agent')"), "rows", 60)
        time.sleep(3)
        browser.run(WATCH)
        before = _metrics(browser)
        with_page = _cpu(server, SECONDS)
        after = _metrics(browser)
        figures = browser.run("return figures")
        changed = browser.run("return dscore.watcher.agents.size")
        clicks = sum(_click(browser) for _ in range(20))
    finally:
        churn.close()

    def share(name: str) -> float:
        return round(100 * (after[name] - before[name]) / SECONDS, 2)

    found = {
        "agents_known": json.loads(serving.get("/api/v1/facets")[1])["total"],
        "agents_connected": AGENTS,
        "changes_a_second": CHANGES,
        "seconds": SECONDS,
        "main_thread_cpu_percent": round(
            100 * (after["ThreadTime"] - before["ThreadTime"]) / SECONDS, 2
        ),
        "tasks_percent": share("TaskDuration"),
        "script_percent": round(
            100 * (after["ScriptDuration"] - before["ScriptDuration"]) / SECONDS, 2
        ),
        "long_tasks_ms": figures["long"],
        "frames_a_second": round(figures["frames"] / SECONDS, 1),
        "first_counts_s": round(first_counts, 2),
        "agents_that_changed": changed,
        "clicks": f"{clicks} of 20",
        "server_percent_without_page": round(alone, 2),
        "server_percent_with_page": round(with_page, 2),
        "load_average": psutil.getloadavg()[0],
    }
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"load-{known}.json").write_text(json.dumps(found, indent=2))
    print(json.dumps(found, indent=2))
    assert clicks == 20


def _metrics(browser: Browser) -> dict[str, float]:
    found = browser.cdp("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in found}


def _cpu(process: psutil.Process, seconds: float) -> float:
    """Per cent of a core."""
    before = sum(process.cpu_times()[:2])
    began = time.monotonic()
    time.sleep(seconds)
    return 100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def _click(browser: Browser) -> bool:
    """Presses a row for a while; whether the agent that was under the pointer opens."""
    browser.hover(".headings")
    time.sleep(0.2)
    wanted = browser.run("return document.querySelector('.rows .row:nth-of-type(5)').dataset.id")
    browser.press(f".rows .row[data-id={wanted}] .agent", 120)
    shown = wait_until(lambda: browser.text("#story-of"), "story", 30)
    browser.run("history.back()")
    wait_until(lambda: not browser.text("#story-of"), "end of the story", 30)
    return shown == wanted
