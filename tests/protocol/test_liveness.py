"""PROTOCOL.md §5: each numbered rule, with short times. Rule 5 needs a store that survives,
rule 8 is the wheel's own."""

import asyncio
import time
from typing import Any

import pytest

from protocol.support import (
    Running,
    agents,
    eventually,
    frame,
    hears_only,
    introduced,
    running,
    settled,
    upgraded,
    watcher,
)
from wire import Wire, agent

MISSES: dict[str, Any] = {
    "connection_check_interval": 0.1,
    "health_check_interval": 0.1,
    "max_missed_heartbeats": 3,
    "heartbeat_grace_period": 0.2,
    "offline_timeout": 30,
}
GONE: dict[str, Any] = {"reconnection_grace_period": 0.8, "heartbeat_grace_period": 0}
PINGS = {"ping_interval": 0.15, "ping_timeout": 0.3}


async def next_status(page: Wire, seconds: float = 30.0) -> tuple[str, str | None]:
    changed = await page.recv_type("client_status_changed", seconds)
    return changed["status"], changed["reason_code"]


async def is_state(here: Running, agent_id: str, state: str) -> bool:
    known = here.server.fleet.agent(agent_id)
    return known is not None and known.state == state


async def test_liveness_1_every_heartbeat_is_answered_and_counts_anew() -> None:
    async with (
        running({"monitoring": MISSES}) as here,
        watcher(here.ws) as page,
        agents(here.ws, "b-1") as [one],
    ):
        await next_status(page)
        for _ in range(12):  # far longer than three misses and the grace together
            await one.beat()
            await asyncio.sleep(0.06)
        assert one.kept == [], "no connection_check while it beats"
        await hears_only(page)


async def test_liveness_1_a_heartbeat_clears_the_reconnect_timer() -> None:
    async with running({"monitoring": GONE}) as here, watcher(here.ws) as page:
        async with agent(here.ws, "b-1", introduce=False) as one:
            await one.beat()
        await eventually(lambda: is_state(here, "b-1", "reconnecting"))
        async with agent(here.ws, "b-1", introduce=False) as one:
            await one.beat()
            await asyncio.sleep(1.0)
            await hears_only(page, "client_status_changed", "client_reconnected")


@pytest.mark.timed
async def test_liveness_2_misses_then_offline_then_back() -> None:
    async with (
        running({"monitoring": MISSES}) as here,
        watcher(here.ws) as page,
        agents(here.ws, "b-1") as [one],
    ):
        await next_status(page)
        await one.beat()
        began = time.monotonic()
        for number in (1, 2, 3):
            check = await one.recv_type("connection_check", 2.0)
            assert check["client_name"] == "b-1"
            assert time.monotonic() - began >= 0.1 * number - 0.005
        assert await next_status(page) == ("offline", "missed_heartbeats")
        assert 0.5 - 0.005 <= time.monotonic() - began < 1.9
        # The socket stays, the checks go on, and a later heartbeat brings it back.
        await one.recv_type("connection_check", 2.0)
        await one.beat()
        assert await next_status(page) == ("online", None)


async def test_liveness_2_without_heartbeats_nothing_is_missed() -> None:
    monitoring = {**MISSES, "offline_timeout": 0.5}
    async with (
        running({"monitoring": monitoring}) as here,
        watcher(here.ws) as page,
        agents(here.ws, "a-1") as [one],
    ):
        await next_status(page)
        await asyncio.sleep(1.0)  # the DeepStream contract's agents only answer pings
        await hears_only(one)
        await hears_only(page)


async def test_liveness_2_a_check_response_counts_and_leaves_the_last_heartbeat() -> None:
    async with (
        running({"monitoring": MISSES}) as here,
        watcher(here.ws) as page,
        agents(here.ws, "b-1") as [one],
    ):
        await next_status(page)
        await one.beat()
        assert await next_status(page, 3.0) == ("offline", "missed_heartbeats")
        before = (await here.details("b-1"))["last_heartbeat"]
        await one.send("connection_check_response", client_name="b-1")
        changed = await page.recv_type("client_status_changed")
        assert (changed["status"], changed["reason"]) == ("online", None)
        assert changed["lastHeartbeat"] == before
        await settled(one)
        one.kept.clear()
        for _ in range(8):
            await one.send("connection_check_response", client_name="b-1")
            await asyncio.sleep(0.06)
        await hears_only(one)  # no answer, and no check in between
        assert (await here.details("b-1"))["last_heartbeat"] == before


async def test_liveness_2_a_check_response_alone_makes_an_agent_one_that_beats() -> None:
    async with running({"monitoring": MISSES}) as here, agents(here.ws, "a-1") as [one]:
        await one.send("connection_check_response", client_name="a-1")
        assert (await one.recv(2.0))["type"] == "connection_check"


