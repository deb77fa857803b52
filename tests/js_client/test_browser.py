"""What a browser does to a page, in Chromium: hidden tabs, a network that goes and comes, back and
forward, a machine that sleeps."""

import json
import signal
from collections.abc import Callable

import pytest
from websockets.sync.client import connect

from js_client.test_ends import ready, waiting
from js_stage import Page, Stage
from serving import Serving
from waiting import wait_until

Serve = Callable[..., Serving]

HIDE = """
Object.defineProperty(document, 'visibilityState', { value: args[0], configurable: true });
Object.defineProperty(document, 'hidden', { value: args[0] === 'hidden', configurable: true });
document.dispatchEvent(new Event('visibilitychange'));
"""
ONLINE = "dispatchEvent(new Event('online'));"
VISIBLE = HIDE.replace("args[0]", "'visible'")
# Milliseconds after which a wait that may be shortened is over: more than smart.js' LEAST_PAUSE.
WAKEFUL = 1_500


@pytest.fixture
def stage(page: Page) -> Stage:
    return Stage("chromium", page)


def watching(serving: Serving) -> int:
    _, body = serving.get("/deepstream/health")
    return int(json.loads(body)["websocket"]["authenticated_connections"])


def test_a_page_that_is_left_closes_and_comes_back_with_the_back_button(
    stage: Stage, page: Page, serving: Serving
) -> None:
    stage.run("stage.watch(args[0]); stage.mark = 'kept'", serving.url)
    ready(stage, "watcher")
    wait_until(lambda: watching(serving) == 1, "watcher")
    page.browser.run("location.href = '/test/other.html'")
    wait_until(lambda: watching(serving) == 0, "no watcher")
    page.browser.run("history.back()")
    wait_until(lambda: page.browser.run("return globalThis.stage?.mark") == "kept", "kept page")
    states = [one["detail"]["state"] for one in stage.happened() if one["type"] == "state"]
    assert states[0] == "waiting"
    if "ready" not in states:
        ready(stage, "watcher")
    wait_until(lambda: watching(serving) == 1, "watcher again")


def test_a_page_that_waits_is_not_hurried_by_the_back_button(
    stage: Stage, page: Page, serving: Serving
) -> None:
    serving.request("POST", "/api/v1/maintenance", {"enabled": True})
    stage.run("stage.agent(args[0], 'js-1', { jitter: false }); stage.mark = 'kept'", serving.url)
    assert waiting(stage, "js-1")["retryIn"] == 10_000
    stage.kept.clear()
    page.browser.run("location.href = '/test/other.html'")
    elsewhere = "return location.pathname === '/test/other.html'"
    wait_until(lambda: page.browser.run(elsewhere), "other page")
    page.browser.run("history.back()")
    wait_until(lambda: page.browser.run("return globalThis.stage?.mark") == "kept", "kept page")
    stage.run("await stage.sleep(args[0])", WAKEFUL)
    assert stage.happened() == []
    assert stage.run("return stage['js-1'].status.state") == "waiting"


def test_the_network_and_the_reader_shorten_a_wait_but_not_one_of_a_server_that_shuts_down(
    stage: Stage, serve: Serve
) -> None:
    serving = serve()
    for event in (ONLINE, VISIBLE):
        stage.run("stage.watch(args[0], { random: () => 1, cap: 600000 })", serving.url)
        ready(stage, "watcher")
        stage.run(
            """
            stage.real ??= globalThis.fetch;
            globalThis.fetch = () => Promise.reject(new TypeError('no network'));
            """
        )
        # Another token has it connect anew.
        stage.run("stage.watcher.retry('another')")
        for _ in range(3):
            waiting(stage, "watcher")
        stage.run("globalThis.fetch = stage.real")
        stage.run(event)
        ready(stage, "watcher", 3)
        stage.run("stage.watcher.close()")
        stage.kept.clear()
    serving.request("POST", "/api/v1/maintenance", {"enabled": True})
    stage.run("stage.agent(args[0], 'js-1', { jitter: false })", serving.url)
    away = waiting(stage, "js-1")
    assert away["retryIn"] == 10_000
    stage.kept.clear()
    stage.run(ONLINE + VISIBLE)
    stage.run("await stage.sleep(args[0])", WAKEFUL)
    assert stage.happened() == []
    assert stage.run("return stage['js-1'].status.state") == "waiting"


@pytest.mark.parametrize("event", [ONLINE, VISIBLE], ids=["network", "reader"])
def test_a_watcher_that_gave_up_comes_back_with_the_network_or_its_reader(
    stage: Stage, serving: Serving, event: str
) -> None:
    stage.run(
        """
        stage.real = globalThis.fetch;
        globalThis.fetch = () => Promise.reject(new TypeError('no network'));
        stage.watch(args[0], { attempts: 2, cap: 1 });
        """,
        serving.url,
    )
    stage.wait_for("watcher", "gaveup")
    stage.run("globalThis.fetch = stage.real;" + event)
    ready(stage, "watcher")


@pytest.mark.slow
def test_a_machine_that_slept_keeps_a_connection_that_lives(stage: Stage, serving: Serving) -> None:
    """All timers of the page are late, as after a night: the clock jumps, then they run."""
    stage.run(
        """
        stage.shift = 0;
        const now = performance.now.bind(performance);
        performance.now = () => now() + stage.shift;
        stage.watch(args[0]);
        """,
        serving.url,
    )
    ready(stage, "watcher")
    stage.run("stage.shift += 8 * 3600e3; dispatchEvent(new Event('online'))")
    stage.run("stage.shift += 8 * 3600e3")
    with connect(serving.ws) as other:
        other.send(json.dumps({"type": "app_ready", "instance_id": "cam-1"}))
        other.recv(timeout=10)
        assert stage.wait_for("watcher", "change")["agent"]["id"] == "cam-1"
    # It asks within its ten seconds, and is answered: nothing is torn down.
    stage.run("await stage.sleep(12_000)")
    assert stage.run("return stage.watcher.status.state") == "ready"
    assert [one for one in stage.happened() if one["type"] == "state"] == []


@pytest.mark.slow
def test_a_server_that_hangs_is_noticed_and_one_that_wakes_is_found(
    stage: Stage, serving: Serving
) -> None:
    stage.run("stage.watch(args[0])", serving.url)
    ready(stage, "watcher")
    serving.process.send_signal(signal.SIGSTOP)
    stage.run("dispatchEvent(new Event('offline'))")
    assert waiting(stage, "watcher", 60)["why"] == "the server does not answer"
    serving.process.send_signal(signal.SIGCONT)
    ready(stage, "watcher", 60)


def test_a_hidden_tab_stays_connected(stage: Stage, page: Page, serving: Serving) -> None:
    stage.run("stage.watch(args[0])", serving.url)
    ready(stage, "watcher")
    stage.run(HIDE, "hidden")
    with connect(serving.ws) as other:
        other.send(json.dumps({"type": "app_ready", "instance_id": "cam-1"}))
        other.recv(timeout=10)
        stage.wait_for("watcher", "change")
    stage.run(HIDE, "visible")
    assert stage.run("return stage.watcher.status.state") == "ready"


def test_an_agent_and_a_page_over_other_origins_need_no_preflight(
    stage: Stage, serving: Serving
) -> None:
    """The page is of another port than the server: health is a simple request, readable there."""
    assert stage.run("return stage.health(args[0])", f"{serving.url}/deepstream/health") == "ok"
