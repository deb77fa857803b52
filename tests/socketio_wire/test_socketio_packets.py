"""Socket.IO packets on the bare core: namespaces, events, acks, attachments; both transports."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest

from dscore import core
from socketio_wire.support import Here, Session, Socket, socketio

QUICK = {"ping_interval": 300, "ping_timeout": 200, "connect_timeout": 1000}
TWO = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


class Client(Protocol):
    async def send(self, *packets: str | bytes) -> None: ...
    async def collect(self, count: int) -> list[str | bytes]: ...
    async def ends(self) -> None: ...


class Talking(Socket):
    async def ends(self) -> None:
        await self.closed()


class Polled:
    """The same over polling, binary as bytes."""

    def __init__(self, session: Session) -> None:
        self.session = session

    async def send(self, *packets: str | bytes) -> None:
        await self.session.post("\x1e".join(map(as_text, packets)))

    async def collect(self, count: int) -> list[str | bytes]:
        return [as_packet(one) for one in await self.session.collect(count)]

    async def ends(self) -> None:
        while (answer := await self.session.poll()).status == 200:
            assert answer.text
        assert answer.code == 1


def as_text(packet: str | bytes) -> str:
    return packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode()


def as_packet(text: str) -> str | bytes:
    return base64.b64decode(text[1:]) if text.startswith("b") else text


@asynccontextmanager
async def client(here: Here, transport: str) -> AsyncIterator[Client]:
    if transport == "polling":
        yield Polled(await here.open())
    else:
        async with here.socket() as one:
            yield Talking(one.socket)


@asynccontextmanager
async def joined(here: Here, transport: str) -> AsyncIterator[Client]:
    """In "/", the server's greeting read."""
    async with client(here, transport) as one:
        await one.send("40")
        await one.collect(2)
        yield one


both = pytest.mark.parametrize("transport", ["websocket", "polling"])


@both
@pytest.mark.parametrize("namespace", ["/", "/custom"])
@pytest.mark.parametrize("auth", ["", "{}", '{"token":"123"}', '{"n":{"a":[1,"x"]}}'])
async def test_a_client_joins_with_its_auth(transport: str, namespace: str, auth: str) -> None:
    where = "" if namespace == "/" else f"{namespace},"
    async with socketio() as here, client(here, transport) as one:
        await one.send(f"40{where}{auth}")
        welcome, greeting = await one.collect(2)
        assert isinstance(welcome, str)
        assert welcome.startswith(f"40{where}")
        assert set(json.loads(welcome[2 + len(where) :])) == {"sid"}
        assert greeting == f'42{where}["auth",{auth or "{}"}]'


