"""Every state of the fleet page: nothing against it from axe-core, no complaint of the browser, and
a picture to be looked at in `build/page`."""

import json
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

from browser import Browser
from serving import Serving
from test_http_page import in_a_browser, introduce
from waiting import wait_until

ROOT = Path(__file__).parent.parent
AXE = ROOT / "clients" / "page" / "node_modules" / "axe-core" / "axe.min.js"
FILE_LIMIT = 1024
SITES = ("busan", "seoul", "daegu", "jeju")

pytestmark = [
    in_a_browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not AXE.exists(), reason="nothing in clients/page: make setup-clients"),
]


class Gallery:
    """Looks at a page, and keeps a picture."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser = browser
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def look(self, name: str) -> None:
        self._browser.picture(self._folder / f"{name}.png")
        found = self._browser.violations(AXE.read_text())
        assert not found, f"{name}: " + "\n".join(found)
        # Of a server that is gone the browser says itself that it is.
        said = [each for each in self._browser.complaints() if "ERR_CONNECTION" not in each]
        assert said == [], name


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    one = Browser(tmp_path, width=1440, height=1100)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def gallery(browser: Browser) -> Gallery:
    return Gallery(browser, ROOT / "build" / "page")


@pytest.fixture
def agents(serve: Callable[..., Serving]) -> Iterator[tuple[Serving, list[ClientConnection]]]:
    """A server and its fleet: most are connected, some are lost, some stopped."""
    serving = serve(
        env={
            "DSCORE_MONITORING__RECONNECTION_GRACE_PERIOD": "1s",
            "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "0s",
            "DSCORE_SHUTDOWN__TIMEOUT": "20s",
        }
    )
    with ExitStack() as stack:
        fleet = []
        for n in range(60):
            labels = {"site": SITES[n % 4], "line": str(n % 3)}
            source = f"rtsp://admin:pa55word@10.0.0.{n}/main"
            config = {"labels": labels, "source": source, "fps": 25, "api_token": "tok3n"}
            name = f"camera-{n}" if n else "camera-with-a-very-long-name-in-the-far-building-0"
            fleet.append(stack.enter_context(introduce(serving, name, config=config)))
        for lost in fleet[50:54]:
            lost.close()
        for n in range(54, 57):
            asked = threading.Thread(
                target=serving.request,
                args=("POST", f"/api/v1/agents/camera-{n}/terminate"),
                kwargs={"seconds": 30},
            )
            asked.start()
            answer(fleet[n])
            asked.join()
        yield serving, fleet[:50]


def store(serving: Serving) -> dict[str, str]:
    document: dict[str, dict[str, str]] = json.loads(serving.get("/deepstream/health")[1])
    return document["store"]


def answer(one: ClientConnection, status: str = "OK") -> None:
    """Answers terminate_app."""
    while True:
        request = json.loads(one.recv(timeout=30))
        if request["type"] == "terminate_app":
            break
    words = {"request_id": request["request_id"], "status": status, "message": ""}
    one.send(json.dumps({"type": "app_terminated", **words}))


def opened(browser: Browser, serving: Serving, query: str = "") -> None:
    browser.open(f"{serving.url}/{query}#token={serving.token_path.read_text().strip()}")
    state = "return document.querySelector('#connection')?.dataset.state"
    wait_until(lambda: browser.run(state) == "live", "connection", 60)
    wait_until(lambda: browser.text("#shown") != "", "rows", 60)


def test_a_fleet_and_all_that_can_be_opened_on_it(
    agents: tuple[Serving, list[ClientConnection]], browser: Browser, gallery: Gallery
) -> None:
    serving, _ = agents
    browser.open(f"{serving.url}/#token={serving.token_path.read_text().strip()}")
    browser.wait_for_text("[data-condition=offline].tile", "4", 60)
    browser.wait_for_text("[data-condition=stopped].tile", "3", 60)
    browser.wait_for_text(".reasons", "stopped as asked", 60)
    wait_until(
        lambda: browser.run("return document.querySelectorAll('.u-legend').length") == 2,
        "charts",
        60,
    )
    gallery.look("fleet")

    browser.click(".heat button")
    browser.click("[data-condition=connected].tile")
    browser.wait_for_text("#shown", "18 agents", 60)
    browser.run("document.activeElement.blur()")
    gallery.look("filtered")

    browser.click(".headings input")
    browser.wait_for_text("#chosen", "All 18", 60)
    browser.click("#chosen button")
    browser.wait_for_text("#counted", "18 agents are chosen, 18 of them connected", 60)
    gallery.look("terminate")
    browser.click("dialog .close")
    browser.click("#chosen button:nth-of-type(2)")
    browser.wait_for_text("#counted", "18 agents", 60)
    gallery.look("message")
    browser.click("dialog .close")

    for name in ("maintenance", "drain"):
        browser.click(f"#to-{name}")
        wait_until(lambda: browser.is_shown("dialog"), "dialog", 60)
        gallery.look(f"dialog-{name}")
        browser.click("dialog .close")
    browser.run(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '?', bubbles: true }))"
    )
    browser.wait_for_text("dialog", "Keys", 60)
    gallery.look("keys")
    browser.click("dialog .close")

    browser.click(".feed button")
    wait_until(lambda: browser.text(".feed button") == "Go on", "held feed", 60)
    gallery.look("feed-held")

    opened(browser, serving, "?agent=camera-51")
    browser.wait_for_text("#story-why", "camera-51 is offline", 60)
    browser.wait_for_text("#story-entries", "connected from", 60)
    browser.click("#story summary")
    assert "pa55word" not in browser.text("#story")
    assert "tok3n" not in browser.text("#story")
    assert "rtsp://•••@10.0.0.51/main" in browser.text("#story")
    gallery.look("agent")
    browser.click("#story .close")

    opened(browser, serving, "?q=no-such-agent")
    browser.wait_for_text("#shown", "No agent fits", 60)
    gallery.look("none-fits")


def test_an_action_in_waves_that_stops_and_leaves_some(
    agents: tuple[Serving, list[ClientConnection]], browser: Browser, gallery: Gallery
) -> None:
    serving, fleet = agents
    opened(browser, serving, "?show=connected&sort=natural")
    browser.click(".headings input")
    browser.click("#chosen button")
    browser.wait_for_text("#counted", "53 agents are chosen", 60)
    for number, text in enumerate(("20", "1", "2"), 1):
        browser.type(f".pace label:nth-of-type({number}) input", text)
    browser.type(".confirm", "53")
    gallery.look("terminate-in-waves")
    ready = "return !document.querySelector('dialog .danger').disabled"
    wait_until(lambda: browser.run(ready), "confirmation", 60)
    browser.click("dialog .danger")
    browser.wait_for_text("#operation", "Wave 1 of 3", 60)
    gallery.look("wave-running")
    for each in fleet[1:4]:
        # It closes instead of answering.
        json.loads(each.recv(timeout=30))
        each.close()
    browser.wait_for_text("#operation", "3 failed", 60)
    for each in fleet[4:21]:
        answer(each)
    browser.wait_for_text("#operation", "Stopped", 60)
    browser.wait_for_text("dialog", "are left", 60)
    gallery.look("wave-stopped")


def test_agents_that_are_late_or_coming_back_and_a_store_that_fails(
    serve: Callable[..., Serving], browser: Browser, gallery: Gallery, tmp_path: Path
) -> None:
    serving = serve(
        *("--store", str(tmp_path / "fleet.db")),
        env={
            "DSCORE_MONITORING__CONNECTION_CHECK_INTERVAL": "1s",
            "DSCORE_MONITORING__MAX_MISSED_HEARTBEATS": "2",
            "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "200s",
        },
    )
    with ExitStack() as stack:
        for n in range(12):
            one = stack.enter_context(introduce(serving, f"camera-{n}"))
            if n < 3:
                one.send(json.dumps({"type": "heartbeat", "clientName": f"camera-{n}"}))
            elif n < 5:
                one.close()
        opened(browser, serving)
        browser.wait_for_text("[data-condition=late].tile", "3", 60)
        browser.wait_for_text("[data-condition=reconnecting].tile", "2", 60)
        gallery.look("late-and-reconnecting")
        # No file of its store grows any more.
        serving.limit_files(FILE_LIMIT)
        message = {"type": "x"}
        status, _ = serving.request("POST", "/api/v1/agents/camera-3/message", message)
        assert status == 503
        wait_until(lambda: store(serving)["status"] == "failing", "failure", 60)
        browser.wait_for_text("#warning", store(serving)["reason"], 60)
        gallery.look("store-failing")
        serving.limit_files(resource.RLIM_INFINITY)
        wait_until(lambda: browser.text("#phase") == "running", "recovery", 60)
        assert browser.text("#warning") == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["wide", "phone"])
def test_it_is_as_good_in_the_dark_on_a_phone_and_in_korean(
    agents: tuple[Serving, list[ClientConnection]],
    browser: Browser,
    gallery: Gallery,
    scheme: str,
    kind: str,
) -> None:
    serving, _ = agents
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.cdp("Emulation.setEmulatedMedia", features=features)
    if kind == "phone":
        size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
        browser.cdp("Emulation.setDeviceMetricsOverride", **size)
    browser.open(f"{serving.url}/#token={serving.token_path.read_text().strip()}")
    browser.wait_for_text("[data-condition=offline].tile", "4", 60)
    browser.wait_for_text(".rows", "camera-50", 60)
    gallery.look(f"{kind}-{scheme}")
    browser.run("document.querySelector('.below').scrollIntoView()")
    gallery.look(f"{kind}-{scheme}-table")
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    browser.click("button[lang=ko]")
    browser.wait_for_text("[data-condition=offline].tile", "오프라인", 60)
    gallery.look(f"{kind}-{scheme}-ko")
    opened(browser, serving, "?agent=camera-3")
    browser.wait_for_text("#story-entries", "에서 연결됨", 60)
    browser.wait_for_text("#story-why", "온라인", 60)
    gallery.look(f"{kind}-{scheme}-agent")


def test_maintenance_a_drain_and_a_server_that_is_gone(
    agents: tuple[Serving, list[ClientConnection]], browser: Browser, gallery: Gallery
) -> None:
    serving, _ = agents
    opened(browser, serving)
    serving.request("POST", "/api/v1/maintenance", {"enabled": True})
    browser.wait_for_text("#warning", "maintenance", 60)
    browser.wait_for_text("#phase", "maintenance", 60)
    gallery.look("maintenance")
    serving.request("POST", "/api/v1/maintenance", {"enabled": False})
    wait_until(lambda: browser.text("#phase") == "running", "end of maintenance", 60)
    with ExitStack() as stack:
        again = [
            stack.enter_context(introduce(serving, f"camera-{n}", reconnection=True))
            for n in range(1, 30)
        ]
        serving.process.send_signal(signal.SIGTERM)
        for one in again[:20]:
            answer(one)
        answer(again[20], "ERROR")
        for one in again[21:24]:
            more(one, "recording to its last frame")
        browser.wait_for_text("#drain-counts", "20 acked", 60)
        browser.wait_for_text("#drain-left", "recording to its last frame", 60)
        gallery.look("draining")
        for one in again[21:26]:
            one.close()
        browser.wait_for_text("#drain-counts", "5 vanished", 60)
        gallery.look("draining-more")
    serving.wait()
    browser.wait_for_text("#connection", "back in", 60)
    browser.run("document.activeElement.blur()")
    browser.complaints()
    gallery.look("away")


def more(one: ClientConnection, stage: str) -> None:
    while True:
        request = json.loads(one.recv(timeout=30))
        if request["type"] == "terminate_app":
            break
    words = {"request_id": request["request_id"], "stage": stage, "need_ms": 20_000}
    one.send(json.dumps({"type": "termination_progress", **words}))


def test_an_empty_fleet_and_a_server_that_asks_for_a_token(
    serve: Callable[..., Serving], browser: Browser, gallery: Gallery, tmp_path: Path
) -> None:
    empty = serve()
    browser.open(empty.url)
    browser.wait_for_text("#empty", "dscore agent --url ws://127.0.0.1", 60)
    gallery.look("empty")
    environment: dict[str, Any] = {
        "DSCORE_AUTH__REQUIRED": "true",
        "DSCORE_AUTH__TOKENS": "agent",
        "DSCORE_AUTH__OPERATOR_TOKENS": "operator",
    }
    closed = serve(env=environment)
    browser.open(closed.url)
    browser.wait_for_text("#login", "operators only", 60)
    browser.complaints()
    gallery.look("token")
    browser.type("#token", "guess\n")
    browser.wait_for_text("#login", "no operator's here", 60)
    browser.complaints()
    gallery.look("token-wrong")
