"""PROTOCOL.md §6, maintenance: agents are sent away, watchers stay and hear of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import dscore
from protocol.support import (
    Running,
    Settings,
    agents,
    eventually,
    hears_only,
    running,
    settled,
    upgraded,
    watcher,
)
from socketio_wire.agents import CARRIERS, NO_CODE, SocketioWire, each_carrier
from socketio_wire.agents import agent as socketio_agent
from wire import Wire, agent

UNAVAILABLE = (1013, "Server temporarily unavailable")
ON_CONNECT: Settings = {"socketio": {"watch_on_connect": True}}


async def switch(here: Running, *, enabled: bool) -> None:
    here.server.set_maintenance(enabled=enabled)


async def told(one: Wire) -> bool:
    """What the next `maintenance_changed` says."""
    message = await one.recv_type("maintenance_changed")
    assert set(message) == {"type", "enabled"}
    return bool(message["enabled"])


@asynccontextmanager
async def in_maintenance(
    settings: Settings | None = None, **options: Any
) -> AsyncIterator[Running]:
    async with running(settings, **options) as here:
        await switch(here, enabled=True)
        # The reactors have heard of it once an agent is turned away.
        async with agent(here.ws, "first", introduce=False) as first:
            await first.send("app_ready", instance_id="first")
            assert await first.closed() == UNAVAILABLE
        yield here


async def test_maintenance_closes_all_but_watchers_which_are_told() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one], watcher(here.ws) as page:
        async with agent(here.ws, introduce=False) as silent:
            await settled(silent)
            await switch(here, enabled=True)
            for each in (one, silent):
                assert await each.closed() == UNAVAILABLE
                assert "terminate_app" not in [message["type"] for message in each.kept]
        await hears_only(page, "maintenance_changed")
        status, document = await here.health()
        assert (status, document["status"], document["maintenance"]) == (200, "ok", True)
        assert document["websocket"]["is_shutting_down"] is False
        assert document["websocket"]["authenticated_connections"] == 1
        answer = await here.pages.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "maintenance")
        await switch(here, enabled=False)
        assert await told(page) is False
        assert (await here.pages.get("/readyz")).status_code == 200
        async with agent(here.ws, "a-1", introduce=False) as back:
            assert (await back.introduce(reconnection=True))["session_restored"] is True
            assert (await page.recv_type("client_reconnected"))["clientName"] == "a-1"


async def test_maintenance_is_switched_by_the_api() -> None:
    async with running() as here, watcher(here.ws) as page:
        for enabled in (True, False):
            answer = await here.pages.post("/api/v1/maintenance", json={"enabled": enabled})
            assert answer.is_success
            assert await told(page) is enabled
            assert (await here.pages.get("/api/v1/maintenance")).json()["enabled"] is enabled


async def test_maintenance_closes_an_agent_that_watches_as_well() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        await one.send("watch")
        await settled(one)
        await switch(here, enabled=True)
        assert await one.closed() == UNAVAILABLE
        assert "maintenance_changed" not in [message["type"] for message in one.kept]


@each_carrier
async def test_maintenance_leaves_socketio_watchers(carrier: str) -> None:
    async with running() as here, socketio_agent(here, carrier, introduce="") as page:
        await page.send("watch")
        await settled(page)
        for enabled in (True, False):
            await switch(here, enabled=enabled)
            assert await told(page) is enabled
        await settled(page)


@each_carrier
async def test_maintenance_leaves_those_that_watch_on_connect(carrier: str) -> None:
    async with running(ON_CONNECT) as here, socketio_agent(here, carrier, introduce="") as page:
        await settled(page)
        await switch(here, enabled=True)
        assert await told(page) is True
        # To become an agent now is another matter.
        await page.send("heartbeat", clientName="a-1")
        assert await page.closed() == (UNAVAILABLE if page.has_codes else NO_CODE)


@each_carrier
async def test_maintenance_closes_socketio_agents_and_the_unauthenticated(carrier: str) -> None:
    async with (
        running() as here,
        socketio_agent(here, carrier) as one,
        socketio_agent(here, carrier, introduce="") as silent,
    ):
        await settled(silent)
        await switch(here, enabled=True)
        for each in (one, silent):
            await each.closes(*UNAVAILABLE, sent_away=False)


async def test_maintenance_lets_new_watchers_in() -> None:
    async with in_maintenance() as here, watcher(here.ws, snapshot=True) as page:
        await switch(here, enabled=False)
        assert await told(page) is False


@each_carrier
async def test_maintenance_lets_new_socketio_watchers_in(carrier: str) -> None:
    async with in_maintenance() as here, socketio_agent(here, carrier, introduce="") as page:
        await page.send("watch")
        await settled(page)
        await switch(here, enabled=False)
        assert await told(page) is False


@each_carrier
async def test_maintenance_lets_pages_in_that_watch_on_connect(carrier: str) -> None:
    async with (
        in_maintenance(ON_CONNECT) as here,
        socketio_agent(here, carrier, introduce="") as page,
    ):
        await settled(page)
        await switch(here, enabled=False)
        assert await told(page) is False
        await page.beat()


@pytest.mark.parametrize(
    "first",
    [
        {"type_name": "app_ready", "instance_id": "a"},
        {"type_name": "heartbeat", "clientName": "a"},
        {"type_name": "reconnection_success", "clientName": "a"},
        {"type_name": "note"},
    ],
    ids=lambda first: first["type_name"],
)
async def test_maintenance_answers_all_others_1013(first: Any) -> None:
    async with in_maintenance() as here:
        async with agent(here.ws, introduce=False) as late:
            await late.send(**first)
            assert await late.closed() == UNAVAILABLE
        for carrier in CARRIERS:
            async with socketio_agent(here, carrier, introduce="") as late:
                await late.send(**first)
                assert isinstance(late, SocketioWire)
                await late.closes(*UNAVAILABLE, sent_away=False)
        assert here.server.fleet.agent("a") is None


async def test_maintenance_gives_a_silent_connection_a_moment_and_no_more() -> None:
    async with in_maintenance() as here, upgraded(here.ws) as late:
        assert await late.closed() == UNAVAILABLE


async def test_a_connection_of_the_maintenance_may_introduce_itself_when_that_is_over() -> None:
    async with in_maintenance() as here, agent(here.ws, introduce=False) as late:
        await settled_in_maintenance(here, 1)
        await switch(here, enabled=False)
        # A turn reads its sockets before its commands: once another is let in, the reactor has
        # heard of it.
        async with agent(here.ws, "other"):
            await late.introduce()
        # Beyond the moment that it was given.
        await asyncio.sleep(3.5)
        await settled(late)


async def settled_in_maintenance(here: Running, unauthenticated: int) -> None:
    async def is_open() -> bool:
        return here.server.fleet.counts().unauthenticated == unauthenticated

    await eventually(is_open)


class SlowDoor(dscore.Policy):
    """Decides when it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def authenticate(self, candidate: dscore.Candidate) -> bool:
        if candidate.role != "operator":
            return True
        self.asked.set()
        return await self.verdict


async def test_a_watch_that_is_judged_slowly_is_not_cut_by_the_maintenance() -> None:
    door = SlowDoor()
    async with in_maintenance(policy=door) as here, agent(here.ws, introduce=False) as page:
        await page.send("watch")
        await asyncio.wait_for(door.asked.wait(), 30.0)
        # Longer than a silent connection has.
        await asyncio.sleep(3.5)
        door.verdict.set_result(True)
        await settled(page)
        await switch(here, enabled=False)
        assert await told(page) is False


async def test_a_watch_judged_while_maintenance_begins_is_sent_away() -> None:
    door = SlowDoor()
    async with running(policy=door) as here, agent(here.ws, introduce=False) as page:
        await page.send("watch")
        await asyncio.wait_for(door.asked.wait(), 30.0)
        await switch(here, enabled=True)
        door.verdict.set_result(True)
        assert await page.closed() == UNAVAILABLE


async def test_a_watcher_of_the_maintenance_hears_of_a_drain() -> None:
    async with in_maintenance() as here, watcher(here.ws) as page:
        drain = asyncio.create_task(here.server.drain())
        await page.recv_type("server_shutdown")
        assert await page.closed() == (1001, "Server shutting down gracefully")
        assert (await drain).exit_code == 0
