"""Engine.IO over WebSocket from the start."""

import json
from typing import Any

import pytest

from dscore import core
from protocol.support import frame, tcp
from socketio_wire.support import engineio, socketio, websocket

QUICK = {"ping_interval": 300, "ping_timeout": 200}
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="


@pytest.mark.parametrize(
    "packet", ["4hello", "4", "4€ 한국어 😀", "4\x1e4", b"\x01\x02\x03\x04", b"", b"\xff" * 70_000]
)
async def test_what_is_sent_comes_back(packet: str | bytes) -> None:
    async with engineio() as here, here.socket() as one:
        await one.send(packet)
        assert await one.recv() == packet


@pytest.mark.parametrize(
    "data", [b"0{}", b"1", b"2probe", b"3", b"4hi", b"5", b"6", b"b", b"\x04\x01", b"\x01"]
)
async def test_binary_that_begins_like_a_packet_stays_binary(data: bytes) -> None:
    async with engineio() as here, here.socket() as one:
        await one.send(data, "4and on")
        assert await one.recv() == data
        assert await one.recv() == "4and on"


async def test_many_messages_keep_their_order() -> None:
    async with engineio() as here, here.socket() as one:
        sent: list[str | bytes] = [f"4{n}" if n % 3 else f"b{n}".encode() for n in range(2000)]
        await one.send(*sent)
        assert await one.collect(2000) == sent


@pytest.mark.parametrize("packet", ["abc", "", "9", "x", "b!", " 4hello", "\x1e", "-1"])
async def test_a_malformed_packet_ends_the_session(packet: str) -> None:
    async with engineio() as here, here.socket() as one:
        await one.send(packet)
        await one.closed()
        closed = await here.event(core.Closed)
        assert (closed.code, closed.initiator) == (1002, "server")
        assert closed.cause == "protocol_error"


async def test_pings_come_and_pongs_keep_the_session() -> None:
    async with engineio(**QUICK) as here, here.socket() as one:
        for _ in range(3):
            assert await one.recv() == "2"
            await one.send("3")


@pytest.mark.parametrize("server", [engineio, socketio])
async def test_a_session_without_pongs_ends(server: Any) -> None:
    async with server(**QUICK) as here, here.socket() as one:
        await one.closed()
        assert (await here.event(core.Closed)).cause == "ping_timeout"


async def test_traffic_counts_as_a_sign_of_life() -> None:
    # PROTOCOL.md §5.3: any frame counts as life.
    async with engineio(ping_interval=100, ping_timeout=150) as here, here.socket() as one:
        for _ in range(6):
            assert await one.recv() == "2"
            await one.send("4I am here")
            assert await one.recv() == "4I am here"


async def test_a_close_packet_ends_the_session() -> None:
    async with engineio() as here, here.socket() as one:
        await one.send("1")
        await one.closed()
        assert (await here.event(core.Closed)).initiator == "peer"


async def test_what_follows_a_close_packet_is_dropped() -> None:
    async with engineio() as here, here.socket() as one:
        await one.send("4before", "1", "4after")
        await one.closed()
        await here.event(core.Closed)
        messages = [event.data for event in here.events if isinstance(event, core.Message)]
        assert messages == [b"before"]


async def test_a_noop_is_nothing() -> None:
    async with engineio() as here, here.socket() as one:
        await one.send("6", "4hello")
        assert await one.recv() == "4hello"


async def test_a_message_at_the_limit_passes_and_one_byte_more_is_1009() -> None:
    async with engineio(max_message_size=1000) as here, here.socket() as one:
        await one.send("4" + "x" * 999)
        assert await one.recv() == "4" + "x" * 999
        await one.send("4" + "x" * 1000)
        assert await one.closed() == 1009


async def test_the_websockets_own_pings_are_answered() -> None:
    async with engineio() as here, here.socket() as one:
        await (await one.socket.ping(b"4abc"))
        await one.send("4hello")
        assert await one.recv() == "4hello"


async def test_packets_in_the_upgrades_own_segment_are_read() -> None:
    async with engineio() as here, tcp(f"http://127.0.0.1:{here.port}") as one:
        head = (
            f"GET {here.path}?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\n\r\n"
        )
        await one.send(head.encode() + frame(1, b"4hello") + frame(2, b"\x04"))
        assert (await one.head())[0] == 101
        opcode, payload = await one.frame()
        assert (opcode, payload[:1]) == (1, b"0")
        assert json.loads(payload[1:])["upgrades"] == []
        assert await one.frame() == (1, b"4hello")
        assert await one.frame() == (2, b"\x04")


async def test_a_packet_in_fragments_is_one_packet() -> None:
    async with engineio() as here, here.socket() as one:
        await one.socket.send(["4he", "llo", ""])
        assert await one.recv() == "4hello"


async def test_the_server_closes_with_its_code() -> None:
    async with engineio() as here, here.socket() as one:
        conn = (await here.event(core.Opened)).conn
        here.pool.close_connection(conn, 1001, "enough")
        assert await one.closed() == 1001


async def test_another_origin_is_refused_where_origins_are_named() -> None:
    async with engineio(origins=["https://fleet.example"]) as here:
        _ = here.pool
        query = "EIO=4&transport=websocket"
        assert await here.refused(query, {"Origin": "https://evil.example"}) == 403
        fine = {"Origin": "https://fleet.example"}
        async with websocket(here.port, here.path, query, fine) as one:
            assert str(await one.recv())[0] == "0"
