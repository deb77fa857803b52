"""PROTOCOL.md §10, last sentences, and §11 `limits.accept_rate`: probes, metrics and the operator
get through any storm, and agents come before what makes no use of its place."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from protocol.support import Bytes, Running, eventually, running, tcp, upgraded
from serving import Serving
from socketio_wire.agents import agent as socketio_agent
from socketio_wire.support import fetch
from wire import DEADLINE_SECONDS, agent

LIMIT_REACHED = (1013, "Server connection limit reached")
OPENING = "/socket.io/?EIO=4&transport=polling"
KEY = base64.b64encode(bytes(16)).decode()


def upgrade_request(path: str = "/deepstream/ws") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    ).encode()


def request(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


async def reach(here: Running, name: str, least: int) -> None:
    """Waits until a figure of the server is so large."""

    async def is_reached() -> bool:
        return here.server.core_stats()[name] >= least

    await eventually(is_reached)


@asynccontextmanager
async def connections(here: Running, count: int) -> AsyncIterator[list[Bytes]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(tcp(here.ws)) for _ in range(count)]


async def answered(one: Bytes, path: str) -> int:
    """Asks on a connection that is kept, and reads the answer; its status."""
    await one.send(request(path))
    status, headers = await one.head()
    await one.reader.readexactly(int(headers["content-length"]))
    return status


async def test_probes_answer_while_two_thousand_upgrades_wait() -> None:
    settings = {"limits": {"accept_rate": 40}}
    async with running(settings) as here, connections(here, 2000) as storm:
        for one in storm:
            await one.send(upgrade_request())
        await reach(here, "upgrades_waiting", 1800)
        for path in ("/livez", "/readyz", "/deepstream/health", "/metrics", "/api/v1/drain"):
            async with tcp(here.ws) as probe:
                await answered(probe, path)
        # All that was answered while they waited.
        assert here.server.core_stats()["upgrades_waiting"] > 1500


async def test_upgrades_go_on_in_the_order_they_came() -> None:
    async with running({"limits": {"accept_rate": 20}}) as here:
        order: list[int] = []

        async def upgrade(number: int, one: Bytes) -> None:
            assert (await one.head())[0] == 101
            order.append(number)

        async with connections(here, 40) as storm:
            for number, one in enumerate(storm):
                await one.send(upgrade_request())
                await reach(here, "bytes_received_total", (number + 1) * len(upgrade_request()))
            await asyncio.gather(*(upgrade(number, one) for number, one in enumerate(storm)))
        assert order == sorted(order)
        assert here.server.core_stats()["upgrades_delayed_total"] > 0


async def test_a_wait_of_ours_is_no_lateness_of_the_client() -> None:
    settings = {"limits": {"accept_rate": 1, "handshake_timeout": 0.3}}
    async with running(settings) as here, connections(here, 3) as storm:
        for one in storm:
            await one.send(upgrade_request())
        for one in storm:
            assert (await one.head())[0] == 101
            await one.say("app_ready", instance_id="a")
            await one.message("app_ready_ack")


@pytest.mark.parametrize("path", [OPENING, "/socket.io/?EIO=4&transport=websocket"])
async def test_openings_of_sessions_are_paced_and_their_requests_are_not(path: str) -> None:
    async with running({"limits": {"accept_rate": 2}}) as here, AsyncExitStack() as stack:
        live = await stack.enter_async_context(socketio_agent(here, "polling", "b-1"))
        async with connections(here, 6) as storm:
            for one in storm:
                is_upgrade = path.endswith("websocket")
                await one.send(upgrade_request(path) if is_upgrade else request(path))
            await reach(here, "upgrades_waiting", 3)
            for _ in range(5):
                await live.beat()
            assert here.server.core_stats()["upgrades_waiting"] >= 1
            for one in storm:
                assert (await one.head())[0] in (101, 200)


REFUSED_OPENINGS = {
    "another origin": (OPENING, "Origin: http://evil.example\r\n", 403),
    "JSONP": (f"{OPENING}&j=0", "", 400),
    "a body that is too large": (OPENING, "Content-Length: 99999999999\r\n", 413),
    "a body of two lengths": (OPENING, "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
}


@pytest.mark.parametrize("kind", REFUSED_OPENINGS)
async def test_an_opening_that_is_refused_spends_no_turn(kind: str) -> None:
    path, field, expected = REFUSED_OPENINGS[kind]
    asked = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{field}\r\n".encode()
    # One turn in ten seconds: it is left for the upgrade.
    async with running({"limits": {"accept_rate": 0.1}}) as here, connections(here, 20) as pages:
        for one in pages:
            await one.send(asked)
        for one in pages:
            assert (await one.head())[0] == expected
        async with upgraded(here.ws):
            stats = here.server.core_stats()
            assert (stats["upgrades_waiting"], stats["upgrades_delayed_total"]) == (0, 0)


async def test_one_that_leaves_the_queue_takes_no_turn() -> None:
    async with running({"limits": {"accept_rate": 0.2}}) as here, tcp(here.ws) as first:
        await first.send(upgrade_request())
        assert (await first.head())[0] == 101
        async with connections(here, 4) as storm:
            for one in storm:
                await one.send(upgrade_request())
            await reach(here, "upgrades_waiting", 4)

        async def is_empty() -> bool:
            return here.server.core_stats()["upgrades_waiting"] == 0

        await eventually(is_empty)
        async with upgraded(here.ws):
            pass


async def test_where_the_wait_would_be_too_long_the_answer_is_503_with_retry_after() -> None:
    async with running({"limits": {"accept_rate": 0.1}}) as here, connections(here, 12) as storm:
        for one in storm:
            await one.send(upgrade_request())
        await reach(here, "refused_total", 4)
        async with tcp(here.ws) as late:
            await late.send(upgrade_request())
            status, headers = await late.head()
        assert status == 503
        assert int(headers["retry-after"]) >= 60


async def test_a_drain_lets_none_wait() -> None:
    async with running({"limits": {"accept_rate": 0.1}}) as here, connections(here, 4) as storm:
        for one in storm:
            await one.send(upgrade_request())
        await reach(here, "upgrades_waiting", 3)
        drain = asyncio.create_task(here.server.drain())
        for one in storm:
            assert (await one.head())[0] == 101
        await asyncio.wait_for(drain, DEADLINE_SECONDS)


async def test_idle_http_gives_way_to_agents_the_longest_idle_first() -> None:
    async with running({"limits": {"connections": 6}}) as here, connections(here, 5) as idle:
        for one in idle:
            assert await answered(one, "/livez") == 200
        # The first is the one that was used last.
        await asyncio.sleep(0.01)
        assert await answered(idle[0], "/livez") == 200
        async with AsyncExitStack() as stack:
            for number in range(4):
                await stack.enter_async_context(agent(here.ws, f"a-{number}"))
            for one in idle[1:4]:
                assert await one.ended() == b""
            assert await answered(idle[0], "/livez") == 200
            assert here.server.core_stats()["yielded_total"] == 3


async def test_connections_that_have_said_nothing_give_way_to_agents() -> None:
    async with running({"limits": {"connections": 10}}) as here, connections(here, 40):
        await reach(here, "accepted_total", 40)
        async with AsyncExitStack() as stack:
            for number in range(10):
                await stack.enter_async_context(agent(here.ws, f"a-{number}"))
            async with agent(here.ws, "one too many", introduce=False) as late:
                assert await late.closed() == LIMIT_REACHED


class Slow:
    """An app whose answers wait for `go_on`."""

    def __init__(self) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        self.asked += 1
        await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


async def test_a_request_under_way_gives_way_to_none() -> None:
    app = Slow()
    limits = {"limits": {"connections": 3}}
    async with running(limits, app=app) as here, connections(here, 3) as busy:
        for one in busy:
            await one.send(request("/slow"))

        async def all_asked() -> bool:
            return app.asked == 3

        await eventually(all_asked)
        async with agent(here.ws, introduce=False) as late:
            assert await late.closed() == LIMIT_REACHED
        app.go_on.set()
        for one in busy:
            assert (await one.head())[0] == 200
        # Now they are idle.
        async with agent(here.ws, "a-1"):
            pass


async def test_at_the_limit_probes_are_answered_and_idle_ones_take_no_place() -> None:
    async with running({"limits": {"connections": 2}}) as here, AsyncExitStack() as stack:
        for number in range(2):
            await stack.enter_async_context(agent(here.ws, f"a-{number}"))
        async with connections(here, 20):
            for path in ("/livez", "/deepstream/health", "/metrics"):
                async with tcp(here.ws) as probe:
                    assert await answered(probe, path) == 200
            async with agent(here.ws, introduce=False) as late:
                assert await late.closed() == LIMIT_REACHED


async def test_polling_sessions_that_never_joined_give_way_to_agents() -> None:
    async with running({"limits": {"connections": 24}}) as here, tcp(here.ws) as one:
        for _ in range(16):
            assert await answered(one, OPENING) == 200
        async with AsyncExitStack() as stack:
            for number in range(24):
                await stack.enter_async_context(agent(here.ws, f"a-{number}"))
            assert len(here.server.fleet.connected_ids()) == 24


async def test_polling_sessions_never_introduced_have_a_share_and_no_more() -> None:
    async with running({"limits": {"connections": 400}}) as here, AsyncExitStack() as stack:
        live = await stack.enter_async_context(socketio_agent(here, "polling", "b-1"))
        async with tcp(here.ws) as one:
            for _ in range(200):
                assert await answered(one, OPENING) == 200
            stats = here.server.core_stats()
            assert stats["polling_unauthenticated"] <= 50
            assert stats["yielded_total"] >= 150
            # One that has introduced itself is none of them.
            await live.beat()
            async with socketio_agent(here, "polling", "b-2") as other:
                await other.beat()


async def test_readiness_says_when_all_places_are_taken() -> None:
    async with running({"limits": {"connections": 3}}) as here, AsyncExitStack() as stack:
        for number in range(3):
            assert (await ready(here))[0] == 200
            await stack.enter_async_context(agent(here.ws, f"a-{number}"))
        status, document = await ready(here)
        assert (status, document["status"]) == (503, "full")
        assert "limits.connections" in document["cause"]
        assert (await here.health())[0] == 200
        await stack.aclose()

        async def is_ready() -> bool:
            return (await ready(here))[0] == 200

        await eventually(is_ready)


async def test_the_log_says_when_all_places_are_taken(serve: Callable[..., Serving]) -> None:
    serving = serve(env={"DSCORE_LIMITS__CONNECTIONS": "2"})
    async with agent(serving.ws, "a-1"), agent(serving.ws, "a-2"):
        line = await asyncio.to_thread(serving.wait_for_log, "server_full")
    assert "raise limits.connections" in line["cause"]


async def test_readiness_counts_none_that_would_give_way() -> None:
    limits = {"limits": {"connections": 3}}
    async with running(limits) as here, agent(here.ws, "a-1"), connections(here, 2) as idle:
        for one in idle:
            assert await answered(one, "/livez") == 200
        assert (await ready(here))[0] == 200


async def ready(here: Running) -> tuple[int, dict[str, Any]]:
    answer = await fetch(here.port, "GET", "/readyz")
    return answer.status, json.loads(answer.text)


@pytest.fixture
def stalling() -> Iterator[socket.socket]:
    """A socket that takes little before its owner reads."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        yield one


async def test_a_reader_that_stalls_fills_no_megabytes_of_the_kernel(
    stalling: socket.socket,
) -> None:
    loop = asyncio.get_running_loop()
    async with running(app=Large()) as here:
        await loop.sock_connect(stalling, ("127.0.0.1", here.port))
        await loop.sock_sendall(stalling, request("/large"))
        await reach(here, "outbox_bytes", 1)
        stats = here.server.core_stats()
        assert stats["bytes_sent_total"] < 512 * 1024
        # What was held back comes, all of it, when it is read.
        got = 0
        while got < Large.SIZE:
            got += len(await asyncio.wait_for(loop.sock_recv(stalling, 1 << 20), DEADLINE_SECONDS))


class Large:
    """Answers with more than any buffer takes."""

    SIZE = 8_000_000

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(self.SIZE)})
