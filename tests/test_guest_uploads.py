"""Requests of a program's own app whose bodies are given to it as they come."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request

import dscore
from dscore.config import Config
from dscore.http.targets import WHOLE_BODIES
from faked import eventually
from test_http_app import FakeFleet, app_of

DEADLINE = 30.0
MIB = 1 << 20
WINDOW = 8 * MIB
"""More than a part, one read and the buffers of two sockets hold together."""


class Uploads:
    """An app that takes bodies when the test lets it, and writes down what it received."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.bytes = 0
        self.begun = asyncio.Event()
        self.may_receive = asyncio.Event()
        self.may_receive.set()
        self.answers_first = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        self.begun.set()
        if self.answers_first:
            await answer(send, b"early")
        more = True
        while more:
            await self.may_receive.wait()
            event = await receive()
            if event["type"] == "http.request":
                self.bytes += len(event["body"])
            self.received.append(event)
            more = event.get("more_body", False)
        if not self.answers_first and event["type"] == "http.request":
            await answer(send, b"%d" % self.bytes)

    @property
    def is_told_of_the_end(self) -> bool:
        return self.received[-1:] == [{"type": "http.disconnect"}]


async def answer(send: Any, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.said = 0

    def say(self, data: bytes) -> None:
        self.writer.write(data)
        self.said += len(data)

    def ask(self, *fields: str, target: str = "/upload") -> None:
        lines = [f"POST {target} HTTP/1.1", "Host: localhost", *fields]
        self.say(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE)

    async def response(self) -> tuple[int, bytes, bytes]:
        """Status, head in lower case and body of a response with a length."""
        head = (await self.head()).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await asyncio.wait_for(self.reader.readexactly(length), DEADLINE)
        return int(head.split()[1]), head, body

    async def end(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), DEADLINE)

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Connect = Callable[[], Awaitable[Client]]


@asynccontextmanager
async def serving(app: Any, **limits: object) -> AsyncIterator[tuple[dscore.Server, Connect]]:
    config = Config.model_validate({"listen": {"port": 0}, "limits": limits})
    clients: list[Client] = []
    async with dscore.Server(config, app=app) as server:

        async def connect() -> Client:
            client = Client(*await asyncio.open_connection(*server.address))
            clients.append(client)
            return client

        try:
            yield server, connect
        finally:
            for client in clients:
                client.writer.close()


async def test_a_body_comes_in_parts_while_it_is_still_being_sent() -> None:
    app = Uploads()
    async with serving(app) as (_, connect):
        client = await connect()
        client.ask("Content-Length: 11")
        await asyncio.wait_for(app.begun.wait(), DEADLINE)
        client.say(b"hello ")
        await eventually(lambda: app.bytes == 6, DEADLINE)
        assert app.received == [{"type": "http.request", "body": b"hello ", "more_body": True}]
        client.say(b"world")
        assert (await client.response())[2] == b"11"
        assert app.received[1:] == [{"type": "http.request", "body": b"world", "more_body": False}]


async def test_chunks_come_without_their_framing_and_the_connection_goes_on() -> None:
    app = Uploads()
    async with serving(app) as (_, connect):
        client = await connect()
        for _ in range(2):
            app.bytes = 0
            client.ask("Transfer-Encoding: chunked")
            for at in range(3):
                client.say(b"4\r\nabcd\r\n")
                await eventually(lambda at=at: app.bytes == 4 * (at + 1), DEADLINE)
            client.say(b"0\r\nTrailer: x\r\n\r\n")
            status, head, body = await client.response()
            assert (status, body) == (200, b"12")
            assert b"connection: keep-alive" in head
            assert app.received.pop() == {"type": "http.request", "body": b"", "more_body": False}


async def test_an_upload_larger_than_the_bound_of_whole_bodies_arrives() -> None:
    app = Uploads()
    async with serving(app, body_size=1000) as (_, connect):
        client = await connect()
        client.ask(f"Content-Length: {WINDOW}")
        client.say(bytes(WINDOW))
        assert (await client.response())[2] == b"%d" % WINDOW
        assert len(app.received) > 10, "not at once"


