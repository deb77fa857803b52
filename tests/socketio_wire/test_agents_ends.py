"""PROTOCOL.md §9 and §10 over Socket.IO: every way a conversation ends, and all that does not end
it."""

import asyncio
import json
from typing import Any

import pytest

from protocol.support import Running, eventually, frame, running, settled
from socketio_wire.agents import PATH, SocketioWire, agent, carried, each_carrier
from socketio_wire.support import Here, Session, Socket, fetch, websocket
from wire import agent as raw_agent

DEEP = "[" * 100_000 + "]" * 100_000
BAD_JSON = ['["x",{broken', '["x",{}', '["x",]', "[nonsense]", '["x",{"n":NaN}]', '["x",{}]{}']
NO_OBJECT = ['["note",1]', '["note","x"]', '["note",null]', '["note",[]]', '["note",true]']
PLACEHOLDER = '{"_placeholder":true,"num":0}'


async def refused(one: SocketioWire, text: str) -> dict[str, Any]:
    await one.send_text(text)
    error = await one.recv()
    assert error["type"] == "error", error
    assert error["message"]
    return dict(error)


def raw_socket(one: SocketioWire) -> Socket:
    assert isinstance(one.carrier, Socket)
    return one.carrier


async def gone(here: Running, name: str = "b-1") -> None:
    async def is_gone() -> bool:
        return name not in here.server.fleet.connected_ids()

    await eventually(is_gone)


@each_carrier
async def test_9_1000_client_terminated(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="app_ready") as one:
        waiting = asyncio.create_task(here.server.fleet.terminate("b-1"))
        await one.answer(await one.recv_type("terminate_app"))
        await one.closes(1000, "Client terminated", sent_away=True)
        await waiting


@each_carrier
async def test_9_1001_when_the_server_closes(carrier: str) -> None:
    settings = {"shutdown": {"close_timeout": 0.5}}
    async with running(settings) as here, agent(here, carrier) as one:
        closing = asyncio.create_task(here.server.close())
        await one.closes(1001, "Server shutting down gracefully", sent_away=False)
        await closing


