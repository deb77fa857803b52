"""The C client comes back by the table of PROTOCOL §7: each row, hints, what stands in the way."""

import asyncio
from pathlib import Path

import pytest

from c_client import (
    EXACT,
    QUICK,
    Driver,
    acquainted,
    aside,
    needs_c,
    scripted,
)
from fake_server import FakeServer, until
from stream_server import stream_server

pytestmark = needs_c


@pytest.mark.parametrize(
    ("code", "reason", "seconds"),
    [
        (1001, "Server shutting down gracefully", 5),
        (1001, "Server shutdown timeout", 5),
        (1013, "Server shutting down", 10),
        (1013, "Server temporarily unavailable", 10),
        (1000, "", 1),
        (1002, "", 1),
        (1008, "authentication timeout", 1),
        (1011, "heartbeat timeout", 1),
        (4000, "", 1),
        (4409, "taken over", 300),
        (1008, "authentication failed", 300),
    ],
)
async def test_reconnect_7_the_delay_for_each_close_code(
    c_build: Path, code: int, reason: str, seconds: float
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *EXACT)
        with agent:
            await peer.close(code, reason)
            # RFC 6455 §5.5.1: 1013 is echoed as 1013, 4409 as 4409.
            assert peer.socket.protocol.close_rcvd is not None
            assert peer.socket.protocol.close_rcvd.code == code
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["retry_in"] == seconds
            assert (waiting["last_close_code"], waiting["last_close_reason"]) == (code, reason)
            assert waiting["server_shutting_down"] == (code in (1001, 1013))


async def test_reconnect_7_does_not_come_back_after_a_final_close(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await peer.close(1000, "Client terminated")
            assert (await aside(agent.until_event, "exited"))["code"] == 0


@pytest.mark.parametrize(
    ("hint", "seconds"), [(7250, 7.25), (0, 1), (1e300, 3600), ("5000", 5), (None, 5), (True, 5)]
)
async def test_reconnect_7_the_server_s_hint_wins(
    c_build: Path, hint: object, seconds: float
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *EXACT)
        with agent:
            await peer.send("server_shutdown", message="", reconnectAfter=hint)
            await peer.close(1001)
            assert (await aside(agent.until_state, "waiting"))["retry_in"] == seconds


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("Retry-After: 42", ""),
        ("retry-after:42", ""),
        ("Retry-After: 42", '{"status":"shutting_down"}'),
    ],
)
async def test_reconnect_7_retry_after_is_a_hint(c_build: Path, field: str, body: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 503 Busy\r\n{field}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(f"{head}{body}".encode())
        await writer.drain()

    async with stream_server(refuse) as port:
        for checks in ("false", "true"):
            settings = (f"url=ws://127.0.0.1:{port}", f"health_check_enabled={checks}", *EXACT)
            with Driver(c_build, *settings) as agent:
                assert (await aside(agent.until_state, "waiting"))["retry_in"] == 42


async def test_reconnect_7_a_close_without_a_code_is_1005_and_anything_else(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *EXACT)
        with agent:
            peer.socket.transport.write(b"\x88\x00")
            waiting = await aside(agent.until_state, "waiting")
            assert (waiting["last_close_code"], waiting["retry_in"]) == (1005, 1)


def waits(agent: Driver) -> list[float]:
    """What was chosen so far, in seconds."""
    return [one["retry_in"] for one in agent.events if one.get("state") == "waiting"]


async def test_reconnect_7_without_a_server_it_waits_longer_each_time(c_build: Path) -> None:
    with Driver(c_build, "url=ws://127.0.0.1:1", *EXACT) as agent:
        await until(lambda: len(waits(agent)) >= 2, "waits")
        assert waits(agent)[:2] == [1, 2]


async def test_reconnect_7_a_server_that_does_not_say_who_is_connected_is_no_obstacle(
    c_build: Path,
) -> None:
    async with FakeServer() as server:
        settings = ("identity_retry_delay_sec=0.05", "health_check_enabled=false")
        agent, peer = await acquainted(c_build, server, *EXACT, *settings)
        with agent:
            await peer.close(4409, "taken over")
            await server.acquaint()
            # After a takeover it is asked though the settings ask nothing else of it.
            assert server.asked_about == ["a-1"]


async def test_reconnect_7_refused_without_a_token_file_it_is_told_to_set_one(
    c_build: Path,
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *EXACT)
        with agent:
            await peer.close(1008, "authentication failed")
            await aside(agent.until_error, "set token_file, or token, to a token")


async def test_who_was_never_acknowledged_is_no_reconnection(c_build: Path) -> None:
    async with FakeServer() as server:
        agent = scripted(c_build, server, *QUICK)
        with agent:
            (await server.accept()).cut()
            again = await server.acquaint()
            assert again.introduction["reconnection"] is False
            assert again.introduction["last_close_code"] == 1006


async def test_health_shutting_down_keeps_an_agent_away(c_build: Path) -> None:
    async with FakeServer() as server:
        server.health = {"status": "ok", "websocket": {"is_shutting_down": True}}
        agent = scripted(c_build, server, *EXACT)
        with agent:
            waiting = await aside(agent.until_state, "waiting")
            assert (waiting["retry_in"], waiting["health"]) == (10, "shutting_down")
            assert waiting["server_shutting_down"]


async def test_health_that_does_not_answer_in_time_is_server_not_ready(c_build: Path) -> None:
    async with FakeServer() as server:
        server.health = None
        agent = scripted(c_build, server, *EXACT, "health_check_timeout_sec=0.2")
        with agent:
            waiting = await aside(agent.until_state, "waiting")
            assert (waiting["retry_in"], waiting["health"]) == (1, "unreachable")
            await aside(agent.until_error, "no answer within 0.2 s")