async def test_an_app_that_does_not_receive_holds_its_client_back() -> None:
    app = Uploads()
    app.may_receive.clear()
    async with serving(app) as (server, connect):
        client = await connect()
        client.ask(f"Content-Length: {4 * WINDOW}")
        client.say(bytes(4 * WINDOW))
        await asyncio.wait_for(app.begun.wait(), DEADLINE)
        await eventually(lambda: server.core_stats()["input_bytes"] >= 64 * 1024, DEADLINE)
        # What the client has not got rid of waits on its own side.
        assert server.core_stats()["input_bytes"] < MIB
        assert client.writer.transport.get_write_buffer_size() > WINDOW
        app.may_receive.set()
        assert (await client.response())[2] == b"%d" % (4 * WINDOW)
        await eventually(lambda: server.core_stats()["input_bytes"] == 0, DEADLINE)


async def test_a_client_that_expects_100_gets_it_when_the_app_receives() -> None:
    app = Uploads()
    app.may_receive.clear()
    async with serving(app) as (_, connect):
        client = await connect()
        client.ask("Content-Length: 2", "Expect: 100-continue")
        await asyncio.wait_for(app.begun.wait(), DEADLINE)
        app.may_receive.set()
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.say(b"ok")
        assert (await client.response())[2] == b"2"


async def test_an_app_that_refuses_first_spares_its_client_the_upload() -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b"no"})

    async with serving(refusing) as (_, connect):
        client = await connect()
        client.ask("Content-Length: 1000000", "Expect: 100-continue")
        status, head, body = await client.response()
        assert (status, body) == (403, b"no")
        # What follows could be the body or a request: this connection is of no use any more.
        assert b"connection: close" in head
        client.say(b"x" * 1000)
        assert await client.end() == b""


@pytest.mark.parametrize("body", [b"all of it", b""])
async def test_a_whole_body_that_the_app_never_received_does_not_end_the_connection(
    body: bytes,
) -> None:
    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        if body:
            await received.wait()
        await answer(send, scope["path"].encode())

    received = asyncio.Event()
    async with serving(deaf) as (server, connect):
        client = await connect()
        client.ask(f"Content-Length: {len(body)}", target="/first")
        await eventually(lambda: server.core_stats()["http_requests_total"] == 1, DEADLINE)
        client.say(body + b"GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await eventually(
            lambda: server.core_stats()["bytes_received_total"] == client.said, DEADLINE
        )
        received.set()
        assert (await client.response())[2] == b"/first"
        assert (await client.response())[2] == b"/second"


async def test_what_is_sent_behind_an_upload_waits_for_its_answer() -> None:
    app = Uploads()
    async with serving(app) as (_, connect):
        client = await connect()
        client.ask("Content-Length: 100000")
        client.say(bytes(99_999))
        await eventually(lambda: app.bytes == 99_999, DEADLINE)
        client.say(b"xPOST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\ny")
        assert (await client.response())[2] == b"100000"
        assert (await client.response())[2] == b"100001"


async def test_an_app_answers_while_the_body_comes_and_its_client_reads_last() -> None:
    # A client that sends all before it reads, and an app that answers as it reads, must not wait
    # for each other.
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            event = await receive()
            more = event["more_body"]
            await send({"type": "http.response.body", "body": b"." * 10, "more_body": more})

    async with serving(echo) as (_, connect):
        client = await connect()
        client.ask(f"Content-Length: {WINDOW}")
        client.say(bytes(WINDOW))
        await asyncio.wait_for(client.writer.drain(), DEADLINE)
        everything = await client.end()
        assert b"connection: close" in everything.lower()
        assert everything.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("how", ["reset", "half", "nonsense"])
