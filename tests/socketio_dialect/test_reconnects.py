"""Real clients come back by themselves when they should, and stay away when they should."""

import asyncio
import signal
from collections.abc import Callable

import pytest

from protocol.support import UUID, eventually, running, watcher
from serving import Serving
from socketio_clients import Client, Clients, app_ready
from socketio_dialect.cable import cable_to
from socketio_dialect.support import (
    Transports,
    all_connected,
    base,
    cut_off,
    ended,
    ends_as,
    every_kind,
    is_connected,
    is_left_behind,
    one_of_each,
    stays_away,
)
from wire import agent

Serve = Callable[..., Serving]
BACK_SECONDS = 30.0
"""Five seconds is the longest delay of the libraries, and an attempt may fail once or twice."""


def all_but_left_behind(everyone: list[Client]) -> list[Client]:
    return [one for one in everyone if not is_left_behind(one)]


async def are_back(everyone: list[Client]) -> None:
    for one in everyone:
        await one.connected(BACK_SECONDS)
        await one.message("heartbeat_response")


@every_kind
async def test_it_comes_back_when_its_connection_is_cut(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here, watcher(here.ws) as page, cable_to(here.port) as cable:
        one = await clients.introduce(library, cable.url, transports)
        await page.recv_type("client_status_changed")
        for _ in range(2):
            await cut_off(one, cable)
            await one.connected()
            await one.message("heartbeat_response")
            assert (await page.recv_type("client_reconnected"))["clientName"] == "b-1"
        if transports is None:
            await one.upgraded()
        assert one.transport == ends_as(transports)
        _, document = await here.health()
        assert document["connected_instances"] == ["b-1"]
        await one.emit("heartbeat", {"clientName": "b-1"})
        await one.message("heartbeat_response")

        async def one_connection() -> bool:
            _, now = await here.health()
            return bool(now["websocket"]["total_connections"] == 2)

        await eventually(one_connection)


@every_kind
async def test_its_session_is_restored_and_what_waited_is_delivered(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here), transports, greeting=app_ready("a-1"))
        await one.disconnect()

        async def gone() -> bool:
            return not await is_connected(here, "a-1")

        await eventually(gone)
        for n in range(3):
            body = {"type": "note", "n": n}
            answer = await here.pages.post("/api/v1/agents/a-1/message", json=body)
            assert answer.json() == {"delivered": False}
        again = await clients.connect(
            library,
            base(here),
            transports,
            greeting=app_ready("a-1", reconnection=True),
            listen=["note"],
        )
        ack = await again.message("reconnection_ack")
        assert ack == {"status": "ok", "session_restored": True, "server_status": "running"}
        assert [(await again.message("note"))["n"] for _ in range(3)] == [0, 1, 2]


async def test_all_come_back_after_kill_9(clients: Clients, serve: Serve) -> None:
    serving = await asyncio.to_thread(serve)
    everyone = await one_of_each(clients, serving.url, quick=False)
    serving.process.kill()
    serving.wait()
    for one in everyone:
        assert not (await one.disconnected()).for_good
    again = await asyncio.to_thread(serve, port=serving.port)
    await are_back(everyone)
    assert await asyncio.to_thread(again.stop) == 0


async def test_all_come_back_after_a_restart(clients: Clients, serve: Serve) -> None:
    serving = await asyncio.to_thread(serve, env={"DSCORE_SHUTDOWN__NOTICE": "1s"})
    async with cable_to(serving.port) as cable:
        everyone = await one_of_each(clients, cable.url, quick=False)
        serving.process.send_signal(signal.SIGUSR1)
        for one in everyone:
            notice = await one.message("server_shutdown")
            assert set(notice) == {"message", "timestamp", "reconnectAfter"}
            assert notice["reconnectAfter"] >= 5_000
            assert not one.has("disconnect"), "it is told before it is closed"
            assert one.heard("terminate_app") == []
        for one in everyone:
            await ended(one, 1001)
        await cable.brings_close(1001, count=sum(one.transport == "websocket" for one in everyone))
        assert await asyncio.to_thread(serving.wait) == 0
        again = await asyncio.to_thread(serve, port=serving.port)
        await are_back(all_but_left_behind(everyone))
        assert await asyncio.to_thread(again.stop) == 0


