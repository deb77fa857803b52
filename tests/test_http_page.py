"""The fleet page: what is served, and what a person sees of it in a real browser."""

import json
import re
import signal
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect

from browser import CHROMIUM, DRIVER, Browser
from fake_fleet import FakeFleet
from fleet import Fleet
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
    assert "of 10" in browser.text("#connection")
    # As it was, under what happened since.
    browser.wait_for_text("#count-offline", "2")
    assert browser.is_shown("#now")

    second = serve(directory=directory, port=first.port)
    with introduce(second, "quick"):
        browser.click("#now")
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
def test_it_waits_by_the_table_and_gives_up_after_ten(serving: Serving, browser: Browser) -> None:
    browser.open(serving.url)
    least = "return [0, 1, 2, 9].map((n) => delayOf(arguments[0], n, () => 0))"
    most = "return [0, 1, 2, 9].map((n) => delayOf(arguments[0], n, () => 1))"
    assert browser.run(least, "going_away") == [5, 5, 5, 5]
    assert browser.run(most, "going_away") == [5, 5, 5, 30]
    assert browser.run(least, "shutting_down") == [10, 10, 10, 10]
    assert browser.run(most, "shutting_down") == [10, 15, 20, 30]
    assert browser.run(least, "other") == [0, 0, 0, 0]
    assert browser.run(most, "other") == [1, 2, 4, 30]
    closes = [[1001, ""], [1013, ""], [1006, ""], [1000, "Client terminated"], [1000, ""],
              [4409, ""], [1008, "authentication failed"], [1008, "too many errors"]]  # fmt: skip
    rows_of = browser.run("return arguments[0].map(([code, why]) => rowOf(code, why))", closes)
    final = ["final", "other", "final", "final", "other"]
    assert rows_of == ["going_away", "shutting_down", "other", *final]
    gave_up = browser.run(
        """
        const told = [];
        const one = new SmartReconnector(() => {}, (now) => told.push(now.state));
        for (let n = 0; n < 10; n += 1) one.closed(1006, "");
        one.stop();
        return told;
        """
    )
    assert gave_up == ["waiting"] * 9 + ["gave_up"]
    hinted = browser.run(
        """
        let wait = null;
        const one = new SmartReconnector(() => {}, (now) => { wait = now.until - Date.now(); });
        one.hinted(7000);
        one.closed(1001, "");
        one.stop();
        return wait;
        """
    )
    assert 6500 < hinted <= 7000


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
