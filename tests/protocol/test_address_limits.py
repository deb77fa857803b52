"""`limits.connections_per_address` and `limits.introductions_per_address` (PROTOCOL.md §9, §11).

All tests come from loopback, which has no limit; where it is a trusted proxy its clients have.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import socketio
from websockets.exceptions import ConnectionClosed

from protocol.support import Running, Settings, eventually, running
from serving import Serving
from waiting import wait_until
from wire import Wire, agent

OPENING = "/socket.io/?EIO=4&transport=polling"
FULL = (1013, "Too many connections from this address")
TOO_OFTEN = (1013, "Too many introductions from this address")


def settings(**limits: int) -> dict[str, dict[str, Any]]:
    return {
        "listen": {"port": 0, "trusted_proxies": ["127.0.0.1"]},
        "limits": limits,
    }


def of(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


class Crowd:
    """A server, and the agents that have come to it."""

    def __init__(self, here: Running, stack: AsyncExitStack) -> None:
        self.here = here
        self._stack = stack

    async def open(self, address: str) -> httpx.Response:
        """Begins a session that polls."""
        return await self.here.pages.get(OPENING, headers=of(address))

    async def come(self, address: str, agent_id: str) -> tuple[int, str] | None:
        """Introduces an agent; how it was turned away, or None: it stays."""
        wire = await self.connect(address, agent_id)
        with suppress(ConnectionClosed):
            await wire.send("app_ready", instance_id=agent_id)
            await wire.recv_type("app_ready_ack")
            return None
        return await wire.closed()

    async def connect(self, address: str, agent_id: str) -> Wire:
        connection = agent(self.here.ws, agent_id, introduce=False, headers=of(address))
        return await self._stack.enter_async_context(connection)


@asynccontextmanager
async def crowd(settings: Settings) -> AsyncIterator[Crowd]:
    async with running(settings) as here, AsyncExitStack() as stack:
        yield Crowd(here, stack)


async def test_address_limits_count_websockets_and_sessions_that_poll() -> None:
    async with crowd(settings(connections_per_address=3)) as here:
        first = await here.connect("203.0.113.9", "a-1")
        assert (await here.open("203.0.113.9")).status_code == 200
        assert await here.come("203.0.113.9", "a-2") is None
        assert await here.come("203.0.113.9", "a-3") == FULL
        refused = await here.open("203.0.113.9")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        # Another address, loopback itself, and plain requests have no part in it.
        assert await here.come("203.0.113.8", "a-4") is None
        for number in range(5):
            assert await here.come("127.0.0.1", f"l-{number}") is None
        health = await here.here.pages.get("/deepstream/health", headers=of("203.0.113.9"))
        assert health.status_code == 200
        assert here.here.server.core_stats()["address_connections_refused_total"] == 2
        await first.socket.close()

        async def there_is_room() -> bool:
            return await here.come("203.0.113.9", "a-5") is None

        await eventually(there_is_room)


async def test_address_limits_a_session_makes_room_when_it_ends() -> None:
    async with crowd(settings(connections_per_address=1)) as here:
        answer = await here.open("203.0.113.9")
        sid = json.loads(answer.text[1:])["sid"]
        assert (await here.open("203.0.113.9")).status_code == 429
        closing = await here.here.pages.post(f"{OPENING}&sid={sid}", content=b"1")
        assert closing.status_code == 200

        async def there_is_room() -> bool:
            return (await here.open("203.0.113.9")).status_code == 200

        await eventually(there_is_room)


async def test_address_limits_an_upgrade_of_a_session_is_no_second_connection() -> None:
    async with crowd(settings(connections_per_address=1)) as here:
        client = socketio.AsyncClient(reconnection=False)
        url = f"http://127.0.0.1:{here.here.port}"
        await client.connect(url, headers=of("203.0.113.9"), transports=["polling", "websocket"])

        async def is_upgraded() -> bool:
            return bool(client.transport() == "websocket")

        async def there_is_room() -> bool:
            return await here.come("203.0.113.9", "a-1") is None

        try:
            await eventually(is_upgraded)
            assert await here.come("203.0.113.9", "a-1") == FULL
        finally:
            await client.disconnect()
        await eventually(there_is_room)


async def test_address_limits_a_network_of_ipv6_is_one_address() -> None:
    async with crowd(settings(connections_per_address=1)) as here:
        assert await here.come("2001:db8:0:1::1", "a-1") is None
        assert await here.come("2001:db8:0:1:ffff::2", "a-2") == FULL
        assert await here.come("2001:db8:0:2::1", "a-3") is None


async def test_address_limits_an_agent_introduces_itself_so_often_in_a_minute() -> None:
    async with crowd(settings(introductions_per_address=2)) as here:
        ends = [await here.come("203.0.113.9", f"a-{number}") for number in range(6)]
        # The minute may end in between.
        assert TOO_OFTEN in ends
        assert ends[:2] == [None, None]
        for number in range(6):
            assert await here.come("127.0.0.1", f"l-{number}") is None
        assert here.here.server.core_stats()["address_introductions_refused_total"] >= 1


@pytest.mark.parametrize("limits", [{}, {"introductions_per_address": 3}])
async def test_address_limits_a_failed_authentication_costs_its_address_only_with_a_limit(
    limits: dict[str, int],
) -> None:
    auth = {"required": True, "tokens": ["right"], "operator_tokens": ["operator"]}
    async with running({**settings(**limits), "auth": auth}) as here:
        ends = await asyncio.gather(*(wrong_token(here, number) for number in range(8)))
        failed = (1008, "authentication failed")
        assert set(ends) <= {failed, TOO_OFTEN}
        assert (TOO_OFTEN in ends) == bool(limits)


async def wrong_token(here: Running, number: int) -> tuple[int, str]:
    headers = of("203.0.113.9")
    async with agent(here.ws, f"a-{number}", introduce=False, headers=headers) as wire:
        await wire.send("app_ready", instance_id=f"a-{number}", token="wrong")
        return await wire.closed()


async def test_address_limits_each_refusal_is_a_line(serve: Callable[..., Serving]) -> None:
    env = {
        "DSCORE_LISTEN__TRUSTED_PROXIES": "127.0.0.1",
        "DSCORE_LIMITS__CONNECTIONS_PER_ADDRESS": "1",
    }
    serving = serve(env=env)
    async with (
        agent(serving.ws, "a-1", headers=of("203.0.113.9")),
        agent(serving.ws, "a-2", introduce=False, headers=of("203.0.113.9")) as second,
    ):
        assert await second.closed() == FULL

        def find() -> dict[str, Any] | None:
            lines = serving.log_lines()
            return next((line for line in lines if line.get("event") == "address_limited"), None)

        line = await asyncio.to_thread(wait_until, find, "the line", 30.0)
        assert (line["ip"], line["limit"]) == ("203.0.113.9", "limits.connections_per_address")
