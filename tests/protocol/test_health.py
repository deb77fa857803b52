"""PROTOCOL.md §8: the health document."""

import asyncio
from contextlib import AsyncExitStack

from protocol.support import ISO_UTC, agents, eventually, running, upgraded, watcher
from wire import agent


async def test_the_document_word_for_word() -> None:
    async with running() as here:
        status, document = await here.health()
        assert status == 200
        assert ISO_UTC.fullmatch(document.pop("timestamp"))
        system = document.pop("system")
        assert set(system) == {"cpu_usage", "memory_usage", "uptime"}
        assert 0 <= system["cpu_usage"] <= 100
        assert 0 < system["memory_usage"] <= 100
        assert 0 <= system["uptime"] < 60
        assert document == {
            "status": "ok",
            "connected_instances": [],
            "websocket": {
                "total_connections": 0,
                "authenticated_connections": 0,
                "unauthenticated_connections": 0,
                "is_shutting_down": False,
            },
            "dialects": {"raw": 0, "socketio": 0},
            "maintenance": False,
            "store": {"status": "ok", "reason": None, "waiting": 0, "lost": 0},
        }


async def test_agents_watchers_and_the_unauthenticated_are_counted() -> None:
    async with (
        running() as here,
        agents(here.ws, "a-1", "a-2"),
        watcher(here.ws),
        agent(here.ws, introduce=False),
        upgraded(here.ws),
    ):

        async def counted() -> bool:
            _, document = await here.health()
            return bool(document["websocket"]["total_connections"] == 5)

        await eventually(counted)
        _, document = await here.health()
        assert document["websocket"] == {
            "total_connections": 5,
            "authenticated_connections": 3,
            "unauthenticated_connections": 2,
            "is_shutting_down": False,
        }
        assert sorted(document["connected_instances"]) == ["a-1", "a-2"]


async def test_a_plain_request_is_no_connection() -> None:
    async with running() as here:
        for _ in range(3):
            _, document = await here.health()
            assert document["websocket"]["total_connections"] == 0


async def test_total_is_always_the_sum_in_one_reading() -> None:
    async with running() as here:
        done = False

        async def churn(name: str) -> None:
            while not done:
                async with agent(here.ws, name, introduce=False) as one:
                    await one.introduce()

        churning = [asyncio.create_task(churn(f"a-{n}")) for n in range(8)]
        for _ in range(200):
            _, document = await here.health()
            sockets = document["websocket"]
            known = sockets["authenticated_connections"]
            assert sockets["total_connections"] == known + sockets["unauthenticated_connections"]
            assert len(document["connected_instances"]) <= known
        done = True
        await asyncio.gather(*churning)


async def test_shutting_down_is_503() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        drain = asyncio.create_task(here.server.drain())
        order = await one.recv_type("terminate_app")
        status, document = await here.health()
        assert (status, document["status"]) == (503, "shutting_down")
        assert document["websocket"]["is_shutting_down"] is True
        assert document["connected_instances"] == ["a-1"]
        await one.answer(order)
        await drain


async def test_the_status_code_of_shutting_down_can_be_chosen() -> None:
    async with running({"health": {"status_code_when_draining": 200}}) as here:
        await here.server.drain()
        status, document = await here.health()
        assert (status, document["status"]) == (200, "shutting_down")


async def test_it_may_be_asked_by_a_page_of_another_origin_and_by_head() -> None:
    async with running() as here:
        answer = await here.pages.get("/deepstream/health", headers={"origin": "https://x.example"})
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["content-type"] == "application/json"
        head = await here.pages.head("/deepstream/health")
        assert (head.status_code, head.content) == (200, b"")


async def test_health_during_the_drain_of_many_stays_consistent() -> None:
    async with running({"shutdown": {"timeout": 5}}) as here, AsyncExitStack() as stack:
        names = [f"a-{n}" for n in range(100)]
        fleet = await stack.enter_async_context(agents(here.ws, *names))
        drain = asyncio.create_task(here.server.drain())
        for number, one in enumerate(fleet):
            await one.answer(await one.recv_type("terminate_app"))
            assert await one.closed() == (1000, "Client terminated")
            if number % 10 == 0:
                status, document = await here.health()
                sockets = document["websocket"]
                assert status == 503
                assert sockets["unauthenticated_connections"] == 0
                assert sockets["authenticated_connections"] == sockets["total_connections"]
                assert one.agent_id not in document["connected_instances"]
        assert (await drain).acked == 100
