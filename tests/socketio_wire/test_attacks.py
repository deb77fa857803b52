"""Clients that mean harm: what they can make of the server's memory, and of others' time."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

import dscore
from protocol.support import eventually, frame, running, tcp
from socketio_wire.agents import PATH
from socketio_wire.support import Here, Session, Web, engineio, web

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def works(session: Session) -> None:
    await session.say("4hello")
    assert await session.packets() == ["4hello"]


async def test_a_probe_that_takes_no_pongs_is_cut_off() -> None:
    async with engineio(outbox_bytes=65_536) as here, web(here.port) as one:
        session = await here.open()
        target = f"{here.path}?EIO=4&transport=websocket&sid={session.sid}"
        await one.ask("GET", target, headers=UPGRADE)
        assert (await one.head())[0] == 101
        # What the kernel holds on the way is not the server's memory: some megabytes.
        one.writer.transport.pause_reading()  # type: ignore[attr-defined]
        pings = frame(9, bytes(125)) * 1_000
        try:
            for _ in range(400):
                await one.send(pings)
                assert here.gauge("outbox_bytes") < 1_000_000
        except ConnectionError:
            await works(session)
        else:
            raise AssertionError("50 MB of pings were taken")


async def slowest_echo(here: Here, flood: asyncio.Task[None]) -> float:
    """How long another connection waits for an echo at most, while that lasts."""
    slowest = 0.0
    async with here.socket() as one:
        while not flood.done():
            began = time.monotonic()
            await one.send("4hello")
            assert await one.recv() == "4hello"
            slowest = max(slowest, time.monotonic() - began)
    return slowest


@pytest.mark.alone
async def test_requests_sent_ahead_delay_no_other_connection() -> None:
    async with engineio(reactors=1) as here:
        line = f"GET {here.path}?transport=none HTTP/1.1\r\nHost: a\r\n"
        requests = f"{line}\r\n".encode() * 5_000 + f"{line}Connection: close\r\n\r\n".encode()

        async def ask_ahead() -> None:
            async with tcp(f"http://127.0.0.1:{here.port}") as one:
                one.writer.write(requests)
                assert (await one.reader.read()).count(b"HTTP/1.1 400") == 5_001

        async def flood() -> None:
            await asyncio.gather(*(ask_ahead() for _ in range(40)))

        began = time.monotonic()
        slowest = await slowest_echo(here, asyncio.create_task(flood()))
        assert slowest < (time.monotonic() - began) / 4


async def test_half_a_million_packets_in_one_request() -> None:
    async with engineio() as here:
        session = await here.open()
        assert (await session.post("6\x1e" * 499_999 + "6")).text == "ok"
        await works(session)
        assert here.gauge("input_bytes") == 0


async def post_part(post: Web, session: Session, size: int) -> None:
    """Begins a request of a megabyte."""
    await post.ask("POST", session.target, headers={"Content-Length": "1000000"})
    await post.send(b"4" * size)


async def test_a_post_that_is_turned_away_for_want_of_memory_ends_its_session() -> None:
    async with engineio(input_bytes=2_000_000) as here, AsyncExitStack() as webs:
        greedy = await here.open()
        one = await webs.enter_async_context(web(here.port))
        await post_part(one, greedy, 900_000)

        # Both at once could each find the other's part in the way.
        async def is_taken() -> bool:
            return here.gauge("input_bytes") >= 900_000

        await eventually(is_taken)
        # The one that holds most is the one that is turned away: what counts is the room that its
        # bytes take, up to twice of them.
        for _ in range(4):
            other = await webs.enter_async_context(web(here.port))
            await post_part(other, await here.open(), 300_000)
        assert (await one.head())[0] == 503
        await greedy.is_gone()


async def test_of_two_origins_neither_is_believed() -> None:
    async with engineio(origins=["https://fleet.example"]) as here, web(here.port) as one:
        lines = "Host: a\r\nOrigin: https://fleet.example\r\nOrigin: https://evil.example\r\n"
        target = f"{here.path}?EIO=4&transport=polling"
        await one.send(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())
        assert (await one.answer()).status == 403


async def test_a_post_that_is_refused_stands_in_the_way_of_no_other() -> None:
    async with engineio() as here, web(here.port) as one:
        session = await here.open()
        for wrong in ("EIO=3&transport=polling", "EIO=4&transport=none"):
            target = f"{here.path}?{wrong}&sid={session.sid}"
            assert (await one.fetch("POST", target, body="4lost")).status == 400
            await works(session)


class Echo(dscore.Policy):
    """Acks with what it was told."""

    def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> dict[str, Any]:
        return message


async def test_an_attachment_named_in_thousands_of_places_comes_back_once() -> None:
    event = json.dumps(["x", {"a": [{"_placeholder": True, "num": 0}] * 10_000}])
    async with running(policy=Echo()) as here:
        session = await Here(here.port, PATH, None).open()
        await session.say("40", '42["heartbeat",{"clientName":"b-1"}]')
        await session.say(f"451-7{event}", "b" + "QUJD" * 10_000)
        *_, ack, attachment = await session.collect(4)
        assert ack.startswith("461-7")
        assert attachment == "b" + "QUJD" * 10_000
