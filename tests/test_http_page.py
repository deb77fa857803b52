"""The fleet page: what is served, and what a person sees of it in a real browser."""

import json
import re
import signal
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from browser import CHROMIUM, DRIVER, Browser
from fake_fleet import FakeFleet
from fleet import Fleet
from js_stage import MISSING
from serving import Serving
from test_http_app import client_of, user_app
from waiting import wait_until

in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="no chromium with chromedriver: make setup-browser installs them",
)
HEADERS = {"authorization": "Bearer operator"}


async def served() -> httpx.Response:
    async with client_of(FakeFleet()) as client:
        return await client.get("/")


async def test_the_page_is_one_document_without_anything_from_elsewhere() -> None:
    answer = await served()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r'(src|href)="(?!data:)', answer.text)
    assert "@import" not in answer.text


async def test_its_policy_lets_run_what_is_in_it_and_nothing_else() -> None:
    answer = await served()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digests = [b64encode(sha256(text.encode()).digest()).decode() for text in texts]
        assert digests
        allowed = " ".join(f"'sha256-{each}'" for each in digests)
        assert f"; {tag}-src {allowed};" in policy


async def test_a_users_app_has_its_own_page_there() -> None:
    async with client_of(FakeFleet(), user_app=user_app) as client:
        assert (await client.get("/")).text == "user /"
        page = await client.get("/dscore/")
        assert 'data-root="../"' in page.text
        lead = await client.get("/dscore")
        assert (lead.status_code, lead.headers["location"]) == (308, "dscore/")


async def test_the_page_is_open_where_the_operator_api_needs_a_token() -> None:
    async with client_of(FakeFleet(), loopback=False) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.head("/")).status_code == 200


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    one = Browser(tmp_path)
    try:
        yield one
    finally:
        one.close()


@contextmanager
def introduce(serving: Serving, agent_id: str, **fields: Any) -> Iterator[ClientConnection]:
    with connect(serving.ws) as connection:
        connection.send(json.dumps({"type": "app_ready", "instance_id": agent_id, **fields}))
        connection.recv(timeout=10)
        yield connection


def rows(browser: Browser) -> list[str]:
    """Each row of the table, its cells apart by tabs."""
    return str(browser.text("#agents")).splitlines()


@in_a_browser
def test_it_shows_agents_as_they_come_and_go(
    serve: Callable[..., Serving], browser: Browser
) -> None:
    serving = serve(env={"DSCORE_MONITORING__PROCESS_CHECK_INTERVAL": "1s"})
    with introduce(serving, "cam-1"), introduce(serving, "<b>cam-2</b>") as second:
        browser.open(serving.url)
        browser.wait_for_text("#connection", "live")
        browser.wait_for_text("#count-online", "2")
        assert browser.text("#shown") == "2 agents"
        with introduce(serving, "door"):
            browser.wait_for_text("#changes", "door online")
            browser.type("#search", "CAM")
            browser.wait_for_text("#shown", "2 agents")
            assert "<b>cam-2</b>" in rows(browser)[0]
            assert "127.0.0.1" in rows(browser)[0]

            assert serving.request("DELETE", "/api/v1/agents/cam-1")[0] == 204
            browser.wait_for_text("#count-offline", "1")
            browser.click("[data-status=offline]")
            browser.wait_for_text("#shown", "1 agent")
            assert rows(browser)[0].split()[:2] == ["cam-1", "offline"]
        second.send(json.dumps({"type": "heartbeat", "clientName": "<b>cam-2</b>"}))
        browser.click("[data-status='']")
        browser.wait_for_text("#agents", " s ago")
    assert browser.complaints() == []


@in_a_browser
def test_it_tells_why_an_agent_is_what_it_is(serving: Serving, browser: Browser) -> None:
    with introduce(serving, "a/b ü"):
        browser.open(serving.url)
        browser.wait_for_text("#agents", "a/b ü")
        browser.click("#agents button")
        browser.wait_for_text("#story", "a/b ü is online: connected from 127.0.0.1")
        browser.wait_for_text("#story-entries", "connected from 127.0.0.1")
        browser.click("#story button")
        assert not browser.is_shown("#story")
    assert browser.complaints() == []