async def test_an_upload_that_breaks_off_is_told_to_the_app(how: str) -> None:
    app = Uploads()
    async with serving(app) as (server, connect):
        client = await connect()
        client.ask("Transfer-Encoding: chunked")
        client.say(b"4\r\nabcd\r\n")
        await eventually(lambda: app.bytes == 4, DEADLINE)
        if how == "reset":
            client.reset()
        elif how == "half":
            client.writer.write_eof()
            assert (await client.response())[0] == 400
        else:
            client.say(b"nonsense\r\n")
            assert (await client.response())[0] == 400
        await eventually(lambda: app.is_told_of_the_end, DEADLINE)
        await eventually(lambda: server.core_stats()["http_connections"] == 0, DEADLINE)


async def test_an_upload_that_breaks_off_in_the_middle_of_its_answer_is_cut() -> None:
    app = Uploads()
    told = asyncio.Event()

    async def answering(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        while (await receive())["type"] == "http.request":
            app.begun.set()
        told.set()

    async with serving(answering) as (_, connect):
        client = await connect()
        client.ask("Transfer-Encoding: chunked")
        client.say(b"4\r\nabcd\r\n")
        await asyncio.wait_for(app.begun.wait(), DEADLINE)
        client.say(b"nonsense\r\n")
        await asyncio.wait_for(told.wait(), DEADLINE)
        assert (await client.end()).endswith(b"half\r\n"), "no last chunk"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_an_upload_that_trickles_is_late() -> None:
    app = Uploads()
    async with serving(app) as (server, connect):
        client = await connect()
        client.ask("Content-Length: 1000000")
        refused = asyncio.ensure_future(client.reader.readuntil(b"\r\n\r\n"))
        while not refused.done():
            client.say(b"x")
            await asyncio.wait([refused], timeout=1.0)
        assert (await refused).startswith(b"HTTP/1.1 408 ")
        await eventually(lambda: app.is_told_of_the_end, DEADLINE)
        assert app.bytes > 10
        await eventually(lambda: server.core_stats()["http_connections"] == 0, DEADLINE)


@pytest.mark.parametrize("fields", [["Content-Length: 1001"], ["Transfer-Encoding: chunked"]])
async def test_a_body_over_the_limit_is_refused(fields: list[str]) -> None:
    app = Uploads()
    async with serving(app, upload_size=1000) as (_, connect):
        client = await connect()
        client.ask(*fields)
        if "chunked" in fields[0]:
            client.say(b"3e8\r\n" + bytes(1000) + b"\r\n1\r\n")
        status, head, _ = await client.response()
        assert status == 413
        assert b"connection: close" in head
        if app.begun.is_set():
            await eventually(lambda: app.is_told_of_the_end, DEADLINE)


async def test_slow_uploads_take_no_place_from_other_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dscore.http.lanes.UPLOADS", 1)
    app = Uploads()
    async with serving(app) as (_, connect):
        slow, waiting, other = [await connect() for _ in range(3)]
        slow.ask("Content-Length: 2")
        await asyncio.wait_for(app.begun.wait(), DEADLINE)
        waiting.ask("Content-Length: 1")
        other.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await other.response())[0] == 200
        waiting.say(b"1")
        slow.say(b"12")
        assert (await slow.response())[0] == 200
        assert (await waiting.response())[0] == 200


