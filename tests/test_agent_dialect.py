"""Both dialects: bytes of messages, and an agent that speaks Socket.IO."""

import asyncio
from typing import Any

import pytest

from dscore_agent import Agent, Exit, State, conversation
from dscore_agent.dialect import Packet, RawDialect, SocketIoDialect
from fake_server import FakeServer, until

WORK = {"type": "work", "n": 1}


def test_the_raw_dialect_is_json_with_a_type() -> None:
    dialect = RawDialect()
    assert dialect.encode(WORK) == b'{"type":"work","n":1}'
    assert dialect.decode(b'{"type": "work", "n": 1}') == Packet(WORK)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"type": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_raw_message_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        RawDialect().decode(text)


def test_a_socketio_message_is_an_event_with_its_type_for_a_name() -> None:
    dialect = SocketIoDialect()
    assert dialect.encode(WORK) == b'42["work",{"n":1}]'
    assert dialect.encode({"type": "work"}) == b'42["work",{}]'
    assert dialect.decode(b'42["work",{"n":1}]') == Packet(WORK)
    assert dialect.decode(b'42["work"]') == Packet({"type": "work"})
    # With the number of an ack that is wanted, and with a field that would hide the event's name.
    assert dialect.decode(b'4217["work",{"n":1,"type":"terminate_app"}]') == Packet(WORK)


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        (b'0{"sid":"e"}', Packet(reply=b'40{"token":"s3cret"}')),
        (b'40{"sid":"s"}', Packet(begins=True)),
        (b"2", Packet(reply=b"3")),
        (b"2probe", Packet(reply=b"3probe")),
        (b"6", Packet()),
        (b"1", Packet(ends="the server closes")),
        (b"41", Packet(ends="the server disconnects")),
        (b'44{"message":"no"}', Packet(ends='the server refuses: {"message":"no"}')),
    ],
)
def test_the_packets_around_the_events(text: bytes, packet: Packet) -> None:
    assert SocketIoDialect(lambda: "s3cret").decode(text) == packet


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"3", b"4", b"5", b"9", b"x", b"43[]", b"45", b"42", b"42{}", b"42[]", b"42[1]"),
        *(b'42["a",1]', b'42["a",{},{}]', b'42/ns,["a",{}]', b"42\xff", b"42" + b"[" * 100_000),
    ],
)
def test_what_is_no_packet_for_a_client_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        SocketIoDialect().decode(text)


async def test_over_socketio_it_introduces_itself_works_and_stops_when_asked() -> None:
    got: list[Any] = []
    async with FakeServer(dialect="socketio") as server:
        agent = Agent(server.config(token="s3cret"), on_message=got.append)
        running = asyncio.ensure_future(agent.run())
        peer = await server.acquaint()
        assert peer.auth == '{"token":"s3cret"}'
        assert (peer.introduction["instance_id"], peer.introduction["token"]) == ("a-1", "s3cret")
        await until(lambda: agent.state is State.READY, "ack")
        await peer.socket.send("2")
        assert await peer.recv_text() == "3"
        await peer.send("connection_check", client_name="a-1")
        assert await peer.recv() == {"type": "connection_check_response", "client_name": "a-1"}
        await peer.send("work", n=1)
        await until(lambda: got == [WORK], "message")
        assert agent.send(WORK)
        assert await peer.recv() == WORK
        await peer.send("terminate_app", request_id="r-1", reason="")
        assert (await peer.recv())["status"] == "OK"
        # The contract's close of an agent that is done: DISCONNECT, then the code.
        await peer.socket.send("41")
        await peer.close(1000, "Client terminated")
        assert await asyncio.wait_for(running, 10) == Exit.STOPPED


@pytest.mark.parametrize("words", ["41", "1", '44{"message":"Unauthorized"}'])
async def test_a_dismissal_ends_the_connection_and_its_close_code_counts(words: str) -> None:
    async with FakeServer(dialect="socketio") as server:
        agent = Agent(server.config())
        running = asyncio.ensure_future(agent.run())
        peer = await server.acquaint()
        await peer.socket.send(words)
        await peer.close(4409, "taken over")
        await until(lambda: agent.status.last_close_code == 4409, "end of the connection")
        await agent.close()
        assert await running == Exit.STOPPED


async def test_dismissed_without_a_close_it_closes_itself_and_comes_back() -> None:
    async with FakeServer(dialect="socketio") as server:
        agent = Agent(server.config())
        running = asyncio.ensure_future(agent.run())
        peer = await server.acquaint()
        await peer.socket.send("41")
        assert await peer.closed() == (1000, "dismissed")
        again = (await server.acquaint()).introduction
        assert (again["reconnection"], again["last_close_code"]) == (True, 1000)
        await agent.close()
        await running


async def test_a_server_that_does_not_invite_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "INVITATION_SECONDS", 0.05)
    async with FakeServer(dialect="socketio", invites=False) as server:
        agent = Agent(server.config())
        running = asyncio.ensure_future(agent.run())
        assert await (await server.accept()).closed() == (1000, "no invitation")
        await agent.close()
        await running
