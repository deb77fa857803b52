"""PROTOCOL.md §4: what watchers are told, and no other connection."""

import asyncio
import time
from datetime import datetime

import pytest

from dscore.clock import JITTER
from protocol.support import (
    ISO_UTC,
    Running,
    agents,
    eventually,
    hears_only,
    running,
    settled,
    watcher,
)
from wire import agent

SHORT = {"monitoring": {"reconnection_grace_period": 0.1, "heartbeat_grace_period": 0}}


async def test_client_status_changed_at_the_first_introduction() -> None:
    async with running() as here, watcher(here.ws) as page, agents(here.ws, "a-1"):
        assert await page.recv() == {
            "type": "client_status_changed",
            "id": "a-1",
            "name": "a-1",
            "status": "online",
            "reason": None,
            "reason_code": None,
            "lastHeartbeat": None,
        }


async def test_client_status_changed_has_the_last_heartbeat() -> None:
    async with (
        running() as here,
        watcher(here.ws) as page,
        agent(here.ws, "b-1", introduce=False) as one,
    ):
        sent_ms = time.time() * 1000
        response = await one.beat()
        answered_ms = unix_ms(response["timestamp"])
        changed = await page.recv()
        assert ISO_UTC.fullmatch(changed["lastHeartbeat"])
        # The reactor stamps the answer, the loop what it tells of: two readings of one time.
        heard_ms = unix_ms(changed["lastHeartbeat"])
        assert sent_ms - JITTER - 1 <= heard_ms <= answered_ms + JITTER


def unix_ms(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp() * 1000


@pytest.mark.parametrize(
    ("language", "reason"), [("en", "reconnect timeout"), ("ko", "재연결 타임아웃")]
)
async def test_client_status_changed_to_offline_says_why(language: str, reason: str) -> None:
    async with (
        running({**SHORT, "log": {"language": language}}) as here,
        watcher(here.ws) as page,
    ):
        async with agents(here.ws, "a-1"):
            await page.recv()
        changed = await page.recv()
        assert (changed["status"], changed["reason"]) == ("offline", reason)
        assert changed["reason_code"] == "reconnect_timeout"
        assert "snapshot" not in changed


async def test_client_status_changed_only_on_a_change() -> None:
    async with running() as here, watcher(here.ws) as page, agents(here.ws, "a-1") as [one]:
        for _ in range(3):
            await one.beat()
            await one.introduce()
            await one.send("reconnection_success", clientName="a-1")
        await settled(one)
        heard = await hears_only(page, "client_status_changed", "client_reconnected")
        assert heard[0]["status"] == "online"


async def test_client_reconnected() -> None:
    async with running() as here, watcher(here.ws) as page:
        async with agents(here.ws, "a-1"):
            await page.recv()
        await eventually(lambda: is_state(here, "a-1", "reconnecting"))
        async with agent(here.ws, "a-1", reconnection=True) as one:
            message = await page.recv()
            assert ISO_UTC.fullmatch(message.pop("timestamp"))
            assert message == {"type": "client_reconnected", "clientName": "a-1"}
            # At most once per connection, in whatever way it says so again.
            await one.send("reconnection_success", clientName="a-1")
            await settled(one)
            await hears_only(page)


async def is_state(here: Running, agent_id: str, state: str) -> bool:
    known = here.server.fleet.agent(agent_id)
    return known is not None and known.state == state


async def test_a_snapshot_comes_first_and_says_so() -> None:
    async with running(SHORT) as here, agents(here.ws, "a-1", "a-2") as [one, two]:
        await two.socket.close()
        await eventually(lambda: is_state(here, "a-2", "offline"))
        async with agent(here.ws, introduce=False) as page:
            await page.send("watch", snapshot=True)
            heard = [await page.recv() for _ in range(2)]
        assert {entry["type"] for entry in heard} == {"client_status_changed"}
        assert all(entry["snapshot"] is True for entry in heard)
        found = {entry["id"]: (entry["status"], entry["reason_code"]) for entry in heard}
        assert found == {"a-1": ("online", None), "a-2": ("offline", "reconnect_timeout")}
        assert one.kept == []


async def test_a_snapshot_of_a_large_fleet_is_complete() -> None:
    names = [f"a-{n}" for n in range(600)]
    async with (
        running() as here,
        agents(here.ws, *names),
        agent(here.ws, introduce=False) as page,
    ):
        await page.send("watch", snapshot=True)
        assert sorted([(await page.recv())["id"] for _ in names]) == sorted(names)
        await hears_only(page)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"q": "CAM"}, ["cam-1", "my-cam"]),
        ({"status": "online"}, ["box-1", "cam-1", "my-cam"]),
        ({"status": "offline"}, []),
        ({"status": "online", "q": "box"}, ["box-1"]),
        ({}, ["box-1", "cam-1", "my-cam"]),
    ],
)
async def test_a_filter_holds_for_the_snapshot_and_for_changes(
    wanted: dict[str, str], expected: list[str]
) -> None:
    names = ("box-1", "cam-1", "my-cam")
    async with running() as here, agent(here.ws, introduce=False) as page:
        await page.send("watch", filter=wanted)
        await settled(page)
        async with agents(here.ws, *names):
            await settled(page)
            assert sorted(message["id"] for message in page.kept) == expected
            page.kept.clear()
            await page.send("watch", filter=wanted, snapshot=True)
            entries = [await page.recv_type("client_status_changed") for _ in expected]
            assert sorted(entry["id"] for entry in entries) == expected
            await hears_only(page)


