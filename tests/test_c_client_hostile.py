"""The C client against servers, health pages and proxies that say what they like."""

import asyncio
import json
from pathlib import Path

import pytest

from c_client import (
    EXACT,
    QUICK,
    SECONDS,
    Driver,
    Event,
    acquainted,
    aside,
    needs_c,
)
from fake_server import FakeServer
from odd_files import KINDS, odd_file
from stream_server import stream_server
from test_agent_dial import proxy
from waiting import wait_until

pytestmark = needs_c


NONSENSE = [
    *("", "[]", "null", "{", "{'type':'a'}", '{"type": 1}', "[" * 100_000, '{"type":"a"} x'),
    *('{"type":"terminate_app"}', '{"type":"terminate_app","request_id":7}'),
    '{"type":"terminate_app","request_id":"' + "r" * 257 + '"}',
    *('{"type":"server_shutdown","reconnectAfter":[]}', '{"type":"app_ready_ack"}'),
    *('{"type":"heartbeat_response"}', '{"type":"heartbeat_response","status":"error"}'),
    *('{"type":"error","code":5}', '{"type":"connection_check","client_name":{}}'),
    *('{"type":"app_ready_ack","nextHeartbeatIn":-1}', '{"type":"x","a":"\\u0000"}'),
]


async def test_nonsense_from_the_server_leaves_no_trace(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            for text in NONSENSE:
                await peer.socket.send(text)
            await peer.send("work", n=1)
            got = await aside(
                agent.until, "message", lambda one: one.get("message", {}).get("type") == "work"
            )
            assert got["message"]["n"] == 1
            assert (await aside(agent.status))["last_close_code"] == 0


async def test_a_flood_of_nonsense_does_not_fill_a_disk(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            for text in ("nonsense", '{"type":"error"}', '{"type":"terminate_app"}'):
                for _ in range(1000):
                    await peer.socket.send(text)
            await peer.send("work", n=1)
            await aside(agent.until_event, "message")

            def lines() -> int:
                return sum("message_" in one for one in list(agent.errors))

            await aside(wait_until, lambda: lines() >= 50, "lines")
            # Fifty in ten seconds, even where it takes thirty to read it all.
            assert lines() <= 200


@pytest.mark.parametrize("part", ["{},", '{"a":0},', "[],", "0,"])
async def test_few_bytes_do_not_become_much_memory(c_build: Path, part: str) -> None:
    """As json-glib reads it, a message of 9 MB would be a gigabyte."""
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await peer.socket.send('{"type":"x","a":[' + part * (9_000_000 // len(part)) + "0]}")
            await aside(agent.until_error, "too many values")
            assert agent.resident_bytes < 40e6
            assert (await aside(agent.status))["last_close_code"] == 0


async def test_what_waits_for_a_loop_that_stands_still_is_bounded_in_memory(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await aside(agent.block)
            for _ in range(10):
                await peer.socket.send('{"type":"x","a":[' + "[]," * 100_000 + "0]}")
            await aside(agent.until_error, "message_dropped")
            assert agent.resident_bytes < 200e6
            await aside(agent.tell, "go on")


async def test_a_flood_of_requests_is_answered_within_measure(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await aside(agent.do, "handle")
            for n in range(1000):
                await peer.send("terminate_app", request_id=f"r-{n}", reason="")
            await peer.send("connection_check", client_name="a-1", expect_response_within=30000)
            await peer.recv_type("connection_check_response")
            await aside(agent.tell, "finish true done")
            # No server hangs up on it, so it ends by itself: nothing more comes.
            said = [message async for message in peer.messages()]
            answers = [one for one in said if one["type"] == "app_terminated"]
            assert [one["request_id"] for one in answers] == [f"r-{n}" for n in range(100)]
            assert (await aside(agent.until_event, "exited"))["code"] == 0


async def test_a_server_that_does_not_read_is_bounded(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, "outbox_limit=100")
        with agent:
            peer.socket.transport.pause_reading()
            text = json.dumps({"type": "work", "text": "a" * 100_000})

            def until_dropped() -> Event:
                for _ in range(300):
                    agent.tell("send " + text)
                return agent.until_status(lambda one: one["dropped"] > 0, "drop")

            status = await aside(until_dropped)
            assert status["queued"] == 100
            assert agent.resident_bytes < 40e6
            assert status["state"] == "ready"


HUGE = b"HTTP/1.1 101 Switching Protocols\r\nx: " + b"a" * 200_000
REFUSALS = [
    (b"", "closed the connection during the upgrade"),
    (b"SSH-2.0-dropbear\r\n\r\n", "no HTTP"),
    (b"HTTP/1.1 404 Not Found\r\n\r\n", "is this the address for agents"),
    (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP 200 instead of a WebSocket"),
    (b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "Accept"),
    (b"HTTP/1.1 101 x\r\n\r\n", "does not upgrade"),
    (HUGE, "too long"),
    (b"HTTP/1.1 101 x\r\n" + b"a\0b: c\r\n\r\n", "cannot be read"),
]


@pytest.mark.parametrize(("answer", "words"), REFUSALS)
async def test_a_hostile_upgrade_is_an_attempt_that_failed(
    c_build: Path, answer: bytes, words: str
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with stream_server(refuse) as port:
        settings = (f"url=ws://127.0.0.1:{port}", "health_check_enabled=false", *EXACT)
        with Driver(c_build, *settings) as agent:
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["retry_in"] == 1
            await aside(agent.until_error, words)


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'9;x=y\r\n{"status"\r\n5\r\n:"ok"\r\n1\r\n}\r\n0\r\n\r\n'
)
PAGES = [
    (b"", "unreachable"),
    (b"nonsense\r\n\r\n", "unreachable"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!", "unreachable"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "unreachable"),
    (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * (17 * 1024 * 1024), "unreachable"),
    (b'HTTP/1.1 503 x\r\n\r\n{"status":"shutting_down"}', "shutting_down"),
    (CHUNKED, "ok"),
]


@pytest.mark.parametrize(("answer", "health"), PAGES)
async def test_a_hostile_health_page(c_build: Path, answer: bytes, health: str) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with stream_server(page) as port:
        with Driver(c_build, f"url=ws://127.0.0.1:{port}", *EXACT) as agent:
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["health"] == health


async def test_a_health_page_that_trickles_in_has_one_timeout_for_all_of_it(c_build: Path) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    async with stream_server(trickle) as port:
        settings = (f"url=ws://127.0.0.1:{port}", "health_check_timeout_sec=0.5", *EXACT)
        with Driver(c_build, *settings) as agent:
            assert (await aside(agent.until_state, "waiting"))["health"] == "unreachable"
            await aside(agent.until_error, "no answer within 0.5 s")


async def test_a_proxy_that_refuses_is_an_attempt_that_failed(c_build: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Who are you\r\n\r\n")
        await writer.drain()

    async with stream_server(refuse) as port:
        settings = ("url=ws://fleet.test", f"proxy=http://127.0.0.1:{port}", *EXACT)
        with Driver(c_build, *settings) as agent:
            assert (await aside(agent.until_state, "waiting"))["retry_in"] == 1
            await aside(agent.until_error, "proxy")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x82\x01a", 1003),
        (b"\xc1\x00", 1002),
        (b"\x81\x81\0\0\0\0a", 1002),
        (b"\x81\x01\xff", 1007),
        (b"\x81\x7f\0\0\0\0\x7f\xff\xff\xff", 1009),
        (b"\x01\x00" + b"\x00\x00" * 5000, 1008),
        (b"\x88\x02\x03\xee", 1002),
    ],
)
async def test_frames_that_break_the_rules_end_it_with_the_code_that_says_so(
    c_build: Path, frame: bytes, code: int
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *EXACT)
        with agent:
            peer.socket.transport.write(frame)
            assert (await peer.closed())[0] == code
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["last_close_code"] in (1006, code)


async def test_pings_are_answered_and_a_flood_of_them_is_bounded(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await asyncio.wait_for(await peer.socket.ping(b"one"), SECONDS)
            peer.socket.transport.pause_reading()
            for n in range(40_000):
                peer.socket.transport.write(b"\x89\x7d" + n.to_bytes(4, "big") + b"p" * 121)
                if n % 500 == 0:
                    await asyncio.sleep(0)
            await peer.send("work", n=1)
            await aside(agent.until_event, "message")
            assert agent.resident_bytes < 30e6
            peer.socket.transport.resume_reading()
            assert (await aside(agent.status))["last_close_code"] == 0


async def test_what_stands_where_a_token_stood_neither_blocks_nor_fills_the_memory(
    c_build: Path, tmp_path: Path
) -> None:
    """As the Python agent: test_agent_identity."""
    token = tmp_path / "token"
    token.write_text("one\n")
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *QUICK, f"token_file={token}")
        with agent:
            for kind in KINDS:
                token.unlink()
                token.symlink_to(odd_file(tmp_path, kind))
                peer.cut()
                peer = await server.acquaint()
                assert peer.introduction["token"] == "one"
            said = [line for line in agent.errors if "credentials_unreadable" in line]
            assert ["regular file" in line for line in said] == [True, True, True, False]
            assert "it has more than 65536 bytes" in said[3]
            assert agent.resident_bytes < 40e6


async def test_a_proxy_connects_health_page_and_websocket(c_build: Path) -> None:
    async with proxy() as one, FakeServer() as server:
        settings = (f"url=ws://fleet.test:{server.port}", f"proxy=http://me:p%40ss@{one.address}")
        with Driver(c_build, *settings) as agent:
            await server.acquaint()
            await aside(agent.until_state, "ready")
            assert await aside(agent.close) == 0
    assert [head.split()[1] for head in one.heads] == [f"fleet.test:{server.port}"] * 2
    assert "Basic bWU6cEBzcw==" in one.heads[0]
