"""Pages of the Socket.IO contract: real clients that watch (PROTOCOL.md §4)."""

import asyncio

from protocol.support import ISO_UTC, agents, running
from socketio_clients import Client, Clients
from socketio_dialect.cable import cable_to
from socketio_dialect.support import (
    QUICK,
    Transports,
    base,
    cut_off,
    each_client,
    ended,
    is_connected,
    merged,
)
from wire import agent

SHORT = {"monitoring": {"reconnection_grace_period": 0.2, "heartbeat_grace_period": 0}}
ON_CONNECT = {"socketio": {"watch_on_connect": True}}


async def page_of(clients: Clients, library: str, url: str, transports: Transports) -> Client:
    """A page that watches from here on."""
    page = await clients.connect(library, url, transports, name="page", greeting=[])
    assert await page.call("watch", {}) == []
    return page


@each_client
async def test_a_watcher_hears_of_every_change(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(SHORT) as here:
        page = await page_of(clients, library, base(here), transports)
        async with agent(here.ws, "a-1"):
            assert await page.message("client_status_changed") == {
                "id": "a-1",
                "name": "a-1",
                "status": "online",
                "reason": None,
                "reason_code": None,
                "lastHeartbeat": None,
            }
        changed = await page.message("client_status_changed")
        assert (changed["status"], changed["reason_code"]) == ("offline", "reconnect_timeout")
        one = await clients.introduce(library, base(here), transports)
        changed = await page.message("client_status_changed")
        assert (changed["id"], changed["status"]) == ("b-1", "online")
        assert ISO_UTC.fullmatch(changed["lastHeartbeat"])
        assert not any(map(one.heard, ("client_status_changed", "client_reconnected")))


@each_client
async def test_a_snapshot_comes_first(
    clients: Clients, library: str, transports: Transports
) -> None:
    names = [f"a-{n}" for n in range(30)]
    async with running() as here, agents(here.ws, *names):
        page = await clients.connect(library, base(here), transports, name="page", greeting=[])
        await page.emit("watch", {"snapshot": True, "filter": {"status": "online"}})
        heard = [await page.message("client_status_changed") for _ in names]
        assert sorted(one["id"] for one in heard) == sorted(names)
        assert all(one["snapshot"] is True for one in heard)


@each_client
async def test_a_watcher_hears_who_came_back(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here, cable_to(here.port) as cable:
        page = await page_of(clients, library, base(here), transports)
        one = await clients.introduce(library, cable.url, transports)
        await page.message("client_status_changed")
        await cut_off(one, cable)
        await one.connected()
        assert not one.has("connect_error")
        came_back = await page.message("client_reconnected")
        assert ISO_UTC.fullmatch(came_back.pop("timestamp"))
        assert came_back == {"clientName": "b-1"}


@each_client
async def test_unwatch_ends_it(clients: Clients, library: str, transports: Transports) -> None:
    async with running() as here:
        page = await page_of(clients, library, base(here), transports)
        assert await page.call("unwatch", {}) == []
        async with agent(here.ws, "a-1"):
            await page.call("client_status_request", {"clientName": "a-1"})
            await page.message("server_status_response")
        assert page.heard("client_status_changed") == []
        _, document = await here.health()
        assert document["websocket"]["unauthenticated_connections"] == 0


@each_client
async def test_watch_on_connect_watches_until_it_introduces_itself(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(merged(SHORT, ON_CONNECT)) as here:
        page = await clients.connect(library, base(here), transports, name="page", greeting=[])
        async with agent(here.ws, "a-1"):
            assert (await page.message("client_status_changed"))["id"] == "a-1"
            await page.emit("heartbeat", {"clientName": "b-1"})
            await page.message("heartbeat_response")
            assert await is_connected(here, "b-1")
            page.kept.clear()
            async with agent(here.ws, "a-2"):
                await page.call("client_status_request", {"clientName": "a-2"})
                await page.message("server_status_response")
            assert page.heard("client_status_changed") == []


@each_client
async def test_without_watch_on_connect_a_page_is_told_nothing(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        page = await clients.connect(library, base(here), transports, name="page", greeting=[])
        async with agent(here.ws, "a-1"):
            await page.call("client_status_request", {"clientName": "a-1"})
            await page.message("server_status_response")
        assert page.heard("client_status_changed") == []


@each_client
async def test_a_page_that_only_listens_may_stay(
    clients: Clients, library: str, transports: Transports
) -> None:
    """Where no token is required it has no deadline; a raw agent has."""
    async with running({"auth": {"timeout": 0.3}}) as here:
        page = await clients.connect(library, base(here), transports, name="page", greeting=[])
        async with agent(here.ws, introduce=False) as unauthenticated:
            assert await unauthenticated.closed() == (1008, "authentication timeout")
        assert await page.call("client_status_request", {"clientName": "a-1"}) == []
        assert not page.has("disconnect")


@each_client
async def test_a_page_watches_a_drain(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(QUICK) as here:
        page = await page_of(clients, library, base(here), transports)
        async with agents(here.ws, "a-1", "a-2") as [one, _]:
            drain = asyncio.create_task(here.server.drain())
            await one.answer(await one.recv_type("terminate_app"))
            assert (await page.message("server_shutdown"))["reconnectAfter"] >= 5_000
            await ended(page, 1001)
            await drain
        progress = page.heard("drain_progress")
        assert progress[-1]["total"] == 2
        assert page.heard("terminate_app") == page.heard("server_shutdown") == []


@each_client
async def test_broadcast_to_agents_tells_agents_too(
    clients: Clients, library: str, transports: Transports
) -> None:
    monitoring = {**SHORT["monitoring"], "broadcast_to_agents": True}
    async with running({"monitoring": monitoring}) as here:
        one = await clients.introduce(library, base(here), transports)
        async with agent(here.ws, "a-1"):
            changed = await one.message("client_status_changed")
            if changed["id"] == "b-1":
                # Its own introduction may be told to it as well.
                changed = await one.message("client_status_changed")
            assert (changed["id"], changed["status"]) == ("a-1", "online")
