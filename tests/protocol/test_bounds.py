"""PROTOCOL.md §10: what is held for peers is bounded in bytes, for each and in all.

Each bound of docs/limits.md is tested where it is kept, in rust/reactor/tests/bounds.rs; here are
the attacks that it was made for, on a whole server.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from protocol.support import (
    Bytes,
    Running,
    agents,
    eventually,
    frame,
    introduced,
    running,
    tcp,
    upgraded,
)

MB = 1_000_000
# The head of a masked text message of 900,000 bytes, and all of it but its last byte.
UNFINISHED = frame(1, b" " * 900_000)[:-1]


@asynccontextmanager
async def many(here: Running, count: int) -> AsyncIterator[list[Bytes]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(upgraded(here.ws)) for _ in range(count)]


async def send_what_goes(one: Bytes, data: bytes) -> None:
    """Sends; a server that has closed, or reads no more, is no failure."""
    with suppress(ConnectionError, asyncio.TimeoutError):
        await asyncio.wait_for(one.send(data), 0.5)


def gauge(here: Running, name: str) -> int:
    return here.server.core_stats()[name]


async def all_is_read(here: Running, count: int) -> None:
    async def is_read() -> bool:
        return gauge(here, "bytes_received_total") >= count

    await eventually(is_read)


async def test_input_held_for_those_turned_away_is_bounded_with_all_other() -> None:
    settings = {"limits": {"input_bytes": 2 * MB}, "shutdown": {"close_timeout": 60}}
    async with (
        running(settings) as here,
        agents(here.ws, "good") as [good],
        many(here, 40) as attackers,
    ):
        for one in attackers:
            await send_what_goes(one, UNFINISHED)
            assert gauge(here, "input_bytes") <= 2 * MB
        await all_is_read(here, 40 * len(UNFINISHED))
        assert gauge(here, "input_bytes") <= 2 * MB
        # They were told to go and go on all the same.
        for _ in range(3):
            for one in attackers:
                await send_what_goes(one, b" " + UNFINISHED)
                assert gauge(here, "input_bytes") <= 2 * MB
        await good.beat()
        assert (await here.pages.get("/livez")).status_code == 200
        assert (await here.pages.get("/metrics")).status_code == 200


@pytest.mark.parametrize("case", ["maintenance", "connections", "policy", "violation"])
async def test_a_closed_connection_holds_nothing_until_the_close_timeout(
    case: str,
) -> None:
    limits = {"connections": 1} if case == "connections" else {"max_errors": 1}
    settings = {"limits": limits, "shutdown": {"close_timeout": 60}}
    async with running(settings) as here, agents(here.ws, "good") as [good]:
        if case == "maintenance":
            here.server.set_maintenance(enabled=True)
            assert (await good.closed())[0] == 1013
        async with upgraded(here.ws) as one:
            if case == "policy":
                await one.send(frame(1, b"{"))
            elif case == "violation":
                await one.send(frame(3))
            payload = await one.close_payload()
            code = {"policy": 1008, "violation": 1002}.get(case, 1013)
            assert int.from_bytes(payload[:2], "big") == code
            before = gauge(here, "bytes_received_total")
            await one.send(UNFINISHED)
            await all_is_read(here, before + len(UNFINISHED))
            assert gauge(here, "input_bytes") < 1_000


async def test_bodies_of_refused_requests_are_not_kept() -> None:
    async with running({"shutdown": {"close_timeout": 60}}) as here:
        for head in (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000,
            b"POST /socket.io/?EIO=4&transport=polling&sid=none HTTP/1.1\r\nHost: x\r\n"
            b"Content-Length: 900000\r\n\r\n",
        ):
            async with tcp(here.ws) as one:
                before = gauge(here, "bytes_received_total")
                await one.send(head)
                await one.send(b"x" * 700_000)
                await all_is_read(here, before + len(head) + 700_000)
                assert gauge(here, "input_bytes") < 2_000


async def test_requests_that_wait_for_the_app_are_bounded_and_probes_get_through() -> None:
    held = asyncio.Event()

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        await held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    request = b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000
    async with (
        running({"limits": {"input_bytes": 2 * MB}}, app=app) as here,
        AsyncExitStack() as stack,
    ):
        # Of each, 64 KiB and a read are held while the app does not receive.
        asked = [await stack.enter_async_context(tcp(here.ws)) for _ in range(60)]
        for sent in asyncio.as_completed([send_what_goes(one, request) for one in asked]):
            await sent
            assert gauge(here, "input_bytes") <= 2 * MB
        assert (await here.pages.get("/livez")).status_code == 200
        held.set()
        answers = [(await one.head())[0] for one in asked]
        assert set(answers) == {200, 503}


async def test_outboxes_are_bounded_in_all_and_the_slowest_hear_why() -> None:
    limits = {"outbox_bytes": 64 * MB, "output_bytes": 2 * MB}
    async with (
        running({"limits": limits, "shutdown": {"close_timeout": 60}}) as here,
        agents(here.ws, "reads") as [reads],
        AsyncExitStack() as stack,
    ):
        slow = [
            await stack.enter_async_context(introduced(here.ws, f"slow-{number}"))
            for number in range(5)
        ]
        note = {"type": "note", "padding": "x" * 200_000}

        async def is_one_too_slow() -> bool:
            for number in range(5):
                known = here.server.fleet.agent(f"slow-{number}")
                if known is not None and known.connected:
                    known.send(note)
            assert gauge(here, "output_bytes") <= 2 * MB + 250_000
            return gauge(here, "slow_consumers_total") >= 1

        await eventually(is_one_too_slow)
        assert any(await asyncio.gather(*map(was_too_slow, slow)))
        known = here.server.fleet.agent("reads")
        assert known is not None
        known.send({"type": "still here"})
        assert (await reads.recv_type("still here"))["type"] == "still here"


async def was_too_slow(one: Bytes) -> bool:
    """Whether a close 1013 comes, behind all that was queued before."""
    while True:
        try:
            opcode, payload = await asyncio.wait_for(one.frame(), 1.0)
        except (asyncio.TimeoutError, asyncio.IncompleteReadError):
            return False
        if opcode == 8:
            return payload == (1013).to_bytes(2, "big") + b"slow consumer"
        assert json.loads(payload)["type"] == "note"
