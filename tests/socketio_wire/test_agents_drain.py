"""PROTOCOL.md §6 over Socket.IO: the steps of a drain by their numbers, restart, maintenance, and
what is sent at the end."""

import asyncio
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from protocol.support import Running, agents, eventually, running, settled
from socketio_wire.agents import (
    CARRIERS,
    PATH,
    agent,
    carried,
    each_carrier,
    one_by_each_carrier,
)
from socketio_wire.support import Here, Session, Socket, fetch, websocket

QUICK = {"shutdown": {"timeout": 0.5, "notice": 0.2, "close_timeout": 0.5}}
RESTART = {"shutdown": {"intent": "restart", "notice": 0.2, "close_timeout": 0.5}}
POLLING = f"{PATH}?EIO=4&transport=polling"
GRACEFUL = (1001, "Server shutting down gracefully")
OVERDUE = (1001, "Server shutdown timeout")
UNAVAILABLE = (1013, "Server temporarily unavailable")


async def turned_away(here: Running, reason: str) -> None:
    """What a new connection gets: 503 over polling, an upgrade and 1013 over WebSocket."""
    answer = await fetch(here.port, "GET", POLLING)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    async with websocket(here.port, PATH, "EIO=4&transport=websocket") as late:
        assert await late.closed() == 1013
        assert late.socket.close_reason == reason


@each_carrier
async def test_drain_2_new_connections_are_turned_away_and_live_sids_go_on(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="app_ready") as one:
        drain = asyncio.create_task(here.server.drain())
        order = await one.recv_type("terminate_app")
        await turned_away(here, "Server shutting down")
        await one.beat()
        await one.answer(order)
        await one.closes(1000, "Client terminated", sent_away=True)
        assert (await drain).acked == 1


async def test_drain_2_a_live_session_may_still_go_over() -> None:
    async with running() as here, agent(here, "polling", introduce="app_ready") as one:
        drain = asyncio.create_task(here.server.drain())
        order = await one.recv_type("terminate_app")
        session = one.carrier
        assert isinstance(session, Session)
        async with Here(here.port, PATH, None).upgraded(session) as socket:
            one.carrier = socket
            await one.beat()
            await one.answer(order)
            await one.closes(1000, "Client terminated", sent_away=True)
        assert (await drain).acked == 1


async def test_drain_2_a_session_in_the_middle_of_its_upgrade_is_told_and_counted() -> None:
    async with running() as here, agent(here, "polling", introduce="app_ready") as one:
        session = one.carrier
        assert isinstance(session, Session)
        async with Here(here.port, PATH, None).probing(session) as probed:
            drain = asyncio.create_task(here.server.drain())
            await eventually(lambda: is_draining(here))
            await probed.send("5")
            one.carrier = probed
            await one.answer(await one.recv_type("terminate_app"))
            await one.closes(1000, "Client terminated", sent_away=True)
        report = await drain
        assert (report.total, report.acked) == (1, 1)


async def is_draining(here: Running) -> bool:
    return (await here.health())[0] == 503


async def test_drain_2_an_upgrade_that_never_completes_holds_nothing_up() -> None:
    async with running(QUICK) as here, agent(here, "polling") as one:
        session = one.carrier
        assert isinstance(session, Session)
        async with Here(here.port, PATH, None).probing(session) as probed:
            report = await asyncio.wait_for(here.server.drain(), 30.0)
            await probed.closed()
        assert (report.notified, report.exit_code) == (1, 0)


async def test_drain_3_everyone_on_socket_io_is_told_introduced_or_not() -> None:
    async with running(QUICK) as here, one_by_each_carrier(here, introduce="app_ready") as fleet:
        async with (
            agents(here.ws, "raw") as [raw],
            agent(here, "websocket", introduce="") as unauthenticated,
            agent(here, "polling", introduce="") as page,
        ):
            await page.send("watch")
            await settled(page)
            drain = asyncio.create_task(here.server.drain())
            for one in fleet:
                order = await one.recv_type("terminate_app")
                assert set(order) == {"type", "request_id", "reason"}
                assert order["reason"] == "Server shutting down"
                notice = await one.recv_type("server_shutdown")
                assert notice["reconnectAfter"] >= 5000
                await one.answer(order)
                await one.closes(1000, "Client terminated", sent_away=True)
            await raw.answer(await raw.recv_type("terminate_app"))
            await raw.closed()
            assert "server_shutdown" not in [message["type"] for message in raw.kept]
            for one in (unauthenticated, page):
                await one.recv_type("server_shutdown")
                await one.closes(*GRACEFUL, sent_away=False)
                assert "terminate_app" not in [message["type"] for message in one.kept]
        report = await drain
        assert (report.total, report.acked, report.exit_code) == (4, 4, 0)


async def test_drain_3_each_has_a_terminate_app_of_its_own() -> None:
    async with running() as here, one_by_each_carrier(here, introduce="app_ready") as fleet:
        drain = asyncio.create_task(here.server.drain())
        orders = [await one.recv_type("terminate_app") for one in fleet]
        assert len({order["request_id"] for order in orders}) == len(CARRIERS)
        for one, order in zip(fleet, orders, strict=True):
            await one.answer(order)
        assert (await drain).acked == len(CARRIERS)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_drain_3_a_connection_that_has_not_joined_is_sent_nothing(transport: str) -> None:
    async with running(QUICK) as here, carried(here, transport) as session:
        drain = asyncio.create_task(here.server.drain())
        if isinstance(session, Socket):
            with pytest.raises(ConnectionClosed, match="1001"):
                await session.recv()
        else:
            assert await session.packets() == ["1"]
        await asyncio.wait_for(drain, 30.0)


