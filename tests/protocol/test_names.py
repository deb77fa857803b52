"""PROTOCOL.md §2: blanks at the ends of agent ids, control characters in them, and lone surrogates,
over both dialects."""

import asyncio
from typing import Any

import pytest

import dscore
from protocol.support import eventually, frame, running, settled, upgraded
from socketio_wire.agents import SocketioWire, agent, each_carrier
from wire import agent as raw_agent

BLANKS = ["{} ", " {}", "\u3000{}\t", "\r\n{}\u2028"]
each_blank = pytest.mark.parametrize("blank", BLANKS, ids=ascii)


class Listening(dscore.Policy):
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
        self.heard.append(message)
        return message

    def authenticate(self, candidate: dscore.Candidate) -> bool:
        self.heard.append({"auth": dict(candidate.auth), "id": candidate.agent_id})
        return True


@each_blank
async def test_2_blanks_at_the_ends_of_an_id_are_removed_in_the_raw_dialect(blank: str) -> None:
    named = blank.format("a-1")
    async with running() as here, raw_agent(here.ws, named) as one:
        assert here.server.fleet.connected_ids() == ["a-1"]
        for name in ("a-1", named):
            await one.send("heartbeat", clientName=name)
            assert (await one.recv())["type"] == "heartbeat_response"
            await one.send("connection_check_response", client_name=name)
            await one.send("app_ready", instance_id=name)
            assert (await one.recv_type("app_ready_ack"))["status"] == "ok"
            await one.send("reconnection_success", clientName=name)
            await one.send("client_status_request", clientName=name)
            answer = await one.recv_type("server_status_response")
            assert answer["clientStatus"] == "online"
        assert one.kept == []
        async with raw_agent(here.ws, "a-1"):
            assert await one.closed() == (4409, "taken over")


@each_carrier
@each_blank
async def test_2_blanks_at_the_ends_of_an_id_are_removed_over_socketio(
    carrier: str, blank: str
) -> None:
    named = blank.format("b-1")
    async with running() as here, agent(here, carrier, introduce="") as one:
        for name in (named, "b-1", named):
            await one.send("heartbeat", clientName=name)
            assert (await one.recv())["type"] == "heartbeat_response"
        await one.send("app_ready", instance_id=named)
        await one.recv_type("app_ready_ack")
        assert here.server.fleet.connected_ids() == ["b-1"]
        known = here.server.fleet.agent(named)
        assert known is not None
        assert (await here.pages.get("/deepstream/health", params={"instance_id": named})).json()[
            "instance_connected"
        ] is True


@pytest.mark.parametrize("kind", ["app_ready", "heartbeat", "reconnection_success"])
async def test_2_a_control_character_in_an_id_is_bad_field(kind: str) -> None:
    field = "instance_id" if kind == "app_ready" else "clientName"
    async with running() as here, raw_agent(here.ws, "", introduce=False) as one:
        for name in ("a\x00", "\x1ca", "a\nb", "a\x7f", "\x85a\x9f"):
            await one.send(kind, **{field: name})
            assert (await one.recv())["code"] == "bad_field"
        await one.send(kind, **{field: " \u3000"})
        assert (await one.recv())["code"] == "missing_field"
        assert here.server.fleet.connected_ids() == []


async def test_2_so_it_is_on_an_introduced_connection() -> None:
    async with running() as here, raw_agent(here.ws, "a-1") as one:
        await one.send("heartbeat", clientName="a-1\x00")
        assert (await one.recv())["code"] == "bad_field"
        await one.send("heartbeat", clientName="a-2 ")
        assert (await one.recv())["code"] == "wrong_id"
        await one.beat()


async def test_2_a_lone_surrogate_is_read_as_u_fffd_in_the_raw_dialect() -> None:
    policy = Listening()
    async with running(policy=policy) as here, upgraded(here.ws) as one:
        text = '{"type":"app_ready","instance_id":"a\\ud800","config":{"x":"\\udc00"}}'
        await one.send(_framed(text))
        await one.message("app_ready_ack")
        assert here.server.fleet.connected_ids() == ["a\ufffd"]
        await one.send(_framed('{"type":"heartbeat","clientName":"a\\udfff"}'))
        await one.message("heartbeat_response")
        await one.send(_framed('{"type":"note","\\ud800":["\\ud83d\\ude00\\ud83d"]}'))

        async def is_heard() -> bool:
            return policy.heard[-1] == {"type": "note", "\ufffd": ["\U0001f600\ufffd"]}

        await eventually(is_heard)


@each_carrier
async def test_2_a_lone_surrogate_is_read_as_u_fffd_over_socketio(carrier: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here:
        joining = agent(here, carrier, introduce="", auth='{"token":"\\ud800","x":"\\udc00"}')
        async with joining as one:
            await one.send_text('["heartbeat",{"clientName":"b\\ud800"}]')
            await one.recv_type("heartbeat_response")
            assert policy.heard == [{"auth": {"token": "\ufffd", "x": "\ufffd"}, "id": "b\ufffd"}]
            await one.send_text('["no\\ud800te",{"a":"\\udc00"}]')
            await settled(one)
            assert policy.heard[-1] == {"type": "no\ufffdte", "a": "\ufffd"}
            assert await _asked(here.server, one) == "\ufffd"


async def _asked(server: dscore.Server, one: SocketioWire) -> Any:
    """What an agent's ack is read as."""
    known = server.fleet.agent("b\ufffd")
    assert known is not None
    waiting = asyncio.ensure_future(known.request("ask", {}))
    while not str(packet := await one._packet(10)).startswith("42"):
        pass
    number = str(packet)[2 : str(packet).index("[")]
    await one.packet(f'43{number}["\\ud800"]')
    return await waiting


def _framed(text: str) -> bytes:
    return frame(1, text.encode())
