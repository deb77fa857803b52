"""PROTOCOL.md §9: every code that is sent, by what brings it about, and those that never are."""

import asyncio
import json

import pytest

from protocol.support import agents, frame, introduced, running, upgraded, watcher
from wire import agent

NEVER = (1004, 1005, 1006, 1015, 0, 999, 1016, 2999, 5000)


async def test_1000_client_terminated() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        waiting = asyncio.create_task(here.server.fleet.terminate("a-1"))
        await one.answer(await one.recv_type("terminate_app"))
        assert await one.closed() == (1000, "Client terminated")
        await waiting


async def test_1001_when_the_server_closes() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one], watcher(here.ws) as page:
        await here.server.close()
        assert await one.closed() == (1001, "Server shutting down gracefully")
        assert await page.closed() == (1001, "Server shutting down gracefully")


async def test_1002_protocol_error() -> None:
    async with running() as here, introduced(here.ws) as one:
        await one.send(b"\x81\x02{}")  # RFC 6455 §5.1: a client's frame is masked
        assert (await one.closed())[0] == 1002


async def test_1003_binary() -> None:
    async with running() as here, introduced(here.ws) as one:
        await one.send(frame(2, b'{"type": "heartbeat", "clientName": "a-1"}'))
        assert (await one.closed())[0] == 1003


async def test_1007_invalid_utf_8() -> None:
    async with running() as here, introduced(here.ws) as one:
        await one.send(frame(1, b'{"type": "\xff"}'))
        assert (await one.closed())[0] == 1007


async def test_1008_authentication() -> None:
    async with (
        running({"auth": {"required": True}}) as here,
        agent(here.ws, introduce=False) as one,
    ):
        await one.send("app_ready", instance_id="a-1")
        assert await one.closed() == (1008, "authentication failed")


async def test_1009_too_big() -> None:
    async with (
        running({"socket": {"max_message_size": 1000}}) as here,
        introduced(here.ws) as one,
    ):
        await one.send(frame(1, b"x" * 1001))
        assert (await one.closed())[0] == 1009


async def test_1011_ping_timeout() -> None:
    pings = {"ping_interval": 0.05, "ping_timeout": 0.05}
    async with running({"socket": pings}) as here, introduced(here.ws) as one:
        assert await one.closed() == (1011, "ping timeout")


async def test_1013_over_the_limit_of_connections() -> None:
    async with running({"limits": {"connections": 2}}) as here, agents(here.ws, "a-1", "a-2"):
        async with upgraded(here.ws) as late:
            code, reason = await late.closed()
            assert code == 1013
            assert reason
        status, _ = await here.health()
        assert status == 200


async def test_4409_taken_over() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one], agents(here.ws, "a-1"):
        assert await one.closed() == (4409, "taken over")


async def test_a_close_without_a_code_is_echoed_without_one() -> None:
    # 1005 stands for exactly this, so it is never written.
    async with running() as here, introduced(here.ws) as one:
        await one.send(frame(8))
        payload = await one.close_payload()
        assert payload[:2] in (b"", (1000).to_bytes(2, "big"))


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
async def test_a_peers_close_is_answered_and_the_connection_ends(code: int) -> None:
    async with running() as here, introduced(here.ws) as one:
        await one.send(frame(8, code.to_bytes(2, "big") + "잘 있어".encode()))
        assert (await one.close_payload())[:2] == code.to_bytes(2, "big")
        assert await one.ended() == b""


@pytest.mark.parametrize("code", NEVER)
async def test_a_peers_close_with_a_code_that_may_not_be_sent_is_1002(code: int) -> None:
    async with running() as here, introduced(here.ws) as one:
        await one.send(frame(8, code.to_bytes(2, "big")))
        assert (await one.closed())[0] == 1002


async def test_nothing_is_sent_after_a_close_frame() -> None:
    async with running() as here, introduced(here.ws) as one:
        beat = json.dumps({"type": "heartbeat", "clientName": "a-1"}).encode()
        await one.send(frame(8, b"\x03\xe8") + frame(1, beat) + frame(9, b"?"))
        assert (await one.frame())[0] == 8
        assert await one.ended() == b""