@in_a_browser
def test_it_asks_for_a_token_and_keeps_it(
    serve: Callable[..., Serving], browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "agents").write_text("agent\n")
    (tmp_path / "operators").write_text("operator\n")
    serving = serve(
        env={
            "DSCORE_AUTH__REQUIRED": "true",
            "DSCORE_AUTH__TOKEN_FILE": str(tmp_path / "agents"),
            "DSCORE_AUTH__OPERATOR_TOKEN_FILE": str(tmp_path / "operators"),
        }
    )
    with introduce(serving, "cam-1", token="agent"):
        browser.open(serving.url)
        browser.wait_for_text("#login", "operators only")
        browser.type("#token", "guess\n")
        browser.wait_for_text("#login", "no operator's here")
        assert rows(browser) == []
        browser.type("#token", "operator\n")
        browser.wait_for_text("#agents", "cam-1")
        browser.wait_for_text("#server", "dscore")
        assert not browser.is_shown("#login")
        browser.open(serving.url)
        browser.wait_for_text("#agents", "cam-1")


@in_a_browser
def test_power_page_keeps_the_token_of_its_address_and_clears_the_fragment(
    serve: Callable[..., Serving], browser: Browser
) -> None:
    serving = serve(
        env={
            "DSCORE_AUTH__REQUIRED": "true",
            "DSCORE_AUTH__TOKENS": "agent",
            "DSCORE_AUTH__OPERATOR_TOKENS": "an operator",
            "DSCORE_LISTEN__PAGE": "/fleet/",
        }
    )
    with introduce(serving, "cam-1", token="agent"):
        browser.open(f"{serving.url}/fleet/#token=guess")
        browser.wait_for_text("#login", "no operator's here")
        # The same page with another token behind the #: it is not loaded anew.
        browser.open(f"{serving.url}/fleet/#token=an%20operator")
        browser.wait_for_text("#agents", "cam-1")
        browser.wait_for_text("#server", "dscore")
        assert browser.run("return location.href") == f"{serving.url}/fleet/"
        assert browser.run("return sessionStorage.getItem('dscore-token')") == "an operator"
        browser.click("#agents button")
        browser.wait_for_text("#story", "cam-1 is online")


@pytest.mark.alone
@in_a_browser
def test_it_shows_a_drain_and_comes_back_afterwards(
    serve: Callable[..., Serving], browser: Browser, tmp_path: Path
) -> None:
    directory = tmp_path / "server"
    directory.mkdir()
    first = serve(directory=directory)
    with introduce(first, "slow") as slow, introduce(first, "quick") as quick:
        browser.open(first.url)
        browser.wait_for_text("#count-online", "2")
        first.process.send_signal(signal.SIGTERM)
        browser.wait_for_text("#warning", "shutting down")
        for agent in (quick, slow):
            request = json.loads(agent.recv(timeout=10))
            answer = {"type": "app_terminated", "request_id": request["request_id"], "status": "OK"}
            agent.send(json.dumps({**answer, "message": ""}))
            done = "1 acked · 1 pending" if agent is quick else "2 acked"
            browser.wait_for_text("#drain-counts", done)
    assert first.wait() == 0
    browser.wait_for_text("#connection", "back in")
    assert "attempt 1" in browser.text("#connection")
    # As it was, under what happened since.
    browser.wait_for_text("#count-offline", "2")
    assert browser.is_shown("#now")

    second = serve(directory=directory, port=first.port)
    with introduce(second, "quick"):
        # On a busy machine it has come back by itself, and the button is not shown any more.
        browser.run("document.getElementById('now').click()")
        browser.wait_for_text("#connection", "live")
        browser.wait_for_text("#count-online", "1")
        assert not browser.is_shown("#warning")
        assert not browser.is_shown("#drain")


@in_a_browser
def test_it_says_when_the_server_is_in_maintenance(serving: Serving, browser: Browser) -> None:
    browser.open(serving.url)
    browser.wait_for_text("#connection", "live")
    serving.request("POST", "/api/v1/maintenance", {"enabled": True})
    browser.wait_for_text("#warning", "maintenance")
    serving.request("POST", "/api/v1/maintenance", {"enabled": False})
    wait_until(lambda: not browser.is_shown("#warning"), "page without a warning")
    browser.wait_for_text("#connection", "live")


@in_a_browser
@pytest.mark.slow
def test_it_notices_a_server_that_hangs(serving: Serving, browser: Browser) -> None:
    browser.open(serving.url)
    browser.wait_for_text("#connection", "live")
    serving.process.send_signal(signal.SIGSTOP)
    browser.wait_for_text("#connection", "does not answer", 60)
    serving.process.send_signal(signal.SIGCONT)
    browser.wait_for_text("#connection", "live", 60)


