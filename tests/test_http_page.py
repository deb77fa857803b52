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
from serving import Serving
from test_http_app import client_of, user_app
from waiting import wait_until

ESBUILD = Path(__file__).parent.parent / "clients" / "page" / "node_modules" / ".bin" / "esbuild"
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


async def test_it_is_served_compressed_to_those_that_take_it() -> None:
    async with client_of(FakeFleet()) as client:
        packed = await client.get("/", headers={"accept-encoding": "br;q=1, GZIP; q=0.5"})
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(packed.content) / 2
        for encodings in ("identity", "gzip;q=0", "gzip;q=0.000, br", "deflate", ""):
            plain = await client.get("/", headers={"accept-encoding": encodings})
            assert "content-encoding" not in plain.headers, encodings
            assert plain.content == packed.content
        every = await client.get("/", headers={"accept-encoding": "*"})
        assert every.headers["content-encoding"] == "gzip"
        assert "accept-encoding" in packed.headers["vary"]
        again = await client.get("/", headers={"if-none-match": packed.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_the_page_is_open_where_the_operator_api_needs_a_token() -> None:
    async with client_of(FakeFleet(), loopback=False) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.head("/")).status_code == 200


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """It takes seconds to start. What a page keeps is kept by origin: each server has its own."""
    one = Browser(tmp_path_factory.mktemp("browser"))
    yield one
    one.close()


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    window.open("about:blank")
    window.complaints()
    yield window
    window.open("about:blank")


@contextmanager
def introduce(serving: Serving, agent_id: str, **fields: Any) -> Iterator[ClientConnection]:
    with connect(serving.ws) as connection:
        connection.send(json.dumps({"type": "app_ready", "instance_id": agent_id, **fields}))
        connection.recv(timeout=10)
        yield connection


def rows(browser: Browser) -> list[str]:
    """The ids and states of the rows that are drawn."""
    script = """
        const rows = [...document.querySelectorAll(".rows .row:not(.blank)")];
        rows.sort((one, other) => one.ariaRowIndex - other.ariaRowIndex);
        return rows.map((row) => `${row.dataset.id} ${row.querySelector(".state").textContent}`);
    """
    return [str(each) for each in browser.run(script)]


def wait_for_rows(browser: Browser, *expected: str) -> None:
    wait_until(lambda: rows(browser) == list(expected), f"rows {expected}", 60)


def wait_for_tile(browser: Browser, name: str, count: str) -> None:
    script = "return document.querySelector(arguments[0]).textContent"
    tile = f".tile[data-condition={name}] b"
    wait_until(lambda: browser.run(script, tile) == count, f"{count} {name}", 60)


def go(browser: Browser, serving: Serving, query: str = "", *, with_token: bool = False) -> None:
    token = f"#token={serving.token_path.read_text().strip()}" if with_token else ""
    browser.open(f"{serving.url}/{query}{token}")
    browser.wait_for_text("#connection", "live", 60)


def wait_for_end(browser: Browser, element: str) -> None:
    script = "return !document.getElementById(arguments[0])"
    wait_until(lambda: browser.run(script, element), f"end of {element}", 60)


QUICK = {
    "DSCORE_MONITORING__RECONNECTION_GRACE_PERIOD": "1s",
    "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "0s",
}


@in_a_browser
def test_it_shows_agents_as_they_come_and_go(
    serve: Callable[..., Serving], browser: Browser
) -> None:
    serving = serve(env=QUICK)
    with (
        introduce(serving, "cam-10"),
        introduce(serving, "<b>cam-2</b>"),
        introduce(serving, "cam-9"),
    ):
        go(browser, serving)
        wait_for_tile(browser, "connected", "3")
        wait_for_rows(browser, "<b>cam-2</b> ●Connected", "cam-9 ●Connected", "cam-10 ●Connected")
        browser.hover("h1")
        with introduce(serving, "door"):
            browser.wait_for_text("#changes", "door online", 60)
            wait_for_tile(browser, "connected", "4")
            browser.type("#search", "CAM-")
            browser.wait_for_text("#shown", "3 agents", 60)
            assert browser.run("return location.search") == "?q=CAM-"
        browser.wait_for_text("#changes", "door offline: did not come back", 60)
        wait_for_tile(browser, "offline", "1")
        browser.click(".tile[data-condition=offline]")
        browser.wait_for_text("#shown", "No agent fits", 60)
        go(browser, serving, "?show=offline&reason=reconnect_timeout")
        wait_for_rows(browser, "door ✕Offline")
    assert browser.complaints() == []


@in_a_browser
def test_it_tells_why_an_agent_is_what_it_is(serving: Serving, browser: Browser) -> None:
    with introduce(serving, "a/b ü"):
        go(browser, serving)
        wait_for_rows(browser, "a/b ü ●Connected")
        browser.click(".rows .agent")
        browser.wait_for_text("#story", "a/b ü is online: connected from 127.0.0.1", 60)
        browser.wait_for_text("#story-entries", "connected from 127.0.0.1", 60)
        assert browser.run("return new URLSearchParams(location.search).get('agent')") == "a/b ü"
        browser.click("#story .close")
        wait_for_end(browser, "story")
        # It has an address of its own, and the way back leads to it.
        browser.run("history.back()")
        browser.wait_for_text("#story", "a/b ü is online", 60)
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
        browser.wait_for_text("#login", "operators only", 60)
        browser.type("#token", "guess\n")
        browser.wait_for_text("#login", "no operator's here", 60)
        assert rows(browser) == []
        browser.type("#token", "operator\n")
        wait_for_rows(browser, "cam-1 ●Connected")
        assert not browser.run("return document.getElementById('login')")
        browser.open(serving.url)
        wait_for_rows(browser, "cam-1 ●Connected")


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
        browser.wait_for_text("#login", "no operator's here", 60)
        # The same page with another token behind the #: it is not loaded anew.
        browser.open(f"{serving.url}/fleet/#token=an%20operator")
        wait_for_rows(browser, "cam-1 ●Connected")
        assert browser.run("return location.href") == f"{serving.url}/fleet/"
        assert browser.run("return sessionStorage.getItem('dscore-token')") == "an operator"
        browser.click(".rows .agent")
        browser.wait_for_text("#story", "cam-1 is online", 60)


@in_a_browser
def test_an_action_asks_for_the_token_that_it_needs(serving: Serving, browser: Browser) -> None:
    """Without a token the page reads."""
    with introduce(serving, "cam-1"), introduce(serving, "cam-2"):
        go(browser, serving)
        wait_for_rows(browser, "cam-1 ●Connected", "cam-2 ●Connected")
        browser.click(".headings input")
        browser.wait_for_text("#chosen", "All 2 that fit", 60)
        browser.click("#chosen button:nth-of-type(3)")
        browser.wait_for_text("dialog", "takes an operator's token", 60)
        browser.type("#token", f"{serving.token_path.read_text().strip()}\n")
        browser.wait_for_text("#counted", "2 agents are chosen, 2 of them connected", 60)
        # Another number than the one that was counted confirms nothing.
        browser.type(".confirm", "3")
        assert browser.run("return document.querySelector('dialog .danger').disabled")
        browser.run("document.querySelector('.confirm').select()")
        browser.type(".confirm", "2")
        ready = "return !document.querySelector('dialog .danger').disabled"
        wait_until(lambda: browser.run(ready), "confirmation", 60)
        browser.click("dialog .danger")
        browser.wait_for_text("#operation", "Done: 2 of 2 asked, 0 failed", 60)
        browser.click("dialog .close")
        browser.wait_for_text("#empty", "No agent has connected yet", 60)


@in_a_browser
def test_an_action_is_followed_on_where_one_look_at_it_fails(
    serving: Serving, browser: Browser
) -> None:
    with introduce(serving, "cam-1"), introduce(serving, "cam-2"):
        browser.open(f"{serving.url}/#token={serving.token_path.read_text().strip()}")
        wait_for_rows(browser, "cam-1 ●Connected", "cam-2 ●Connected")
        browser.run(
            "const ask = fetch; window.looks = 0;"
            "window.fetch = (url, given) => String(url).includes('operations/') && !window.looks++"
            " ? Promise.reject(new TypeError('no network')) : ask(url, given);"
        )
        browser.click(".headings input")
        browser.click("#chosen button:nth-of-type(3)")
        browser.wait_for_text("#counted", "2 agents are chosen", 60)
        browser.type(".pace label:nth-of-type(1) input", "1")
        browser.type(".pace label:nth-of-type(2) input", "2")
        browser.type(".confirm", "2")
        ready = "return !document.querySelector('dialog .danger').disabled"
        wait_until(lambda: browser.run(ready), "confirmation", 60)
        browser.click("dialog .danger")
        browser.wait_for_text("#operation", "Done: 2 of 2 asked, 0 failed", 60)
        assert browser.run("return window.looks") > 1
        assert browser.run("return document.querySelector('dialog .error')") is None


@in_a_browser
def test_it_shows_a_drain_and_comes_back_afterwards(
    serve: Callable[..., Serving], browser: Browser, tmp_path: Path
) -> None:
    directory = tmp_path / "server"
    directory.mkdir()
    first = serve(directory=directory, env={"DSCORE_SHUTDOWN__TIMEOUT": "60s"})
    with introduce(first, "slow") as slow, introduce(first, "quick") as quick:
        go(browser, first)
        wait_for_tile(browser, "connected", "2")
        first.process.send_signal(signal.SIGTERM)
        browser.wait_for_text("#phase", "draining", 60)
        for agent in (quick, slow):
            request = json.loads(agent.recv(timeout=30))
            answer = {"type": "app_terminated", "request_id": request["request_id"], "status": "OK"}
            agent.send(json.dumps({**answer, "message": ""}))
            if agent is quick:
                browser.wait_for_text("#drain-counts", "1 acked", 60)
                browser.wait_for_text("#drain-left", "slow", 60)
        browser.wait_for_text("#drain-counts", "2 acked", 60)
        # The process ends with the drain: its report is there before.
        browser.wait_for_text("#drain", "The drain is over", 60)
        assert browser.run("return document.querySelectorAll('#drain .doing button').length") == 2
    assert first.wait() == 0
    browser.wait_for_text("#connection", "back in", 60)
    assert browser.run("return document.getElementById('now') !== null")

    second = serve(directory=directory, port=first.port)
    with introduce(second, "quick"):
        # On a busy machine it has come back by itself, and the button is not there any more.
        browser.run("document.getElementById('now')?.click()")
        browser.wait_for_text("#connection", "live", 60)
        wait_for_tile(browser, "connected", "1")
        wait_for_end(browser, "warning")
        browser.click("#drain .close")
        wait_for_end(browser, "drain")


@in_a_browser
@pytest.mark.slow
def test_it_notices_a_server_that_hangs(serving: Serving, browser: Browser) -> None:
    go(browser, serving)
    serving.process.send_signal(signal.SIGSTOP)
    browser.wait_for_text("#connection", "does not answer", 120)
    serving.process.send_signal(signal.SIGCONT)
    browser.wait_for_text("#connection", "live", 120)


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
    go(browser, serving)
    browser.run(
        """
        window.real = window.fetch;
        window.fetch = () => Promise.reject(new TypeError("no network"));
        Math.random = () => 0;
        dscore.watcher.close();
        dscore.watcher.retry();
        """
    )
    browser.wait_for_text("#connection", "attempt 12", 60)
    browser.run("window.fetch = window.real")
    browser.wait_for_text("#connection", "live", 60)


@in_a_browser
def test_rows_that_take_the_server_long_are_read_less_often(
    serving: Serving, browser: Browser
) -> None:
    """A thousandth of its time: after 8 ms for 8 s, not for one. Time is what the answers say."""
    go(browser, serving)
    browser.run(
        """
        window.waits = [];
        const { fetch, setTimeout } = window;
        let clock = performance.now();
        performance.now = () => clock;
        window.fetch = async (url, ...more) => {
            const answer = await fetch(url, ...more);
            clock += String(url).includes("agents?") ? 10 : 2;
            return answer;
        };
        window.setTimeout = (run, wait, ...more) => {
            waits.push(wait);
            return setTimeout(run, wait, ...more);
        };
        """
    )
    browser.click(".tile[data-condition=offline]")
    longer = "return waits.some((wait) => wait >= 8_000 && wait <= 10_000)"
    wait_until(lambda: browser.run(longer), "wait of 8 s", 30)


@in_a_browser
def test_maintenance_leaves_it_there_and_says_how_it_is(serving: Serving, browser: Browser) -> None:
    """It threw its operator out, and showed every agent as online and green while none was."""
    with introduce(serving, "cam-1"):
        go(browser, serving)
        wait_for_rows(browser, "cam-1 ●Connected")
        browser.run("window.states = []")
        browser.run("dscore.watcher.addEventListener('state', (e) => states.push(e.detail.state))")
        serving.request("POST", "/api/v1/maintenance", {"enabled": True})
        browser.wait_for_text("#phase", "maintenance", 60)
        browser.wait_for_text("#warning", "0 of 1 agents connected", 60)
        wait_for_rows(browser, "cam-1 ▲Reconnecting")
        assert browser.run("return states") == []
        # A page that is opened now finds the same.
        go(browser, serving)
        browser.wait_for_text("#warning", "maintenance", 60)
        wait_for_rows(browser, "cam-1 ▲Reconnecting")
        serving.request("POST", "/api/v1/maintenance", {"enabled": False})
        wait_for_end(browser, "warning")
        with introduce(serving, "cam-1", reconnection=True):
            wait_for_rows(browser, "cam-1 ●Connected")
    assert browser.complaints() == []


@in_a_browser
def test_one_that_was_stopped_as_asked_is_not_shown_as_lost(
    serving: Serving, browser: Browser
) -> None:
    """It was as red as a lost one, and counted in the title."""
    with introduce(serving, "cam-1") as one:
        go(browser, serving)
        wait_for_rows(browser, "cam-1 ●Connected")
        asked = threading.Thread(
            target=serving.request,
            args=("POST", "/api/v1/agents/cam-1/terminate"),
            kwargs={"seconds": 30},
        )
        asked.start()
        request = json.loads(one.recv(timeout=30))
        answer = {"type": "app_terminated", "request_id": request["request_id"], "status": "OK"}
        one.send(json.dumps({**answer, "message": ""}))
        asked.join()
    wait_for_rows(browser, "cam-1 ■Stopped")
    wait_for_tile(browser, "stopped", "1")
    wait_until(lambda: browser.run("return document.title") == "dscore Fleet", "quiet title", 60)
    colors = browser.run(
        "return ['stopped', 'offline'].map((name) => getComputedStyle("
        "document.querySelector(`.tile .shape[data-condition=${name}]`)).color)"
    )
    assert colors[0] != colors[1]


@pytest.mark.slow
@in_a_browser
def test_no_press_is_lost_and_no_selection_while_the_fleet_changes(
    serve: Callable[..., Serving], browser: Browser
) -> None:
    """All rows were replaced on each change: 8 to 19 of 20 presses opened the story."""
    serving = serve(env=QUICK)
    ids = [f"cam-{n:02}" for n in range(20)]
    with ExitStack() as fleet:
        for each in ids:
            fleet.enter_context(introduce(serving, each))
        go(browser, serving)
        browser.wait_for_text("#shown", "20 agents", 60)
        # Everything is asked for again and again, in another order each time.
        browser.run(
            """
            const real = window.fetch;
            let n = 0;
            window.fetch = async (path, options) => {
              const answer = await real(path, options);
              if (!path.includes("agents?")) return answer;
              const document = await answer.json();
              n += 1;
              const { items } = document;
              document.items = [...items.slice(n % 20), ...items.slice(0, n % 20)];
              for (const item of document.items) item.state = n % 2 ? "late" : "connected";
              return new Response(JSON.stringify(document));
            };
            window.storm = setInterval(() => {
              const detail = { agent: { id: `x-${n}`, status: "online" }, isSnapshot: false };
              dscore.watcher.dispatchEvent(new CustomEvent("change", { detail }));
            }, 5);
            """
        )
        browser.run("getSelection().selectAllChildren(document.querySelector('.rows .agent'))")
        selected = browser.run("return String(getSelection())")
        for at, each in enumerate(ids):
            # A reader's pointer comes to the table before it presses: from then on nothing moves.
            browser.hover(".headings")
            browser.press(f".rows .row[data-id={each}] .agent", 60 + 7 * at)
            browser.wait_for_text("#story-of", each, 60)
            browser.run("history.back()")
            wait_for_end(browser, "story")
        assert selected.startswith("cam-")
        browser.hover(".headings")
        browser.wait_for_text("#held", "wait", 60)
        # Away from the table it takes its new order.
        browser.run("document.activeElement.blur()")
        browser.press("h1", 10)
        wait_until(lambda: browser.text("#held") == "", "order of its own", 60)
        browser.run("clearInterval(window.storm)")


@in_a_browser
def test_a_link_that_makes_no_sense_shows_everything(serving: Serving, browser: Browser) -> None:
    """`?show=constructor` was a condition, for each object has one: the page stayed empty."""
    with introduce(serving, "cam-1"), introduce(serving, "\u202ecam-2"):
        go(browser, serving, "?show=constructor&sort=toString&span=__proto__&reason=&label=&q=")
        wait_for_rows(browser, "cam-1 ●Connected", "\u202ecam-2 ●Connected")
        # The second one's name turns round what it is, and nothing beside it.
        isolated = "return getComputedStyle(document.querySelector('.rows .agent')).unicodeBidi"
        assert browser.run(isolated) == "isolate"
    assert browser.complaints() == []


@in_a_browser
def test_it_is_used_by_keys(serving: Serving, browser: Browser) -> None:
    with introduce(serving, "cam-1"), introduce(serving, "cam-2"):
        go(browser, serving)
        wait_for_rows(browser, "cam-1 ●Connected", "cam-2 ●Connected")

        def press(*keys: str) -> None:
            script = """
                for (const key of arguments[0]) {
                  const options = { key, bubbles: true, cancelable: true };
                  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", options));
                }
            """
            browser.run(script, list(keys))

        press("j", "j", "k", "j")
        wait_until(
            lambda: (
                browser.run("return document.querySelector('[data-cursor]')?.dataset.id") == "cam-2"
            ),
            "cursor",
            60,
        )
        press("x")
        browser.wait_for_text("#chosen", "1 selected", 60)
        press("Enter")
        browser.wait_for_text("#story-of", "cam-2", 60)
        press("Escape")
        wait_for_end(browser, "story")
        press("/")
        browser.type("#search", "nothing")
        browser.wait_for_text("#shown", "No agent fits", 60)
        press("Escape")
        browser.wait_for_text("#shown", "2 agents", 60)
        press("?")
        browser.wait_for_text("dialog", "next, previous agent", 60)


@pytest.mark.skipif(not ESBUILD.exists(), reason="nothing in clients/page: make setup-clients")
def test_what_is_served_is_what_its_sources_make(tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    subprocess.run([root / "scripts" / "page", tmp_path], check=True, timeout=60)
    for name in ("page.js", "style.css", "index.html"):
        kept = root / "python" / "dscore" / "http" / "page" / name
        assert kept.read_bytes() == (tmp_path / name).read_bytes(), "make page writes it anew"


def test_what_it_stands_on_is_named_with_its_licences() -> None:
    root = Path(__file__).parent.parent / "clients" / "page"
    notice = (root / "THIRD-PARTY.md").read_text()
    package = json.loads((root / "package.json").read_text())["devDependencies"]
    for name in ("preact", "htm", "uplot"):
        assert f"{name} {package[name]}" in notice
