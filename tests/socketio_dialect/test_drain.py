"""A drain as real clients live through it (PROTOCOL.md §6)."""

import asyncio

import pytest

from protocol.support import ISO_UTC, UUID, eventually, running
from socketio_clients import JAVASCRIPT, Clients, app_ready
from socketio_dialect.cable import Cable, cable_to
from socketio_dialect.support import (
    QUICK,
    Transports,
    all_connected,
    base,
    ended,
    every_kind,
    every_library,
    is_connected,
    one_of_each,
)
from wire import agent


@every_kind
async def test_terminate_app_is_answered_and_it_is_closed_for_good(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here, cable_to(here.port) as cable:
        greeting = app_ready("a-1")
        one = await clients.introduce(library, cable.url, transports, greeting=greeting)
        drain = asyncio.create_task(here.server.drain())
        order = await one.message("terminate_app")
        assert set(order) == {"request_id", "reason"}
        assert UUID.fullmatch(order["request_id"])
        assert order["reason"] == "Server shutting down"
        notice = await one.message("server_shutdown")
        assert set(notice) == {"message", "timestamp", "reconnectAfter"}
        assert ISO_UTC.fullmatch(notice["timestamp"])
        answer = {"request_id": order["request_id"], "status": "OK", "message": "done"}
        await one.emit("app_terminated", answer)
        await ended(one, 1000, cable)
        report = await drain
        assert (report.total, report.acked, report.exit_code) == (1, 1, 0)
        assert one.heard("terminate_app") == one.heard("server_shutdown") == []


@every_kind
async def test_one_that_does_not_answer_is_closed_1001_and_may_come_back(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(QUICK) as here, cable_to(here.port) as cable:
        greeting = app_ready("a-1")
        one = await clients.introduce(library, cable.url, transports, greeting=greeting)
        drain = asyncio.create_task(here.server.drain())
        await one.message("terminate_app")
        await ended(one, 1001, cable)
        report = await drain
        assert (report.timed_out, report.not_acked, report.exit_code) == (1, ["a-1"], 3)


@every_kind
async def test_software_of_the_socketio_contract_is_notified_and_may_come_back(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with (
        running({"shutdown": {"timeout": 30, "notice": 0.3}}) as here,
        cable_to(here.port) as cable,
    ):
        one = await clients.introduce(library, cable.url, transports)
        drain = asyncio.create_task(here.server.drain())
        await one.message("server_shutdown")
        await ended(one, 1001, cable)
        report = await asyncio.wait_for(drain, 10)
        assert (report.notified, report.timed_out, report.exit_code) == (1, 0, 0)


@every_kind
async def test_one_that_was_never_introduced_is_notified_too(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(QUICK) as here, cable_to(here.port) as cable:
        one = await clients.connect(library, cable.url, transports, greeting=[])
        drain = asyncio.create_task(here.server.drain())
        await one.message("server_shutdown")
        await ended(one, 1001, cable)
        report = await drain
        assert (report.total, report.exit_code) == (0, 0)


@every_kind
async def test_progress_asks_for_more_time(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running(QUICK) as here, agent(here.ws, "mute") as mute:
        greeting = app_ready("a-1")
        one = await clients.introduce(library, base(here), transports, greeting=greeting)
        drain = asyncio.create_task(here.server.drain())
        order = await one.message("terminate_app")
        request = {"request_id": order["request_id"]}
        await one.emit("termination_progress", {**request, "stage": "eos", "need_ms": 5_000})
        assert await mute.closed() == (1001, "Server shutdown timeout")
        assert not one.has("disconnect"), "its deadline was the same before"
        await one.emit("app_terminated", {**request, "status": "OK", "message": ""})
        await ended(one, 1000)
        assert (await drain).acked == 1


@every_library
async def test_new_connections_are_turned_away(clients: Clients, library: str) -> None:
    """Whichever way they come; and those who are there go on."""
    settings = {"shutdown": {"timeout": 30, "close_timeout": 0.5}}
    async with running(settings) as here, cable_to(here.port) as cable:
        greeting = app_ready("a-1")
        one = await clients.introduce(library, base(here), ["polling"], greeting=greeting)
        drain = asyncio.create_task(here.server.drain())
        order = await one.message("terminate_app")
        for transports in (None, ["websocket"], ["polling"]):
            late = await clients.begin(library, cable.url, transports, name="late")
            if library == "python":
                assert late.has("connect_error")
            else:
                # Soon, that is: a connection that ends before it was opened costs it 20 seconds.
                await late.tried_again()
            assert not await is_connected(here, "late")
        assert 503 in cable.statuses
        answer = {"request_id": order["request_id"], "status": "OK", "message": ""}
        assert await one.call("client_status_request", {"clientName": "a-1"}) == []
        status = await one.message("server_status_response")
        assert status["serverStatus"] == "shutting_down"
        await one.emit("app_terminated", answer)
        await ended(one, 1000)
        report = await drain
        assert (report.total, report.acked) == (1, 1)


STAGES = pytest.mark.parametrize(
    "after", [0, 1, 2], ids=["before its request", "before its probe", "after its probe"]
)


async def held_after(cable: Cable, pieces: int) -> None:
    """Lets an upgrade go on until then, and waits for that."""
    cable.hold_upgrades(pieces)

    async def is_held() -> bool:
        return cable.held == [pieces]

    await eventually(is_held)


@STAGES
@pytest.mark.parametrize("library", JAVASCRIPT)
async def test_an_upgrade_that_a_drain_interrupts_is_completed(
    clients: Clients, library: str, after: int
) -> None:
    settings = {"shutdown": {"timeout": 20, "close_timeout": 0.5}}
    async with running(settings) as here, cable_to(here.port) as cable:
        cable.hold_upgrades(min(after, 1))
        one = await clients.begin(library, cable.url, greeting=app_ready("a-1"))
        await all_connected(here, ["a-1"])
        # Not earlier: once its probe is answered it says nothing before the upgrade is made.
        await held_after(cable, after)
        drain = asyncio.create_task(here.server.drain())

        async def is_draining() -> bool:
            status, _ = await here.health()
            return status == 503

        await eventually(is_draining)
        if after < 2:
            # It still polls: the order need not wait for the upgrade.
            order = await one.message("terminate_app")
            assert one.transport == "polling"
            cable.release()
        else:
            cable.release()
            order = await one.message("terminate_app")
        await one.upgraded()
        answer = {"request_id": order["request_id"], "status": "OK", "message": ""}
        await one.emit("app_terminated", answer)
        await ended(one, 1000, cable)
        report = await drain
        assert (report.total, report.acked, report.exit_code) == (1, 1, 0)
        assert one.heard("terminate_app") == [], "it was told once"


@STAGES
@every_library
async def test_an_upgrade_that_never_completes_holds_up_no_drain(
    clients: Clients, library: str, after: int
) -> None:
    async with running(QUICK) as here, cable_to(here.port) as cable:
        cable.hold_upgrades(min(after, 1))
        # python-socketio waits for its upgrade before it goes on.
        beginning = asyncio.create_task(
            clients.begin(library, cable.url, greeting=app_ready("a-1"))
        )
        try:
            if library != "python":
                await all_connected(here, ["a-1"])
            await held_after(cable, after)
            report = await asyncio.wait_for(here.server.drain(), 5)
            assert report.not_acked == ([] if library == "python" else ["a-1"])
        finally:
            beginning.cancel()
            await asyncio.gather(beginning, return_exceptions=True)


async def test_a_mixed_fleet_is_drained_as_one(clients: Clients) -> None:
    async with running(QUICK) as here, agent(here.ws, "raw") as raw:
        everyone = await one_of_each(clients, base(here))
        mute = await clients.introduce("js-4", base(here), greeting=app_ready("mute"))
        drain = asyncio.create_task(here.server.drain())
        await raw.answer(await raw.recv_type("terminate_app"))
        for one in everyone[::2]:
            order = await one.message("terminate_app")
            answer = {"request_id": order["request_id"], "status": "OK", "message": ""}
            await one.emit("app_terminated", answer)
        for at, one in enumerate(everyone):
            await ended(one, 1001 if at % 2 else 1000)
        await ended(mute, 1001)
        report = await drain
        counts = (report.total, report.acked, report.notified, report.timed_out)
        assert counts == (14, 7, 6, 1)


async def test_a_restart_drain_notifies_a_mixed_fleet(clients: Clients) -> None:
    settings = {"shutdown": {"intent": "restart", "notice": 0.5, "close_timeout": 0.5}}
    async with (
        running(settings) as here,
        cable_to(here.port) as cable,
        agent(here.ws, "raw") as raw,
    ):
        everyone = await one_of_each(clients, cable.url)
        drain = asyncio.create_task(here.server.drain())
        slots = [(await raw.recv_type("server_shutdown"))["reconnectAfter"]]
        for one in everyone:
            slots.append((await one.message("server_shutdown"))["reconnectAfter"])
            assert not one.has("disconnect")
        assert min(slots) >= 5_000
        assert len(set(slots)) > 1, "they do not all come back at once"
        for one in everyone:
            await ended(one, 1001)
        await cable.brings_close(1001, count=sum(one.transport == "websocket" for one in everyone))
        assert await raw.closed() == (1001, "Server shutting down gracefully")
        report = await drain
        assert (report.total, report.exit_code) == (13, 0)