@in_a_browser
def test_it_waits_by_the_table_that_all_clients_share(serving: Serving, browser: Browser) -> None:
    browser.open(serving.url)
    vectors = json.loads((Path(__file__).parent / "vectors" / "reconnect.json").read_text())
    waits = [one for one in vectors["waits"] if one["policy"].startswith("page")]
    found = browser.run(
        """
        return arguments[0].map(({ policy, row, n, draw }) => {
          const jitter = policy === "page";
          const one = new dscore.Reconnector({ cap: 30_000, isPage: true, jitter }, () => draw);
          one.begin();
          one.attempt = n - 1;
          return one.refused(row) / 1000;
        });
        """,
        waits,
    )
    assert found == pytest.approx([one["wait"] for one in waits])
    rows_of = "return arguments[0].map(({ code, reason }) => dscore.rowOf(code, reason, true))"
    assert browser.run(rows_of, vectors["rows"]) == [one["page"] for one in vectors["rows"]]


@in_a_browser
def test_it_comes_back_for_ever(serving: Serving, browser: Browser) -> None:
    """A wall display was found with "gave up after 10 attempts" on it, a week after a restart."""
    browser.open(serving.url)
    browser.wait_for_text("#connection", "live")
    browser.run(
        """
        window.real = window.fetch;
        window.fetch = () => Promise.reject(new TypeError("no network"));
        Math.random = () => 0;
        watcher.close();
        watcher.retry();
        """
    )
    browser.wait_for_text("#connection", "attempt 12")
    browser.run("window.fetch = window.real")
    browser.wait_for_text("#connection", "live")


@in_a_browser
def test_maintenance_leaves_it_there_and_says_how_it_is(serving: Serving, browser: Browser) -> None:
    """It threw its operator out, and showed every agent as online and green while none was."""
    with introduce(serving, "cam-1"):
        browser.open(serving.url)
        browser.wait_for_text("#agents", "cam-1")
        browser.run("window.states = []")
        browser.run("watcher.addEventListener('state', (e) => states.push(e.detail.state))")
        serving.request("POST", "/api/v1/maintenance", {"enabled": True})
        browser.wait_for_text("#warning", "maintenance")
        browser.wait_for_text("#server", "1 reconnecting")
        browser.wait_for_text("#warning", "0 of 1 agents connected")
        browser.wait_for_text("#agents", "reconnecting")
        color = (
            "return getComputedStyle(document.querySelector('td[data-status]'), '::before').color"
        )
        late = browser.run(color)
        assert browser.run("return states") == []
        # A page that is opened now finds the same.
        browser.open(serving.url)
        browser.wait_for_text("#connection", "live")
        browser.wait_for_text("#warning", "maintenance")
        browser.wait_for_text("#agents", "reconnecting")
        serving.request("POST", "/api/v1/maintenance", {"enabled": False})
        wait_until(lambda: not browser.is_shown("#warning"), "page without a warning")
        with introduce(serving, "cam-1", reconnection=True):
            wait_until(lambda: "online" in browser.text("#agents"), "agent that is back")
            assert browser.run(color) != late
    assert browser.complaints() == []


@in_a_browser
def test_one_that_was_stopped_as_asked_is_not_shown_as_lost(
    serving: Serving, browser: Browser
) -> None:
    """It was as red as a lost one, and counted in the title."""
    with introduce(serving, "cam-1") as one:
        browser.open(serving.url)
        browser.wait_for_text("#agents", "cam-1")
        asked = threading.Thread(
            target=serving.request,
            args=("POST", "/api/v1/agents/cam-1/terminate"),
            kwargs={"seconds": 10},
        )
        asked.start()
        request = json.loads(one.recv(timeout=10))
        answer = {"type": "app_terminated", "request_id": request["request_id"], "status": "OK"}
        one.send(json.dumps({**answer, "message": ""}))
        asked.join()
    browser.wait_for_text("#agents", "stopped")
    wait_until(lambda: browser.run("return document.title") == "dscore fleet", "quiet title")
    # As a page that is opened later finds it.
    browser.open(serving.url)
    browser.wait_for_text("#agents", "stopped")
    assert serving.request("DELETE", "/api/v1/agents/cam-1")[0] == 204