async def test_slow_uploads_take_no_place_from_other_uploads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many clients as there are places, that took their time, kept all other uploads out."""
    monkeypatch.setattr("dscore.http.lanes.UPLOADS", 2)
    async with serving(Uploads()) as (_, connect):
        slow = [await connect() for _ in range(4)]
        for client in slow:
            client.ask("Content-Length: 2")
            client.say(b"1")
        for _ in range(3):
            quick = await connect()
            quick.ask("Content-Length: 3")
            quick.say(b"123")
            assert (await quick.response())[0] == 200
        for client in slow:
            client.say(b"2")
            assert (await client.response())[0] == 200


async def test_so_many_uploads_wait_for_their_clients_and_the_others_take_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dscore.http.lanes.UPLOADS", 1)
    monkeypatch.setattr("dscore.http.lanes.PAUSED", 1)
    async with serving(Uploads()) as (server, connect):
        clients = [await connect() for _ in range(3)]
        for client in clients:
            client.ask("Content-Length: 1")

        def counted() -> tuple[int, int]:
            stats = server.core_stats()
            return stats["http_requests_running"], stats["http_requests_waiting"]

        await eventually(lambda: counted() == (2, 1), DEADLINE)
        for client in clients:
            client.say(b"1")
        for client in clients:
            assert (await client.response())[0] == 200
        await eventually(lambda: counted() == (0, 0), DEADLINE)


async def test_a_whole_request_of_the_operator_api_is_no_upload() -> None:
    app = Uploads()
    async with serving(app, body_size=100) as (server, connect):
        client = await connect()
        authorization = f"Authorization: Bearer {server.operator_token}"
        fields = (authorization, "Content-Type: application/json", "Content-Length: 101")
        client.ask(*fields, target="/api/v1/maintenance")
        assert (await client.response())[0] == 413
        client = await connect()
        fields = (*fields[:2], "Content-Length: 18")
        client.ask(*fields, target="/api/v1/maintenance")
        client.say(b'{"enabled":')
        client.say(b"  true}")
        assert (await client.response())[0] == 200
        assert server.maintenance
        assert not app.begun.is_set()


async def test_two_tasks_that_receive_share_the_parts() -> None:
    parts: list[bytes] = []

    async def shared(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError

        async def take() -> None:
            while (event := await receive())["type"] == "http.request":
                parts.append(event["body"])
                if not event["more_body"]:
                    await answer(send, b"done")

        await asyncio.gather(take(), take())

    async with serving(shared) as (_, connect):
        client = await connect()
        client.ask("Content-Length: 6")
        for part in (b"ab", b"cd", b"ef"):
            client.say(part)
            await eventually(lambda part=part: parts[-1:] == [part], DEADLINE)
        assert (await client.response())[2] == b"done"


async def test_a_receive_that_is_cancelled_loses_no_part() -> None:
    async def impatient(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(receive(), 0.01)
        may_send.set()
        event = await receive()
        await answer(send, event["body"])

    may_send = asyncio.Event()
    async with serving(impatient) as (_, connect):
        client = await connect()
        client.ask("Content-Length: 4")
        await asyncio.wait_for(may_send.wait(), DEADLINE)
        client.say(b"part")
        assert (await client.response())[2] == b"part"


def test_the_core_waits_for_the_whole_body_wherever_the_operator_api_takes_one() -> None:
    document = app_of(FakeFleet())._ours.openapi()  # type: ignore[attr-defined]
    taking = {
        path
        for path, operations in document["paths"].items()
        if any("requestBody" in operation for operation in operations.values())
    }
    assert taking == set(WHOLE_BODIES)


@pytest.mark.parametrize("how", ["stream", "body"])
async def test_a_fastapi_app_is_not_blamed_for_an_upload_that_breaks_off(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()
    begun, ended = asyncio.Event(), asyncio.Event()

    @app.post("/upload")
    async def upload(request: Request) -> int:
        begun.set()
        try:
            if how == "body":
                return len(await request.body())
            return sum([len(part) async for part in request.stream()])
        finally:
            ended.set()

    async with serving(app) as (_, connect):
        whole, broken = await connect(), await connect()
        whole.ask("Content-Length: 3")
        whole.say(b"abc")
        assert (await whole.response())[2] == b"3"
        begun.clear()
        ended.clear()
        broken.ask("Content-Length: 3")
        await asyncio.wait_for(begun.wait(), DEADLINE)
        broken.reset()
        await asyncio.wait_for(ended.wait(), DEADLINE)
    assert [one.message for one in caplog.records if "failed" in one.message] == []