@each_carrier
async def test_drain_4_an_ack_of_the_event_is_no_answer(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="app_ready") as one:
        drain = asyncio.create_task(here.server.drain())
        order = await one.recv_type("terminate_app")
        await one.packet("430[]")
        await one.beat()
        assert not drain.done()
        await one.answer(order)
        assert (await drain).acked == 1


@each_carrier
async def test_drain_4_progress_asks_for_more_time(carrier: str) -> None:
    settings = {"shutdown": {"timeout": 0.3, "max_extension": 5, "close_timeout": 0.5}}
    async with running(settings) as here, agent(here, carrier, introduce="app_ready") as one:
        began = time.monotonic()
        drain = asyncio.create_task(here.server.drain())
        order = await one.recv_type("terminate_app")
        fields: dict[str, Any] = {"stage": "flushing", "need_ms": 800}
        await one.send("termination_progress", request_id=order["request_id"], **fields)
        await one.closes(*OVERDUE, sent_away=False)
        assert time.monotonic() - began >= 0.75
        assert (await drain).timed_out == 1


@each_carrier
async def test_drain_5_each_at_its_deadline_1001_without_a_disconnect(carrier: str) -> None:
    async with running(QUICK) as here, agent(here, carrier, introduce="app_ready") as one:
        drain = asyncio.create_task(here.server.drain())
        await one.closes(*OVERDUE, sent_away=False)
        report = await drain
        assert (report.timed_out, report.exit_code) == (1, 3)


@pytest.mark.timed
@each_carrier
async def test_drain_5_who_never_said_app_ready_is_notified(carrier: str) -> None:
    settings = {"shutdown": {"timeout": 5, "notice": 0.2, "close_timeout": 0.5}}
    async with running(settings) as here, agent(here, carrier) as one:
        began = time.monotonic()
        drain = asyncio.create_task(here.server.drain())
        await one.closes(*GRACEFUL, sent_away=False)
        assert 0.19 <= time.monotonic() - began < 3
        assert {message["type"] for message in one.kept} == {"terminate_app", "server_shutdown"}
        report = await drain
        assert (report.notified, report.timed_out, report.exit_code) == (1, 0, 0)


async def test_drain_5_a_polling_client_that_does_not_poll_holds_nothing_up() -> None:
    async with running(QUICK) as here, agent(here, "polling"):
        report = await asyncio.wait_for(here.server.drain(), 30.0)
        assert (report.notified, report.exit_code) == (1, 0)


async def test_drain_restart_is_told_first_and_closed_after_the_notice() -> None:
    async with running(RESTART) as here, one_by_each_carrier(here) as fleet:
        began = time.monotonic()
        drain = asyncio.create_task(here.server.drain())
        for one in fleet:
            assert (await one.recv())["type"] == "server_shutdown"
        await turned_away(here, "Server shutting down")
        for one in fleet:
            await one.closes(*GRACEFUL, sent_away=False)
            assert "terminate_app" not in [message["type"] for message in one.kept]
        assert time.monotonic() - began >= 0.19
        report = await drain
        assert (report.intent, report.total, report.exit_code) == ("restart", 3, 0)


@each_carrier
async def test_after_maintenance_agents_come_back(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        here.server.set_maintenance(enabled=True)
        await one.closes(*UNAVAILABLE, sent_away=False)
        here.server.set_maintenance(enabled=False)
        async with agent(here, carrier) as back:
            await back.beat()


@each_carrier
@pytest.mark.parametrize(
    ("code", "reason", "sent_away"),
    [
        (1000, "enough", True),
        (4409, "enough", True),
        (1008, "authentication failed", True),
        (1008, "removed by an operator", True),
        (1008, "authentication timeout", False),
        (1008, "too many errors", False),
        (1008, "too many messages", False),
        (1008, "enough", False),
        (1001, "enough", False),
        (1011, "enough", False),
        (1013, "enough", False),
    ],
)
async def test_over_socketio_only_an_end_for_good_sends_a_disconnect(
    carrier: str, code: int, reason: str, sent_away: bool
) -> None:
    async with running() as here, agent(here, carrier) as one:
        known = here.server.fleet.agent("b-1")
        assert known is not None
        known.send({"type": "note", "n": 1})
        known.close(code, reason)
        await one.closes(code, reason, sent_away=sent_away)
        assert [message["type"] for message in one.kept] == ["note"]


async def test_over_socketio_a_close_of_polling_is_an_engine_io_close_packet() -> None:
    async with running() as here, agent(here, "polling") as one:
        session = one.carrier
        assert isinstance(session, Session)
        known = here.server.fleet.agent("b-1")
        assert known is not None
        async with session.waiting() as poll:
            known.close(1001, "enough")
            assert (await poll.answer()).text == "1"
        await session.is_gone()