@in_a_browser
def test_no_press_is_lost_and_no_selection_while_the_fleet_changes(
    serving: Serving, browser: Browser
) -> None:
    """All rows were replaced on each change: 8 to 19 of 20 presses opened the story."""
    ids = [f"cam-{n:02}" for n in range(20)]
    with ExitStack() as fleet:
        for each in ids:
            fleet.enter_context(introduce(serving, each))
        browser.open(serving.url)
        browser.wait_for_text("#shown", "20 agents")
        row = "document.querySelector('#agents tr:nth-child(10)')"
        browser.run(f"window.row = {row}; getSelection().selectAllChildren(row.cells[3])")
        browser.run(
            """
            let n = 0;
            window.storm = setInterval(() => {
              for (const id of arguments[0]) {
                n += 1;
                const status = n % 3 ? "online" : "offline";
                note({ id, status, reason: `reason ${n}`, reasonCode: null, lastHeartbeat: null });
              }
              render();
            }, 5);
            """,
            ids,
        )
        for at, each in enumerate(ids):
            # A reader's pointer comes to the table before it presses: from then on nothing moves.
            browser.hover("#agents")
            browser.press(f"#agents tr[data-id={each}] button", 60 + 7 * at)
            browser.wait_for_text("#story-of", each, 5)
            browser.run("document.getElementById('story').close()")
        assert browser.run("return row.isConnected")
        browser.hover("#agents")
        browser.wait_for_text("#held", "wait")
        browser.run("clearInterval(window.storm)")
        # Away from the table it takes its new order.
        browser.press("h1", 10)
        wait_until(lambda: browser.text("#held") == "", "order of its own")


@in_a_browser
def test_selected_text_stays_selected(serving: Serving, browser: Browser) -> None:
    with introduce(serving, "cam-1"):
        browser.open(serving.url)
        browser.wait_for_text("#agents", "cam-1")
        select = "getSelection().selectAllChildren(document.querySelector('#agents button'))"
        browser.run(select)
        browser.run("for (let n = 0; n < 10; n += 1) render()")
        assert browser.run("return String(getSelection())") == "cam-1"


@in_a_browser
def test_a_drain_s_bar_tells_the_outcomes_apart_and_who_is_left(
    serve: Callable[..., Serving], browser: Browser
) -> None:
    """It ended all green with agents that had not stopped."""
    serving = serve(env={"DSCORE_SHUTDOWN__TIMEOUT": "8s"})
    with (
        introduce(serving, "good") as good,
        introduce(serving, "bad") as bad,
        introduce(serving, "mute") as mute,
    ):
        browser.open(serving.url)
        browser.wait_for_text("#count-online", "3")
        serving.process.send_signal(signal.SIGTERM)
        for agent, status in ((good, "OK"), (bad, "ERROR")):
            request = json.loads(agent.recv(timeout=10))
            answer = {"type": "app_terminated", "request_id": request["request_id"]}
            agent.send(json.dumps({**answer, "status": status, "message": ""}))
        mute.recv(timeout=10)
        browser.wait_for_text("#drain-counts", "1 acked")
        browser.wait_for_text("#agents", "stopped")
        browser.click("#drain-left")
        wait_until(lambda: len(rows(browser)) == 2, "those that are left")
        assert [row.split()[0] for row in rows(browser)] == ["bad", "mute"]
        assert serving.wait() == 3
    every = "return [...document.querySelectorAll('#drain-bar span')]"
    segments = f"{every}.map((each) => each.dataset.outcome)"
    wait_until(lambda: "acked" in browser.run(segments), "segments")
    found = browser.run(segments)
    assert found[0] == "acked"
    assert set(found) & {"failed", "timed_out"}
    colors = browser.run(f"{every}.map((each) => getComputedStyle(each).backgroundColor)")
    assert len(set(colors)) > 1


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_the_client_in_it_is_the_one_of_clients_js(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    subprocess.run([root / "scripts" / "page", tmp_path / "client.js"], check=True, timeout=60)
    kept = root / "python" / "dscore" / "http" / "page" / "client.js"
    assert kept.read_bytes() == (tmp_path / "client.js").read_bytes(), "make page writes it anew"


@pytest.mark.alone
@in_a_browser
@pytest.mark.slow
def test_a_large_fleet_is_drawn_in_no_time(
    serving: Serving, start_fleet: Callable[..., Fleet], browser: Browser
) -> None:
    start_fleet(serving.ws, agents=5000).wait_until_introduced()
    browser.open(serving.url)
    browser.wait_for_text("#count-online", "5,000")
    assert len(rows(browser)) == 200
    took = browser.run(
        "const begun = performance.now(); render(); return performance.now() - begun"
    )
    assert took < 250
