"""What the agent makes of the health page."""

import asyncio
import re
import time

import pytest

from dscore_agent.dial import Dialer
from dscore_agent.health import MAX_BODY, Health, HealthCheck, check, judge
from fake_server import FakeServer
from stream_server import stream_server


@pytest.mark.parametrize(
    ("document", "health"),
    [
        ({"status": "ok"}, Health.OK),
        ({"status": "ok", "websocket": {"is_shutting_down": False}}, Health.OK),
        ({"status": "ok", "maintenance": True}, Health.OK),
        ({"status": "shutting_down"}, Health.SHUTTING_DOWN),
        ({"status": "ok", "websocket": {"is_shutting_down": True}}, Health.SHUTTING_DOWN),
        ({"status": "degraded"}, Health.UNREACHABLE),
        ({"detail": "Not Found"}, Health.UNREACHABLE),
        (["ok"], Health.UNREACHABLE),
        (None, Health.UNREACHABLE),
    ],
)
def test_the_word_for_a_document(document: object, health: Health) -> None:
    assert judge(document) is health


async def test_asks_the_page() -> None:
    async with FakeServer() as server:
        url = server.config().health_url
        assert (await check(url, 5.0, None, Dialer())).health is Health.OK
        server.health = {"status": "shutting_down"}
        assert (await check(url, 5.0, None, Dialer())).health is Health.SHUTTING_DOWN


async def test_no_server_is_unreachable() -> None:
    look = await check("http://127.0.0.1:1/deepstream/health", 5.0, None, Dialer())
    assert look.health is Health.UNREACHABLE
    assert look.reason == "Connection refused"
    look = await check("http://host.invalid/health", 5.0, None, Dialer())
    assert look.health is Health.UNREACHABLE


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * (MAX_BODY + 1),
    ],
)
async def test_nonsense_is_unreachable(answer: bytes) -> None:
    assert await asked(answer, seconds=5.0) is Health.UNREACHABLE


async def test_the_status_code_does_not_matter() -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 26\r\n\r\n"
    assert await asked(head + b'{"status":"shutting_down"}', seconds=5.0) is Health.SHUTTING_DOWN


@pytest.mark.parametrize("body", ["{}", '{"status":"shutting_down"}'])
async def test_reconnect_7_retry_after_counts_whatever_the_document_says(body: str) -> None:
    head = f"HTTP/1.1 503 Busy\r\nRetry-After: 42\r\nContent-Length: {len(body)}\r\n\r\n"
    assert (await looked(f"{head}{body}".encode(), seconds=5.0)).retry_after == 42


async def test_another_page_is_named_with_its_status() -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n<h1>no</h"
    look = await looked(answer, seconds=5.0)
    assert look.health is Health.UNREACHABLE
    assert re.search(r"http://.*/health is no health document \(HTTP 404\)", look.reason)


@pytest.mark.timed
async def test_a_page_that_trickles_in_has_one_timeout_for_all_of_it() -> None:
    began = time.monotonic()
    trickle = [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", *[b" "] * 50]
    assert await asked(*trickle, seconds=0.1) is Health.UNREACHABLE
    assert time.monotonic() - began < 1.0


async def asked(*answer: bytes, seconds: float) -> Health:
    return (await looked(*answer, seconds=seconds)).health


async def looked(*answer: bytes, seconds: float) -> HealthCheck:
    """What is made of an answer that comes in these pieces, 20 ms apart."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in answer:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02 if len(answer) > 1 else 0)

    async with stream_server(serve) as port:
        return await check(f"http://127.0.0.1:{port}/health", seconds, None, Dialer())