async def test_unwatch_ends_it_and_the_connection_stays_authenticated() -> None:
    async with running() as here, watcher(here.ws) as page:
        await page.send("unwatch")
        async with agents(here.ws, "a-1"):
            await hears_only(page)
            _, document = await here.health()
            assert document["websocket"]["authenticated_connections"] == 2
            assert document["connected_instances"] == ["a-1"]


async def test_agents_are_told_nothing_of_each_other() -> None:
    async with running(SHORT) as here, agents(here.ws, "a-1") as [one]:
        async with agents(here.ws, "a-2"):
            pass
        await eventually(lambda: is_state(here, "a-2", "offline"))
        async with agent(here.ws, "a-2", reconnection=True):
            await hears_only(one)


async def test_broadcast_to_agents_tells_every_agent() -> None:
    monitoring = {**SHORT["monitoring"], "broadcast_to_agents": True}
    async with running({"monitoring": monitoring}) as here, agents(here.ws, "a-1") as [one]:
        await settled(one)
        one.kept.clear()
        async with agents(here.ws, "a-2"):
            changed = await one.recv_type("client_status_changed")
            assert (changed["id"], changed["status"]) == ("a-2", "online")
        changed = await one.recv_type("client_status_changed")
        assert (changed["id"], changed["status"]) == ("a-2", "offline")


async def test_an_agent_may_watch_too() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        await one.send("watch")
        async with agents(here.ws, "a-2"):
            assert (await one.recv_type("client_status_changed"))["id"] == "a-2"
        await one.beat()


async def test_an_agent_that_acknowledged_is_offline_terminated_at_once() -> None:
    async with running() as here, watcher(here.ws) as page, agents(here.ws, "a-1") as [one]:
        await page.recv()
        waiting = asyncio.create_task(here.server.fleet.terminate("a-1"))
        await one.answer(await one.recv_type("terminate_app"))
        assert (await waiting).outcome == "acked"
        changed = await page.recv(1.0)
        assert (changed["status"], changed["reason_code"]) == ("offline", "terminated")


@pytest.mark.timed
async def test_a_watcher_in_a_drain_hears_server_shutdown_then_progress() -> None:
    settings = {"shutdown": {"timeout": 0.5, "close_timeout": 0.3}}
    async with running(settings) as here, watcher(here.ws) as page:
        async with agents(here.ws, *"abcdef") as fleet:
            page.kept.clear()
            drain = asyncio.create_task(here.server.drain())
            began = time.monotonic()
            for one in fleet[:4]:
                await one.answer(await one.recv_type("terminate_app"))
            await drain
            seconds = time.monotonic() - began
            assert await page.closed() == (1001, "Server shutting down gracefully")
        types = [message["type"] for message in page.kept]
        assert "terminate_app" not in types
        assert types.count("server_shutdown") == 1
        progress = [message for message in page.kept if message["type"] == "drain_progress"]
        assert 2 <= len(progress) <= 10 * seconds + 1
        counts = ("total", "acked", "failed", "timed_out", "vanished", "notified")
        counts = (*counts, "incomplete", "pending")
        for message in progress:
            assert list(message) == ["type", "intent", *counts]
            assert message["intent"] == "terminate"
            assert message["total"] == 6
            assert sum(message[name] for name in counts[1:]) == 6, "no agent is lost or doubled"
        last = progress[-1]
        assert (last["acked"], last["timed_out"], last["pending"]) == (4, 2, 0)
