"""Engine.IO 3, as Socket.IO 2 speaks it: lengths in payloads, pings by the client, binary with its
type."""

import asyncio
import base64

import pytest

from dscore import core
from socketio_wire.support import Session, engineio, fetch, join_payload

QUICK = {"ping_interval": 300, "ping_timeout": 200}
BINARY = "application/octet-stream"


def binary_payload(*packets: str | bytes) -> bytes:
    """The binary form: text or not, the length's digits as bytes, 0xff, the packet."""
    body = b""
    for packet in packets:
        data = packet.encode() if isinstance(packet, str) else b"\x04" + packet
        kind = isinstance(packet, bytes)
        body += bytes([kind, *map(int, str(len(data))), 0xFF]) + data
    return body


async def test_the_open_packet_has_its_length() -> None:
    async with engineio() as here:
        answer = await fetch(here.port, "GET", f"{here.path}?EIO=3&transport=polling")
        length, _, packet = answer.text.partition(":")
        assert int(length) == len(packet)
        assert packet[0] == "0"


@pytest.mark.parametrize("server_sends", ["4hello", "4€", "4한국어", "4é", "4😀 two units", "4"])
async def test_lengths_count_characters_and_not_bytes(server_sends: str) -> None:
    units = len(server_sends.encode("utf-16-le")) // 2
    async with engineio() as here:
        session = await here.open(eio=3)
        answer = await session.post(f"{units}:{server_sends}")
        assert (answer.status, answer.text) == (200, "ok")
        answer = await session.poll()
        assert answer.headers["content-type"].lower() == "text/plain; charset=utf-8"
        assert answer.text == f"{units}:{server_sends}"


async def test_lengths_in_characters_find_the_next_packet() -> None:
    packets = ["4한국어", "4😀😀", "4plain", "4é:4:"]
    async with engineio() as here:
        session = await here.open(eio=3)
        await session.say(*packets)
        assert await session.collect(4) == packets


@pytest.mark.parametrize("query", ["&b64=1", "&b64=true"])
async def test_binary_as_text_for_those_who_ask(query: str) -> None:
    async with engineio() as here:
        session = await here.open(eio=3, query=query)
        assert (await session.post("6:4hello10:b4AQIDBA==")).text == "ok"
        assert (await session.poll()).text == "6:4hello10:b4AQIDBA=="


async def test_binary_as_bytes_for_those_who_do_not() -> None:
    async with engineio() as here:
        session = await here.open(eio=3)
        assert (await session.post("6:4hello10:b4AQIDBA==")).text == "ok"
        answer = await session.poll()
        assert answer.headers["content-type"] == BINARY
        assert answer.body == binary_payload("4hello", b"\x01\x02\x03\x04")


async def test_text_beside_binary_has_its_length_in_bytes() -> None:
    async with engineio() as here:
        session = await here.open(eio=3)
        body = binary_payload("4한국어", b"\x01")
        assert (await session.post(body, content_type=BINARY)).text == "ok"
        answer = await session.poll()
        assert answer.headers["content-type"] == BINARY
        assert answer.body == body


@pytest.mark.parametrize(
    "data", [b"0{}", b"1", b"2probe", b"4hi", b"5", b"6", b"b4AQ==", b"\x04\x01", b"\xff\x00", b""]
)
async def test_binary_that_begins_like_a_packet_stays_binary(data: bytes) -> None:
    async with engineio() as here:
        session = await here.open(eio=3)
        await session.post(binary_payload(data), content_type=BINARY)
        assert (await session.poll()).body == binary_payload(data)
        asking = await here.open(eio=3, query="&b64=1")
        packet = "b4" + base64.b64encode(data).decode()
        await asking.say(packet)
        assert await asking.packets() == [packet]
        async with here.socket(eio=3) as one:
            await one.send(b"\x04" + data)
            assert await one.recv() == b"\x04" + data


async def test_a_binary_payload_of_many_packets_keeps_their_order() -> None:
    packets: list[str | bytes] = [f"4{n}" if n % 2 else b"%d" % n for n in range(200)]
    async with engineio() as here:
        session = await here.open(eio=3)
        await session.post(binary_payload(*packets), content_type=BINARY)
        body = b""
        while len(body) < len(binary_payload(*packets)):
            body += (await session.poll()).body
        assert body == binary_payload(*packets)