@pytest.mark.timed
async def test_liveness_2_offline_timeout_closes_1011() -> None:
    # The grace is longer than the timeout: it is still online, and offline at once.
    monitoring = {**MISSES, "heartbeat_grace_period": 20, "offline_timeout": 0.5}
    async with (
        running({"monitoring": monitoring}) as here,
        watcher(here.ws) as page,
        agents(here.ws, "b-1") as [one],
    ):
        await next_status(page)
        await one.beat()
        began = time.monotonic()
        assert await one.closed(3.0) == (1011, "heartbeat timeout")
        assert 0.5 - 0.005 <= time.monotonic() - began < 2.0
        assert await next_status(page, 1.0) == ("offline", "heartbeat_timeout")


async def test_liveness_2_an_agent_already_offline_is_not_announced_again() -> None:
    monitoring = {**MISSES, "offline_timeout": 0.9}
    async with (
        running({"monitoring": monitoring}) as here,
        watcher(here.ws) as page,
        agents(here.ws, "b-1") as [one],
    ):
        await next_status(page)
        await one.beat()
        assert await next_status(page) == ("offline", "missed_heartbeats")
        assert await one.closed(3.0) == (1011, "heartbeat timeout")
        await eventually(lambda: is_state(here, "b-1", "offline"))
        await hears_only(page)
        assert here.server.fleet.agent("b-1").reason_code == "missed_heartbeats"  # type: ignore[union-attr]


@pytest.mark.timed
async def test_liveness_3_transport_pings_come_every_interval() -> None:
    async with running({"socket": PINGS}) as here:
        # The server counts from somewhere between these two, and a busy machine draws them apart.
        began = time.monotonic()
        async with introduced(here.ws) as one:
            introduced_at = time.monotonic()
            opcode, payload = await one.frame()
            assert opcode == 9
            assert time.monotonic() - began >= 0.14
            assert time.monotonic() - introduced_at < 1.5
            await one.send(frame(10, payload))
            assert (await one.frame())[0] == 9
            assert time.monotonic() - began >= 0.29
            assert time.monotonic() - introduced_at < 1.8


@pytest.mark.timed
async def test_liveness_3_silence_is_closed_1011_ping_timeout() -> None:
    async with running({"socket": PINGS}) as here, introduced(here.ws) as one:
        began = time.monotonic()
        assert await one.closed() == (1011, "ping timeout")
        assert 0.44 <= time.monotonic() - began < 2.0


@pytest.mark.parametrize("life", [frame(10), frame(9), frame(1, b"{}"), frame(1, b"", fin=False)])
async def test_liveness_3_any_frame_counts_as_life(life: bytes) -> None:
    settings = {"socket": PINGS, "limits": {"max_errors": 100}}
    async with running(settings) as here, introduced(here.ws) as one:
        for _ in range(10):
            await one.send(life)
            life = b"\x00\x80\x00\x00\x00\x00" if life[0] in (0x00, 0x01) else life
            await asyncio.sleep(0.1)
        assert await is_state(here, "a-1", "connected")


async def test_liveness_3_watchers_and_the_unauthenticated_are_pinged_too() -> None:
    async with (
        running({"socket": PINGS}) as here,
        upgraded(here.ws) as unauthenticated,
        upgraded(here.ws) as page,
    ):
        await page.say("watch")
        assert await unauthenticated.closed() == (1011, "ping timeout")
        assert await page.closed() == (1011, "ping timeout")


async def test_liveness_3_a_ping_timeout_is_no_reason_of_an_agents_status() -> None:
    async with (
        running({"socket": PINGS, "monitoring": GONE}) as here,
        watcher(here.ws) as page,
        introduced(here.ws) as one,
    ):
        await next_status(page)
        await one.closed()
        assert await next_status(page) == ("offline", "reconnect_timeout")


async def test_liveness_4_back_in_time_announces_only_the_return() -> None:
    async with running({"monitoring": GONE}) as here, watcher(here.ws) as page:
        async with agents(here.ws, "a-1") as [one]:
            await next_status(page)
            await one.vanish()
        await eventually(lambda: is_state(here, "a-1", "reconnecting"))
        assert (await here.details("a-1"))["status"] == "online"
        async with agent(here.ws, "a-1", reconnection=True):
            await asyncio.sleep(1.0)
            await hears_only(page, "client_reconnected")


@pytest.mark.timed
async def test_liveness_4_not_back_is_offline_after_the_grace() -> None:
    async with running({"monitoring": GONE}) as here, watcher(here.ws) as page:
        async with agents(here.ws, "a-1") as [one]:
            await next_status(page)
            await one.vanish()
            began = time.monotonic()
        assert await next_status(page) == ("offline", "reconnect_timeout")
        assert 0.8 - 0.005 <= time.monotonic() - began < 1.8
        # Coming back then is a change, and a first connection.
        async with agent(here.ws, "a-1", reconnection=True):
            assert await next_status(page) == ("online", None)