@both
async def test_joining_is_told_once_for_each_namespace(transport: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send('40/custom,{"a":1}')
        first = await here.event(core.Connected)
        second = await here.event(core.Connected)
        assert (first.namespace, first.auth) == ("/", b"{}")
        assert (second.namespace, json.loads(second.auth)) == ("/custom", {"a": 1})
        assert first.conn == second.conn


async def test_a_sid_of_socket_io_is_not_that_of_the_session() -> None:
    # The one must be of no use for a poll.
    async with socketio() as here, here.socket() as one:
        await one.send("40")
        welcome = str(await one.recv())
        assert json.loads(welcome[2:])["sid"] != one.opened["sid"]


@both
@pytest.mark.parametrize("packet", ["40/random", "40/random,", '40/random,{"token":"x"}'])
async def test_an_unknown_namespace_is_refused_and_the_connection_stays(
    transport: str, packet: str
) -> None:
    async with socketio() as here, client(here, transport) as one:
        await one.send(packet)
        assert await one.collect(1) == ['44/random,{"message":"Invalid namespace"}']
        await one.send("40")
        assert str((await one.collect(2))[1]) == '42["auth",{}]'


@both
async def test_joining_without_the_comma_is_joining(transport: str) -> None:
    async with socketio() as here, client(here, transport) as one:
        await one.send("40/custom")
        welcome, greeting = await one.collect(2)
        assert str(welcome).startswith('40/custom,{"sid":')
        assert greeting == '42/custom,["auth",{}]'


@both
async def test_leaving_the_main_namespace_keeps_the_transport(transport: str) -> None:
    async with socketio(**QUICK) as here, joined(here, transport) as one:
        await one.send("41")
        # Two pings are answered in here, and nothing ends.
        await one.send("40")
        assert str((await one.collect(2))[0]).startswith('40{"sid":')
        assert (await here.event(core.Left)).namespace == "/"


@both
async def test_leaving_one_namespace_leaves_the_other(transport: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send("40/custom")
        await one.collect(2)
        await one.send("41/custom")
        await one.send('42["message","message to main namespace"]')
        assert await one.collect(1) == ['42["message-back","message to main namespace"]']
        assert (await here.event(core.Left)).namespace == "/custom"


@both
async def test_a_client_that_joins_nothing_is_let_go(transport: str) -> None:
    async with socketio(connect_timeout=200) as here, client(here, transport) as one:
        await one.ends()
        await here.empty()


@both
async def test_a_client_refused_everywhere_is_let_go(transport: str) -> None:
    async with socketio(connect_timeout=300) as here, client(here, transport) as one:
        await one.send("40/random")
        await one.ends()


@both
async def test_a_client_that_joined_in_time_stays(transport: str) -> None:
    async with (
        socketio(connect_timeout=100, ping_interval=60, ping_timeout=5000) as here,
        client(here, transport) as one,
    ):
        await one.send("40/custom")
        await one.collect(2)
        if isinstance(one, Talking):
            for _ in range(4):
                assert await one.recv() == "2"
                await one.send("3")
        else:
            assert isinstance(one, Polled)
            for _ in range(4):
                assert await one.session.packets() == ["2"]
                await one.send("3")


@both
@pytest.mark.parametrize(
    "args",
    [
        '1,"2",{"3":[true]}',
        "null",
        '"한국어 😀 \\u0000"',
        '{"_placeholder":false}',
        "[[],{}]",
        "-0.5,1e300",
        '"' + "x" * 100_000 + '"',
    ],
    ids=lambda args: args[:20],
)
async def test_an_event_comes_back_with_all_its_arguments(transport: str, args: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send(f'42["message",{args}]')
        [packet] = await one.collect(1)
        assert isinstance(packet, str)
        assert json.loads(packet[2:]) == ["message-back", *json.loads(f"[{args}]")]


@both
@pytest.mark.parametrize("where", ["", "/custom,"])
async def test_attachments_come_back_in_order(transport: str, where: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send("40/custom")
        await one.collect(2)
        await one.send(f'452-{where}["message",{TWO}]', b"\x01\x02\x03", b"\x04\x05\x06")
        head, *attachments = await one.collect(3)
        assert head == f'452-{where}["message-back",{TWO}]'
        assert attachments == [b"\x01\x02\x03", b"\x04\x05\x06"]


@both
@pytest.mark.parametrize("data", [b"", b"4x", b"2", b"1", b"b", b"\x00" * 70_000])
async def test_attachments_are_any_bytes(transport: str, data: bytes) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send('451-["message",{"_placeholder":true,"num":0}]', data)
        assert (await one.collect(2))[1] == data


@both
@pytest.mark.parametrize("ack", ["0", "1", "456", "9007199254740991"])
@pytest.mark.parametrize("where", ["", "/custom,"])
async def test_an_ack_has_the_id_it_was_asked_for(transport: str, ack: str, where: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send("40/custom")
        await one.collect(2)
        await one.send(f'42{where}{ack}["message-with-ack",1,"2",{{"3":[false]}}]')
        assert await one.collect(1) == [f'43{where}{ack}[1,"2",{{"3":[false]}}]']


@both
async def test_an_ack_with_attachments(transport: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send(f'452-789["message-with-ack",{TWO}]', b"\x01\x02\x03", b"\x04\x05\x06")
        head, *attachments = await one.collect(3)
        assert head == f"462-789[{TWO}]"
        assert attachments == [b"\x01\x02\x03", b"\x04\x05\x06"]


@both
async def test_the_server_asks_and_the_client_acks(transport: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        conn = (await here.event(core.Connected)).conn
        here.pool.send_event(conn, b'["ask",1]', id=7)
        assert await one.collect(1) == ['427["ask",1]']
        await one.send('437["yes",{"n":1}]')
        reply = await here.event(core.Reply)
        assert (reply.conn, reply.id, reply.namespace) == (conn, 7, "/")
        assert json.loads(reply.data) == ["yes", {"n": 1}]
        here.pool.send_event(
            conn, b'["ask",{"_placeholder":true,"num":0}]', id=8, attachments=[b"?"]
        )
        assert await one.collect(2) == ['451-8["ask",{"_placeholder":true,"num":0}]', b"?"]
        await one.send('461-8[{"_placeholder":true,"num":0}]', b"!")
        reply = await here.event(core.Reply)
        assert (reply.id, reply.attachments) == (8, [b"!"])


@both
async def test_nothing_is_sent_in_a_namespace_before_it_is_joined(transport: str) -> None:
    async with socketio() as here, client(here, transport) as one:
        conn = (await here.event(core.Opened)).conn
        here.pool.send_event(conn, b'["early"]')
        here.pool.read_last_seen()  # commands are obeyed in order, but not before sockets are read
        await here.event(core.LastSeen)
        await one.send("40")
        welcome, greeting = await one.collect(2)
        assert str(welcome).startswith("40")
        here.pool.send_event(conn, b'["elsewhere"]', namespace="/custom")
        assert greeting == '42["auth",{}]'
        await one.send('42["message"]')
        assert await one.collect(1) == ['42["message-back"]']


@both
async def test_nothing_is_sent_in_a_namespace_after_it_was_left(transport: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send("40/custom")
        await one.collect(2)
        await one.send("41/custom")
        conn = (await here.event(core.Left)).conn
        here.pool.send_event(conn, b'["late"]', namespace="/custom")
        await one.send('42["message"]')
        assert await one.collect(1) == ['42["message-back"]']


ENDING = [
    "4abc",
    "47[]",
    "4-1",
    "42{}",
    '42"message"',
    "42",
    "42[]",
    "42[null]",
    '42[{"a":1}]',
    '42abc["message-with-ack",1]',
    '42["connect"]',
    '42["disconnect"]',
    '42["connect_error"]',
    '42["disconnecting"]',
    '42["newListener"]',
    '42["removeListener"]',
    '421.5["message"]',
    '42-1["message"]',
    '4299999999999999999999["message"]',
    "43{}",
    "43",
    '44{"message":"x"}',
    '45["message"]',
    '45-["message"]',
    '45x-["message"]',
    '45-1-["message"]',
    '45257-["message"]',
    '4599999999999999999999-["message"]',
    "40[]",
    '40"x"',
    "40{",
    '42/elsewhere,["message"]',
    "41/elsewhere",
    '42/custom["message"]',
    "40/" + "x" * 10_000,
]


@both
@pytest.mark.parametrize("packet", ENDING, ids=lambda packet: packet[:24])
async def test_a_malformed_packet_ends_the_connection(transport: str, packet: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send(packet)
        await one.ends()
        closed = await here.event(core.Closed)
        assert (closed.code, closed.initiator) == (1002, "server")


@both
@pytest.mark.parametrize("packet", ['42["message"]', "41", "430[]"])
async def test_a_client_that_has_joined_nothing_is_not_heard(transport: str, packet: str) -> None:
    async with socketio() as here, client(here, transport) as one:
        await one.send(packet)
        await one.ends()


@both
async def test_joining_twice_ends_the_connection(transport: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send("40")
        await one.ends()


@both
async def test_text_while_attachments_are_due_ends_the_connection(transport: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send(f'452-["message",{TWO}]', b"\x01", '42["message"]')
        await one.ends()


async def test_pings_may_come_between_attachments() -> None:
    async with socketio(ping_interval=100, ping_timeout=5000) as here, here.socket() as one:
        await one.send("40")
        await one.collect(2)
        await one.send(f'452-["message",{TWO}]', b"\x01")
        assert await one.recv() == "2"
        await one.send("3", b"\x02")
        assert await one.collect(3) == [f'452-["message-back",{TWO}]', b"\x01", b"\x02"]


@both
async def test_unannounced_binary_ends_the_connection(transport: str) -> None:
    async with socketio() as here, joined(here, transport) as one:
        await one.send(b"\x01\x02")
        await one.ends()


@both
async def test_an_event_whose_attachments_never_come_is_no_event(transport: str) -> None:
    async with socketio() as here:
        async with joined(here, transport) as one:
            await one.send(f'452-["message",{TWO}]', b"\x01")
            if isinstance(one, Polled):
                await one.session.say("1")
        await here.event(core.Closed)
        assert not [event for event in here.events if isinstance(event, core.Message)]


@both
async def test_each_attachment_may_be_as_big_as_a_message(transport: str) -> None:
    async with socketio(max_message_size=9000) as here, joined(here, transport) as one:
        # Over polling the limit is the body's: base64 adds a third.
        sizes = [9000, 9000] if transport == "websocket" else [6000, 6000]
        await one.send(f'452-["message",{TWO}]')
        for size in sizes:
            await one.send(b"x" * size)
        assert [len(packet) for packet in (await one.collect(3))[1:]] == sizes


async def test_socket_io_4_joins_the_main_namespace_by_itself() -> None:
    # Socket.IO 2 clients, which speak EIO3, never ask for "/".
    async with socketio(connect_timeout=200) as here, here.socket(eio=3) as one:
        assert await one.recv() == "40"
        assert await one.recv() == '42["auth",{}]'
        await one.send('42["message",1]')
        assert await one.recv() == '42["message-back",1]'
        await one.send("40/custom,")
        assert await one.recv() in ("40/custom,", "40/custom")
        assert await one.recv() == '42/custom,["auth",{}]'


async def test_socket_io_4_over_polling() -> None:
    async with socketio() as here:
        session = await here.open(eio=3)
        assert await session.collect(2) == ["40", '42["auth",{}]']
        await session.say('42["message","한국어 😀"]')
        assert await session.packets() == ['42["message-back","한국어 😀"]']


async def test_socket_io_4_is_refused_an_unknown_namespace() -> None:
    async with socketio() as here, here.socket(eio=3) as one:
        await one.collect(2)
        await one.send("40/random,")
        assert str(await one.recv()).startswith("44/random,")


@pytest.mark.parametrize("query", ["?token=abc", "?token=abc&x=%201"])
async def test_socket_io_4_carries_auth_in_the_namespaces_query(query: str) -> None:
    async with socketio() as here, here.socket(eio=3) as one:
        await one.collect(2)
        await one.send(f"40/custom{query},")
        welcome: Any = await one.recv()
        assert welcome in ("40/custom,", "40/custom")
        assert str(await one.recv()).startswith('42/custom,["auth",')