@pytest.mark.parametrize(
    "packet", ["abc", "9", "4abc", "42{}", '42abc["x"]', "45x-[]", "40", '44{"message":"x"}']
)
@each_carrier
async def test_9_1002_malformed_packets(carrier: str, packet: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        await one.packet(packet)
        if one.has_codes:
            assert (await one.closed())[0] == 1002
        else:
            assert isinstance(one.carrier, Session)
            await gone(here)
            assert (await one.carrier.poll()).status in (200, 400)
        await gone(here)


async def test_9_1002_a_frame_that_breaks_rfc_6455() -> None:
    async with running() as here, agent(here, "websocket") as one:
        raw_socket(one).socket.transport.write(b"\x81\x02{}")
        assert (await one.closed())[0] == 1002


@pytest.mark.parametrize("carrier", ["websocket", "upgraded"])
async def test_9_1003_binary_where_none_is_due(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        await one.packet(b'42["heartbeat",{"clientName":"b-1"}]')
        assert (await one.closed())[0] == 1003


async def test_9_1007_invalid_utf_8() -> None:
    async with running() as here, agent(here, "websocket") as one:
        raw_socket(one).socket.transport.write(frame(1, b'42["x",{"y":"\xff"}]'))
        assert (await one.closed())[0] == 1007


@pytest.mark.parametrize("carrier", ["websocket", "upgraded"])
async def test_9_1009_too_big(carrier: str) -> None:
    settings = {"socket": {"max_message_size": 1000}}
    async with running(settings) as here, agent(here, carrier) as one:
        packet = '42["note",{"x":"%s"}]'
        await one.packet(packet % ("x" * (1000 - len(packet) + 2)))
        await one.beat()
        await one.packet(packet % ("x" * (1001 - len(packet) + 2)))
        assert (await one.closed())[0] == 1009


@each_carrier
async def test_9_1011_ping_timeout(carrier: str) -> None:
    pings = {"ping_interval": 0.15, "ping_timeout": 0.15}
    async with running({"socket": pings}) as here, agent(here, carrier) as one:
        if isinstance(one.carrier, Socket):
            # It reads, and answers no ping.
            assert await one.carrier.closed() == 1011
        await gone(here)


@each_carrier
async def test_9_1011_heartbeat_timeout(carrier: str) -> None:
    settings = {
        "monitoring": {
            "health_check_interval": 0.1,
            "connection_check_interval": 0.1,
            "offline_timeout": 0.5,
        },
    }
    async with running(settings) as here, agent(here, carrier) as one:
        await one.closes(1011, "heartbeat timeout", sent_away=False)
        assert "connection_check" in [message["type"] for message in one.kept]


async def test_9_1013_over_the_limit_of_connections() -> None:
    async with (
        running({"limits": {"connections": 2}}) as here,
        agent(here, "polling", "b-1"),
        agent(here, "websocket", "b-2"),
    ):
        async with websocket(here.port, PATH, "EIO=4&transport=websocket") as late:
            assert await late.closed() == 1013
        answer = await fetch(here.port, "GET", f"{PATH}?EIO=4&transport=polling")
        assert answer.status == 503
        assert (await here.health())[0] == 200


@each_carrier
async def test_9_4409_taken_over(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one, agent(here, carrier) as next_one:
        await one.closes(4409, "taken over", sent_away=True)
        await next_one.beat()
        assert here.server.fleet.connected_ids() == ["b-1"]


@each_carrier
async def test_9_a_disconnect_packet_ends_the_connection(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        await one.packet("41")
        await one.closed()
        await gone(here)


@each_carrier
async def test_9_a_close_packet_ends_the_connection(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        await one.packet("1")
        await gone(here)
        if isinstance(one.carrier, Session):
            await one.carrier.is_gone()
        else:
            await one.closed()


@each_carrier
async def test_9_who_joins_nothing_in_time_is_let_go(carrier: str) -> None:
    settings = {"socket": {"connect_timeout": 0.2}}
    async with running(settings) as here, carried(here, carrier) as session:
        if isinstance(session, Socket):
            await session.closed()
        else:
            assert await session.packets() == ["1"]
            await session.is_gone()


@each_carrier
@pytest.mark.parametrize("text", [*BAD_JSON, f'["x",{DEEP}'], ids=lambda text: text[:16])
async def test_10_an_array_that_is_not_json_is_bad_json(carrier: str, text: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        assert (await refused(one, text))["code"] == "bad_json"
        await one.beat()
        async with agent(here, carrier, "b-2", introduce="") as unauthenticated:
            assert (await refused(unauthenticated, text))["code"] == "bad_json"
            await unauthenticated.beat()


@each_carrier
@pytest.mark.parametrize("text", NO_OBJECT)
async def test_10_an_argument_that_is_no_object_is_bad_json(carrier: str, text: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        assert (await refused(one, text))["code"] == "bad_json"
        await one.beat()


@each_carrier
async def test_10_an_event_carries_one_object(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        error = await refused(one, '["heartbeat",{"clientName":"b-1"},{"x":1}]')
        assert error["code"] == "bad_json"
        # And none is the same as an empty one.
        assert (await refused(one, '["heartbeat"]'))["code"] == "missing_field"
        await one.beat()


@each_carrier
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('["heartbeat",{}]', "missing_field"),
        ('["heartbeat",{"clientName":""}]', "missing_field"),
        ('["heartbeat",{"clientName":7}]', "bad_field"),
        (json.dumps(["heartbeat", {"clientName": "x" * 129}]), "bad_field"),
        ('["app_ready",{"instance_id":"a-1","reconnection":"yes"}]', "bad_field"),
        ('["client_status_request",{}]', "missing_field"),
        ('["watch",{"snapshot":"yes"}]', "bad_field"),
    ],
    ids=lambda value: value[:24],
)
async def test_10_fields_are_checked_and_the_connection_lives_on(
    carrier: str, text: str, code: str
) -> None:
    async with running() as here, agent(here, carrier, introduce="") as one:
        error = await refused(one, text)
        assert error["code"] == code
        assert error["request_type"] == json.loads(text)[0]
        await one.beat()


@each_carrier
async def test_10_the_tenth_error_is_answered_then_1008(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        for _ in range(9):
            await refused(one, "[nonsense]")
        await one.beat()
        await refused(one, '["note",1]')
        await one.closes(1008, "too many errors", sent_away=False)


async def test_10_binary_over_polling_is_an_error_and_it_lives_on() -> None:
    async with running() as here, agent(here, "polling") as one:
        await one.packet("bAQIDBA==")
        assert (await one.recv())["code"] == "bad_json"
        await one.beat()


@each_carrier
async def test_10_bytes_in_a_message_of_the_contract_cost_no_connection(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        binary = "bAQI=" if carrier == "polling" else b"\x01\x02"
        await one.packet(f'451-["heartbeat",{{"clientName":{PLACEHOLDER}}}]', binary)
        assert (await one.recv())["type"] == "error"
        await one.beat()


async def test_10_a_polling_body_over_the_limit_is_413_and_the_end() -> None:
    settings = {"socket": {"max_message_size": 1000}}
    async with running(settings) as here, agent(here, "polling") as one:
        assert isinstance(one.carrier, Session)
        fitting = '42["note",{"x":"' + "x" * 981 + '"}]'
        assert len(fitting) == 1000
        await one.carrier.say(fitting)
        assert (await one.carrier.post("4" + "x" * 1000)).status == 413
        await one.carrier.is_gone()
        await gone(here)


@each_carrier
async def test_10_a_request_id_that_is_unknown_is_ignored(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="app_ready") as one:
        await one.send("app_terminated", request_id="none", status="OK", message="")
        await settled(one)
        assert one.kept == []
        await one.beat()


@each_carrier
async def test_10_an_ack_without_a_request_is_ignored(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        await one.packet("43999[1]", "430[]")
        await one.beat()


@each_carrier
async def test_10_an_agent_that_does_not_read_is_1013_slow_consumer(carrier: str) -> None:
    settings = {"limits": {"outbox_bytes": 65_536}}
    async with running(settings) as here, agent(here, carrier) as one:
        if isinstance(one.carrier, Socket):
            one.carrier.socket.transport.pause_reading()

        async def is_too_slow() -> bool:
            known = here.server.fleet.agent("b-1")
            if known is not None:
                known.send({"type": "note", "padding": "x" * 50_000})
            return here.server.core_stats()["slow_consumers_total"] == 1

        await eventually(is_too_slow)
        if isinstance(one.carrier, Socket):
            one.carrier.socket.transport.resume_reading()
        await gone(here)


async def test_10_no_input_of_one_delays_the_others() -> None:
    async with running() as here, raw_agent(here.ws, "a-1") as raw:
        there = Here(here.port, PATH, None)
        for body in (b"", b"abc", b"\xff", b"4\x1e", b"452-[]", b"42" + DEEP.encode()):
            await (await there.open()).post(body)
        async with agent(here, "polling") as polled, agent(here, "websocket", "b-2") as socket:
            for one in (raw, polled, socket):
                await one.beat()
