"""The lanes of the bridge: what runs, what waits, what there is no room for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dscore.http import lanes
from dscore.http.asgi import Bridge
from dscore.http.lanes import STARTS, lane_of
from dscore.http.types import STEPS_ASIDE
from test_http_asgi import DEADLINE, FakePool, HttpRequest, Of

AGENTS = "/api/v1/agents?limit=1000"


class App:
    """Answers at once, or when it is told to; knows how many it answers at a time."""

    def __init__(self, *, waits: bool = False) -> None:
        self.running = self.most = 0
        self.go_on = asyncio.Event()
        if not waits:
            self.go_on.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go_on.wait()
        self.running -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


def order(pool: FakePool) -> list[int]:
    """Connections in the order in which they were answered."""
    return [call[1] for call in pool.calls]


def statuses(pool: FakePool) -> list[int]:
    return [call[2] for call in pool.calls]


@asynccontextmanager
async def bridged(app: App) -> AsyncIterator[tuple[Bridge, FakePool]]:
    """A bridge to it, ended afterwards."""
    pool = FakePool()
    bridge = Bridge(pool, app)
    yield bridge, pool
    app.go_on.set()
    await bridge.drain_requests(DEADLINE)


async def settled(bridge: Bridge) -> None:
    """Lets the loop turn until nothing moves."""
    before = None
    while before != (before := (bridge.counts(), len(asyncio.all_tasks()))):
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
async def test_a_probe_overtakes_all_lists(path: str) -> None:
    async with bridged(App()) as (bridge, pool):
        for conn in range(1, 201):
            bridge.handle(HttpRequest(conn, target=AGENTS))
        bridge.handle(HttpRequest(999, target=path))
        await pool.until(201)
        assert order(pool).index(999) <= STARTS
        assert order(pool)[-1] == 200
        assert set(statuses(pool)) == {200}


@pytest.mark.parametrize(
    "target",
    ["/deepstream/health?instance_id=a", "/metrics", "/api/v1/drain?wait=60", "/api/v1/status"],
)
async def test_what_is_read_in_a_storm_overtakes_lists_that_wait(target: str) -> None:
    async with bridged(App()) as (bridge, pool):
        for conn in range(1, 201):
            bridge.handle(HttpRequest(conn, target=AGENTS))
        bridge.handle(HttpRequest(999, target=target))
        await pool.until(201)
        assert order(pool).index(999) <= 2 * STARTS


async def test_in_one_turn_of_the_loop_few_are_started() -> None:
    app = App()
    async with bridged(app) as (bridge, pool):
        for conn in range(1, 101):
            bridge.handle(HttpRequest(conn, target="/mine"))
        counts = []
        while len(pool.calls) < 100:
            before = len(pool.calls)
            await asyncio.sleep(0)
            counts.append(len(pool.calls) - before)
        assert max(counts) <= STARTS


async def test_so_many_run_so_many_wait_and_the_others_are_503() -> None:
    app = App(waits=True)
    async with bridged(app) as (bridge, pool):
        for conn in range(1, 3001):
            bridge.handle(HttpRequest(conn, target=AGENTS))
        await settled(bridge)
        assert app.most == 4
        counts = bridge.counts()
        assert (counts.running, counts.waiting, counts.refused_total) == (4, 256, 2740)
        assert set(statuses(pool)) == {503}
        _, _, status, headers, body, *_ = pool.calls[0]
        assert status == 503
        assert int(headers[b"retry-after"]) > 0
        assert headers[b"content-type"] == b"application/problem+json"
        assert b"Too many requests" in body
        app.go_on.set()
        await pool.until(3000)
        assert app.most == 4
        assert order(pool)[2740:] == list(range(1, 261))
        await settled(bridge)
        assert bridge.counts().running == bridge.counts().waiting == 0


async def test_what_steps_aside_gives_its_place_to_the_next() -> None:
    class Aside(App):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scope[STEPS_ASIDE]()
            await super().__call__(scope, receive, send)

    app = Aside(waits=True)
    async with bridged(app) as (bridge, pool):
        for conn in range(1, 41):
            bridge.handle(HttpRequest(conn, target="/metrics"))
        await settled(bridge)
        assert app.running == 40
        assert bridge.counts().running == bridge.counts().waiting == 0
        app.go_on.set()
        await pool.until(40)
        await settled(bridge)
        assert bridge.counts().running == 0


async def test_lanes_do_not_fill_each_other() -> None:
    async with bridged(App(waits=True)) as (bridge, pool):
        for conn in range(1, 2001):
            bridge.handle(HttpRequest(conn, target="/mine"))
        await settled(bridge)
        assert bridge.counts().refused_total > 0
        refused = len(pool.calls)
        for conn, target in enumerate(["/metrics", AGENTS, "/api/v1/status"], 5000):
            bridge.handle(HttpRequest(conn, target=target))
        await settled(bridge)
        assert len(pool.calls) == refused


async def test_held_bodies_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MAX_BYTES", 100_000)
    app = App(waits=True)
    async with bridged(app) as (bridge, pool):
        for conn in range(1, 11):
            bridge.handle(HttpRequest(conn, method="POST", target="/mine", body=bytes(30_000)))
        await settled(bridge)
        assert bridge.counts().refused_total == 7
        app.go_on.set()
        await pool.until(10)
        await settled(bridge)
        bridge.handle(HttpRequest(20, method="POST", target="/mine", body=bytes(200_000)))
        await settled(bridge)
        assert bridge.counts().refused_total == 7, "one alone may be larger"


async def test_one_whose_client_left_while_it_waited_is_not_run() -> None:
    app = App(waits=True)
    async with bridged(app) as (bridge, pool):
        for conn in range(1, 7):
            bridge.handle(HttpRequest(conn, target=AGENTS))
        await settled(bridge)
        bridge.gone(Of(5))
        assert bridge.counts().waiting == 1
        app.go_on.set()
        await pool.until(5)
        await settled(bridge)
        assert sorted(order(pool)) == [1, 2, 3, 4, 6]


async def test_what_runs_on_after_its_client_has_left_still_counts() -> None:
    app = App(waits=True)
    async with bridged(app) as (bridge, _):
        for conn in range(1, 6):
            bridge.handle(HttpRequest(conn, target=AGENTS))
        await settled(bridge)
        bridge.gone(Of(1))
        await settled(bridge)
        assert (bridge.counts().running, bridge.counts().waiting) == (4, 1)
        app.go_on.set()
        await settled(bridge)
        assert (bridge.counts().running, bridge.counts().waiting) == (0, 0)


async def test_what_waits_at_the_end_is_told_so() -> None:
    app = App(waits=True)
    async with bridged(app) as (bridge, pool):
        for conn in range(1, 11):
            bridge.handle(HttpRequest(conn, target=AGENTS))
        await settled(bridge)
        ending = asyncio.create_task(bridge.drain_requests(DEADLINE))
        await pool.until(6)
        assert statuses(pool) == [503] * 6
        app.go_on.set()
        await ending
        assert sorted(statuses(pool)) == [200] * 4 + [503] * 6


@pytest.mark.parametrize(
    ("method", "target", "lane"),
    [
        ("GET", "/livez", None),
        ("GET", "/livez?x=1", None),
        ("GET", "/deepstream/health", "health"),
        ("GET", "/metrics", "metrics"),
        ("POST", "/api/v1/drain", "drain"),
        ("GET", "/api/v1/agents", "lists"),
        ("GET", "/api/v1/agents/a/events?limit=9", "lists"),
        ("GET", "/api/v1/facets?q=cam", "lists"),
        ("GET", "/openapi.json", "lists"),
        ("GET", "/api/v1/openapi.json", "lists"),
        ("GET", "/api/v1/agents/a", "operator"),
        ("POST", "/api/v1/agents/a/terminate", "operator"),
        ("GET", "/api/v1/maintenance", "operator"),
        ("GET", "/", "app"),
        ("GET", "/livez/more", "app"),
        ("GET", "http://x/livez", None),
        ("GET", "http://x/api/v1/agents?limit=9", "lists"),
        ("GET", "http://x?livez", "app"),
    ],
)
def test_lane_of_a_request(method: str, target: str, lane: str | None) -> None:
    assert lane_of(method, target, lambda _: True) == lane


@pytest.mark.parametrize("path", ["/api/v1/jobs/1/events", "/api/v1/jobs", "/openapi.json"])
def test_a_program_s_own_path_takes_no_lane_of_ours(path: str) -> None:
    assert lane_of("GET", path, lambda _: False) == "app"
    assert lane_of("GET", "/livez", lambda _: False) is None
