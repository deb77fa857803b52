"""PROTOCOL.md §7: sessions, and what waits for an agent that is away."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from protocol.support import Running, agents, eventually, hears_only, running, settled
from wire import agent


async def is_away(here: Running) -> bool:
    known = here.server.fleet.agent("a-1")
    return known is not None and not known.connected


async def left(here: Running) -> None:
    async with agent(here.ws, "a-1"):
        pass
    await eventually(lambda: is_away(here))


async def leave_message(here: Running, n: int) -> Mapping[str, Any]:
    answer = await here.pages.post("/api/v1/agents/a-1/message", json={"type": "note", "n": n})
    assert answer.status_code == 202, answer.text
    document: Mapping[str, Any] = answer.json()
    return document


async def restored(here: Running) -> bool:
    async with agent(here.ws, "a-1", introduce=False) as one:
        return bool((await one.introduce(reconnection=True))["session_restored"])


async def test_session_is_restored_if_it_exists() -> None:
    async with running() as here:
        assert not await restored(here)
        assert await restored(here)


async def test_session_restored_is_the_truth_for_the_agent_asked_about() -> None:
    async with running() as here, agents(here.ws, "a-2"):
        assert not await restored(here)


async def test_session_without_reconnection_begins_anew_and_drops_the_outbox() -> None:
    async with running() as here:
        await left(here)
        assert (await leave_message(here, 1))["delivered"] is False
        async with agent(here.ws, "a-1", introduce=False) as one:
            assert (await one.introduce())["session_restored"] is False
            await hears_only(one)
        assert await restored(here)


async def test_session_keeps_the_config_of_app_ready() -> None:
    async with running() as here:
        async with agent(here.ws, "a-1", config={"sources": [1, 2], "이름": "카메라"}):
            pass
        async with agent(here.ws, "a-1", reconnection=True):
            assert (await here.details("a-1"))["config"] == {"sources": [1, 2], "이름": "카메라"}
        async with agent(here.ws, "a-1"):
            assert not (await here.details("a-1"))["config"]


async def test_session_ends_with_its_ttl_from_the_disconnect() -> None:
    async with running({"session": {"ttl": 0.3}}) as here:
        async with agent(here.ws, "a-1"):
            await asyncio.sleep(0.5)  # a connected agent's does not run out
        assert await restored(here)
        await eventually(lambda: is_away(here))
        await asyncio.sleep(0.5)
        assert not await restored(here)


async def test_session_ends_with_an_ok_to_terminate_app() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        waiting = asyncio.create_task(here.server.fleet.terminate("a-1"))
        await one.answer(await one.recv_type("terminate_app"))
        await waiting
        assert not await restored(here)


async def test_session_outlives_an_answer_that_was_not_ok() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        waiting = asyncio.create_task(here.server.fleet.terminate("a-1", timeout=0.2))
        await one.answer(await one.recv_type("terminate_app"), status="ERROR")
        assert (await waiting).outcome == "failed"
        await one.socket.close()
        assert await restored(here)


async def test_session_outlives_a_takeover() -> None:
    async with running() as here, agents(here.ws, "a-1"):
        assert await restored(here)


async def test_messages_wait_and_come_after_the_ack_in_order_each_once() -> None:
    async with running() as here:
        await left(here)
        for n in range(5):
            assert await leave_message(here, n) == {"delivered": False}
        async with agent(here.ws, "a-1", introduce=False) as one:
            await one.send("app_ready", instance_id="a-1", reconnection=True)
            assert (await one.recv())["type"] == "reconnection_ack"
            notes = [await one.recv() for _ in range(5)]
            ids = {note.pop("message_id") for note in notes}
            assert notes == [{"type": "note", "n": n} for n in range(5)]
            assert len(ids) == 5
            assert await leave_message(here, 5) == {"delivered": True}
            assert (await one.recv())["n"] == 5
        async with agent(here.ws, "a-1", reconnection=True) as one:
            await hears_only(one)


async def test_messages_come_after_the_first_heartbeat_response() -> None:
    async with running() as here:
        await left(here)
        await leave_message(here, 1)
        async with agent(here.ws, "a-1", introduce=False) as one:
            await one.send("heartbeat", clientName="a-1")
            assert (await one.recv())["type"] == "heartbeat_response"
            assert ((await one.recv())["n"]) == 1
            await one.beat()
            await hears_only(one)


@pytest.mark.parametrize("limit", [1, 3])
async def test_past_the_outbox_limit_the_oldest_is_dropped_and_counted(limit: int) -> None:
    async with running({"session": {"outbox_limit": limit}}) as here:
        await left(here)
        for n in range(5):
            await leave_message(here, n)
        assert here.server.core_stats()["outbox_dropped_total"] == 5 - limit
        async with agent(here.ws, "a-1", reconnection=True) as one:
            await settled(one)
            assert [message["n"] for message in one.kept] == list(range(5 - limit, 5))


async def test_a_full_outbox_of_large_messages_makes_no_slow_consumer() -> None:
    async with running({"limits": {"outbox_bytes": 65_536}}) as here:
        await left(here)
        for n in range(50):
            body = {"type": "note", "n": n, "padding": "x" * 4_000}
            assert (await here.pages.post("/api/v1/agents/a-1/message", json=body)).is_success
        async with agent(here.ws, "a-1", reconnection=True) as one:
            await settled(one)
            numbers = [message["n"] for message in one.kept]
            assert numbers == list(range(50 - len(numbers), 50))
            assert numbers