async def test_all_come_back_after_maintenance(clients: Clients) -> None:
    async with running() as here:
        everyone = await one_of_each(clients, base(here))
        switch = "/api/v1/maintenance"
        assert (await here.pages.post(switch, json={"enabled": True})).is_success
        for one in everyone:
            await ended(one, 1013)
        for one in everyone:
            if one.library != "python":
                # It has been turned away at least once.
                await one.tried_again()
                await one.tried_again()
        assert (await here.pages.post(switch, json={"enabled": False})).is_success
        back = all_but_left_behind(everyone)
        await are_back(back)
        await all_connected(here, [one.name for one in back])


@every_kind
async def test_a_raw_agent_takes_over_and_it_stays_away(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here, cable_to(here.port) as cable:
        witness = await clients.introduce(library, cable.url, transports, name="witness")
        one = await clients.introduce(library, cable.url, transports, name="a-1")
        async with agent(here.ws, "a-1") as newer:
            await ended(one, 4409, cable)
            await stays_away(here, one, witness, cable)
            details = await here.details("a-1")
            assert (details["dialect"], details["connected"]) == ("raw", True)
            await newer.beat()


@every_kind
async def test_it_takes_over_from_a_raw_agent(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here, agent(here.ws, "a-1") as older:
        one = await clients.introduce(library, base(here), transports, name="a-1")
        assert await older.closed() == (4409, "taken over")
        details = await here.details("a-1")
        assert (details["dialect"], details["connected"]) == ("socketio", True)
        await one.emit("heartbeat", {"clientName": "a-1"})
        await one.message("heartbeat_response")


@every_kind
async def test_a_second_client_of_one_name_takes_over(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here, cable_to(here.port) as cable:
        witness = await clients.introduce(library, cable.url, transports, name="witness")
        one = await clients.introduce(library, cable.url, transports)
        # Of another library and transport, so that the two could not be mistaken for each other.
        other = "js-3" if library == "js-4" else "js-4"
        newer = await clients.introduce(other, base(here), None)
        await ended(one, 4409, cable)
        await stays_away(here, one, witness, cable)
        await newer.emit("heartbeat", {"clientName": "b-1"})
        await newer.message("heartbeat_response")


@every_kind
async def test_a_terminated_one_stays_away(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here, cable_to(here.port) as cable:
        witness = await clients.introduce(library, cable.url, transports, name="witness")
        greeting = app_ready("a-1")
        one = await clients.introduce(library, cable.url, transports, name="a-1", greeting=greeting)
        waiting = asyncio.create_task(here.server.fleet.terminate("a-1"))
        order = await one.message("terminate_app")
        assert set(order) == {"request_id", "reason"}
        assert UUID.fullmatch(order["request_id"])
        await one.emit("app_terminated", {**order, "status": "OK", "message": "done"})
        assert (await waiting).outcome == "acked"
        await ended(one, 1000, cable)
        await stays_away(here, one, witness, cable)
        assert (await here.details("a-1"))["state"] == "terminated"


@every_kind
async def test_one_that_an_operator_removes_stays_away(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here, cable_to(here.port) as cable:
        witness = await clients.introduce(library, cable.url, transports, name="witness")
        one = await clients.introduce(library, cable.url, transports)
        assert (await here.pages.delete("/api/v1/agents/b-1")).is_success
        await ended(one, 1008, cable)
        await stays_away(here, one, witness, cable)


@pytest.mark.parametrize("code", [1001, 1011, 1013, 4000])
async def test_any_other_close_lets_all_come_back(clients: Clients, code: int) -> None:
    async with running() as here:
        everyone = await one_of_each(clients, base(here))
        for one in everyone:
            known = here.server.fleet.agent(one.name)
            assert known is not None
            known.close(code, "for a test")
        for one in everyone:
            await ended(one, code)
        await are_back(all_but_left_behind(everyone))