MALFORMED = [
    b"abc",
    b":4hello",
    b"6:4hell",
    b"5:4hello",
    b"6:9hello",
    b"-1:4",
    b"6x:4hello",
    b"99999999999999999999:4hello",
    b"1:4:",
    b"6",
    b"2:b4\xff",
    b"6:4hell\xff",
    b"8:b4!!!!!!",
]
MALFORMED_BINARY = [
    b"\x02\x01\xff4",
    b"\x00\x01",
    b"\x00\x0a\xff4",
    b"\x00\xff4",
    b"\x00\x05\xff4",
    b"\x00\x02\xff4\xff",
    b"\x01\x01\xff\x09",
    b"\x01" + b"\x09" * 400 + b"\xff\x04",
]


@pytest.mark.parametrize("body", MALFORMED, ids=repr)
async def test_a_malformed_payload_ends_the_session(body: bytes) -> None:
    async with engineio() as here:
        session = await here.open(eio=3)
        assert (await session.post(body)).status == 400
        await session.is_gone()


@pytest.mark.parametrize("body", MALFORMED_BINARY, ids=lambda body: repr(body[:8]))
async def test_a_malformed_binary_payload_ends_the_session(body: bytes) -> None:
    async with engineio() as here:
        session = await here.open(eio=3)
        assert (await session.post(body, content_type=BINARY)).status == 400
        await session.is_gone()


async def test_the_client_pings_and_polling_brings_its_pongs() -> None:
    async with engineio(**QUICK) as here:
        session = await here.open(eio=3)
        for _ in range(3):
            await session.say("2")
            assert (await session.poll()).text == "1:3"


async def test_the_client_pings_over_websocket() -> None:
    async with engineio(**QUICK) as here, here.socket(eio=3) as one:
        for _ in range(3):
            await one.send("2")
            assert await one.recv() == "3"


async def test_the_server_sends_no_pings() -> None:
    async with engineio(ping_interval=50, ping_timeout=2000) as here, here.socket(eio=3) as one:
        with pytest.raises(TimeoutError):
            await one.recv(0.3)


async def test_a_client_that_does_not_ping_is_let_go_in_time() -> None:
    async with engineio(**QUICK) as here:
        session = await here.open(eio=3)
        async with here.socket(eio=3) as one:
            await asyncio.sleep(0.5)  # the very time is the matter here
            assert (await session.post("1:2")).status == 400
            await one.closed()
        causes = {event.cause for event in here.events if isinstance(event, core.Closed)}
        assert causes == {"ping_timeout"} or not here.events


async def test_a_close_packet_ends_the_session_and_frees_its_poll() -> None:
    async with engineio() as here:
        session = await here.open(eio=3)
        async with session.waiting() as poll:
            await session.say("1")
            answer = await poll.answer()
            assert (answer.status, answer.text) == (200, "1:6")
        await session.is_gone()
        async with here.socket(eio=3) as one:
            await one.send("1")
            await one.socket.close()
        await here.empty()


async def test_two_polls_at_once_end_the_session() -> None:
    async with engineio() as here:
        session = await here.open(eio=3)
        async with session.waiting() as first:
            assert (await session.poll()).status == 400
            answer = await first.answer()
            assert (answer.status, answer.text) == (200, "1:1")
        await session.is_gone()


@pytest.mark.parametrize("packet", ["abc", "", "9", b"", b"\x09x", b"4hello"])
async def test_a_malformed_packet_ends_the_websocket(packet: str | bytes) -> None:
    async with engineio() as here, here.socket(eio=3) as one:
        await one.send(packet)
        await one.closed()


async def test_binary_after_the_upgrade_has_its_type() -> None:
    async with engineio() as here:
        session = await here.open(eio=3)
        async with here.upgraded(session) as one:
            await one.send(b"\x04\x01\x02", "4hello")
            assert await one.collect(2) == [b"\x04\x01\x02", "4hello"]


async def test_old_and_new_clients_are_served_side_by_side() -> None:
    async with engineio() as here:
        sessions: list[Session] = [await here.open(eio) for eio in (3, 4, 3, 4)]
        for session in sessions:
            await session.post(join_payload(["4hello"], session.eio))
        for session in sessions:
            assert await session.packets() == ["4hello"]