@pytest.mark.timed
async def test_liveness_4_a_young_heartbeat_is_waited_out_first() -> None:
    monitoring = {"reconnection_grace_period": 0.1, "heartbeat_grace_period": 0.6}
    async with running({"monitoring": monitoring}) as here, watcher(here.ws) as page:
        async with agent(here.ws, "b-1", introduce=False) as one:
            await one.beat()
            began = time.monotonic()
            await next_status(page)
        assert await next_status(page) == ("offline", "reconnect_timeout")
        assert 0.6 - 0.01 <= time.monotonic() - began < 2.0


@pytest.mark.timed
async def test_liveness_6_in_maintenance_every_grace_stands_still() -> None:
    async with running({"monitoring": GONE}) as here, agents(here.ws, "a-1") as [one]:
        async with agents(here.ws, "a-2") as [early]:
            await early.vanish()
        await eventually(lambda: is_state(here, "a-2", "reconnecting"))
        here.server.set_maintenance(enabled=True)
        assert (await one.closed())[0] == 1013
        await asyncio.sleep(1.2)
        assert await is_state(here, "a-1", "reconnecting")
        assert await is_state(here, "a-2", "reconnecting")
        ended = time.monotonic()
        here.server.set_maintenance(enabled=False)
        async with watcher(here.ws) as page:
            assert await next_status(page) == ("offline", "reconnect_timeout")
            await eventually(lambda: is_state(here, "a-1", "offline"))
            assert 0.6 <= time.monotonic() - ended < 1.9, "all of the grace that was left"


@pytest.mark.parametrize(("how", "code"), [("terminate", "terminated"), ("remove", "operator")])
async def test_liveness_6_ended_on_purpose_is_offline_at_once(how: str, code: str) -> None:
    async with running() as here, watcher(here.ws) as page, agents(here.ws, "a-1") as [one]:
        await next_status(page)
        if how == "terminate":
            waiting = asyncio.create_task(here.pages.post("/api/v1/agents/a-1/terminate"))
            await one.answer(await one.recv_type("terminate_app"))
            answer = (await waiting).json()
            assert answer["outcome"] == "acked"
            assert await one.closed() == (1000, "Client terminated")
        else:
            assert (await here.pages.delete("/api/v1/agents/a-1")).is_success
            assert (await one.closed())[0] == 1008
        assert await next_status(page, 1.0) == ("offline", code)
        await hears_only(page)


async def test_liveness_7_takeover_closes_4409() -> None:
    async with running() as here, watcher(here.ws) as page, agents(here.ws, "a-1") as [first]:
        await next_status(page)
        async with agents(here.ws, "a-1") as [second]:
            assert await first.closed() == (4409, "taken over")
            await second.beat()
            await settled(second)
            # It was online all the while, and no agent had gone.
            await hears_only(page)
            _, document = await here.health()
            assert document["connected_instances"] == ["a-1"]


async def test_liveness_7_the_end_of_a_stale_connection_touches_nothing() -> None:
    settings = {"monitoring": {"reconnection_grace_period": 0.05, "heartbeat_grace_period": 0}}
    async with (
        running(settings) as here,
        watcher(here.ws) as page,
        introduced(here.ws, "a-1") as first,
        agents(here.ws, "a-1") as [second],
    ):
        await next_status(page)
        # It does not answer the close frame, speaks on, and is cut in the end.
        assert (await first.close_payload())[:2] == (4409).to_bytes(2, "big")
        await first.say("app_ready", instance_id="a-1")
        await first.say("heartbeat", clientName="a-1")
        first.writer.transport.abort()
        await asyncio.sleep(0.3)
        await hears_only(page)
        await second.beat()
        waiting = asyncio.create_task(here.server.fleet.terminate("a-1"))
        await second.answer(await second.recv_type("terminate_app"))
        assert (await waiting).outcome == "acked"


async def test_liveness_7_an_answer_of_the_stale_connection_is_not_the_successors() -> None:
    async with running() as here, agents(here.ws, "a-1") as [first]:
        waiting = asyncio.create_task(here.server.fleet.terminate("a-1", timeout=5))
        order = await first.recv_type("terminate_app")
        async with agents(here.ws, "a-1") as [second]:
            assert (await first.closed())[0] == 4409
            assert (await waiting).outcome == "vanished"
            await second.answer(order)
            await settled(second)
            assert await is_state(here, "a-1", "connected")


async def test_liveness_7_takeover_over_and_over_leaves_one_owner() -> None:
    async with running() as here:
        for _ in range(50):
            async with agents(here.ws, "a-1") as [one], agents(here.ws, "a-1") as [other]:
                assert (await one.closed())[0] == 4409
                await settled(other)
        assert here.server.fleet.counts().total <= 1
