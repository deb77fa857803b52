"""The bridge, over a pool that only writes down what it is told."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from dscore.errors import LifespanError, PoolClosedError
from dscore.http.asgi import HIGH_WATER, Bridge

DEADLINE = 30.0


@dataclass
class HttpRequest:
    conn: int = 1
    method: str = "GET"
    target: str = "/"
    version: str = "1.1"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    more: bool = False
    subprotocols: list[str] | None = None
    peer: str = "127.0.0.1"
    peer_port: int = 5000
    proxy: str | None = None
    secure: bool = False
    certificate_names: list[str] = field(default_factory=list)


@dataclass
class Of:
    conn: int = 1


class FakePool:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.called = asyncio.Event()
        self.refusals = 0
        self.is_closed = False

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", 8765

    def respond(self, conn, status, headers, body, *, more=False, notify=False) -> None:
        self._check()
        if self.refusals:
            self.refusals -= 1
            raise TypeError("status")
        self._note("respond", conn, status, dict(headers), body, more, notify)

    def respond_more(self, conn, body, *, more, notify=False) -> None:
        self._check()
        self._note("more", conn, body, more, notify)

    def abort(self, conn) -> None:
        self._check()
        self._note("abort", conn)

    async def until(self, count: int) -> list[tuple[Any, ...]]:
        while len(self.calls) < count:
            self.called.clear()
            await asyncio.wait_for(self.called.wait(), DEADLINE)
        return self.calls

    def _check(self) -> None:
        if self.is_closed:
            raise PoolClosedError("closed")

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        self.called.set()


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def answering(*messages: dict[str, Any]):
    async def app(scope, receive, send) -> None:
        for message in messages:
            await send(message)

    return app


async def run(app, request: HttpRequest | None = None, calls: int = 1) -> list[tuple[Any, ...]]:
    pool = FakePool()
    bridge = Bridge(pool, app)
    bridge.handle(request or HttpRequest())
    await pool.until(calls)
    assert await bridge.drain_requests(DEADLINE) == 0
    return pool.calls


async def test_a_whole_answer_is_one_call_with_the_server_s_name() -> None:
    [(name, conn, status, headers, data, more, notify)] = await run(
        answering(start(201, (b"X-A", b"1")), body(b"hi"))
    )
    assert (name, conn, status, data, more, notify) == ("respond", 1, 201, b"hi", False, False)
    assert headers[b"x-a"] == b"1"
    assert headers[b"server"] == b"dscore"
    assert b"date" not in headers, "what every answer says is the core's to add"


async def test_the_scope_says_what_was_asked() -> None:
    seen: dict[str, Any] = {}

    async def app(scope, receive, send) -> None:
        seen.update(scope, got=await receive())
        await send(start())
        await send(body(b""))

    request = HttpRequest(
        method="POST", target="/a%2Fb/%C3%A9?q=%20x", headers=[(b"host", b"h")], body=b"in"
    )
    await run(app, request)
    assert seen["path"] == "/a/b/é"
    assert seen["raw_path"] == b"/a%2Fb/%C3%A9"
    assert seen["query_string"] == b"q=%20x"
    assert seen["method"] == "POST"
    assert seen["http_version"] == "1.1"
    assert seen["client"] == ("127.0.0.1", 5000)
    assert seen["server"] == ("127.0.0.1", 8765)
    assert seen["headers"] == [(b"host", b"h")]
    assert seen["got"] == {"type": "http.request", "body": b"in", "more_body": False}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://host:1/x?y=1", "/x", b"y=1"),
        ("http://host", "/", b""),
        ("http://host?y=/", "/", b"y=/"),
        ("http://[", "/", b""),
        ("*", "*", b""),
    ],
)
async def test_takes_every_form_of_target(target: str, path: str, query: bytes) -> None:
    seen: dict[str, Any] = {}

    async def app(scope, receive, send) -> None:
        seen.update(scope)
        await answering(start(), body(b""))(scope, receive, send)

    await run(app, HttpRequest(target=target))
    assert (seen["path"], seen["query_string"]) == (path, query)


async def test_drops_framing_headers_of_the_app() -> None:
    [call] = await run(answering(start(200, (b"Transfer-Encoding", b"chunked")), body(b"x")))
    assert b"transfer-encoding" not in call[3]


async def test_streams_and_skips_empty_chunks() -> None:
    calls = await run(
        answering(start(), body(b"a", more=True), body(b"", more=True), body(b"b")), calls=2
    )
    assert calls[0][4:] == (b"a", True, False)
    assert calls[1] == ("more", 1, b"b", False, False)


async def test_head_has_the_headers_and_no_body() -> None:
    app = answering(
        start(200, (b"content-length", b"2")),
        body(b"a", more=True),
        body(b"b", more=True),
        body(b""),
    )
    calls = await run(app, HttpRequest(method="HEAD"), calls=2)
    assert calls[0][3][b"content-length"] == b"2"
    assert calls[0][4:] == (b"", True, False)
    assert calls[1] == ("more", 1, b"", False, False)


async def test_a_fast_writer_waits_for_room() -> None:
    pool = FakePool()
    big = b"x" * (HIGH_WATER + 1)
    bridge = Bridge(pool, answering(start(), body(big, more=True), body(b"end")))
    bridge.handle(HttpRequest())
    await pool.until(1)
    assert pool.calls[0][5:] == (True, True)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(pool.calls) == 1
    bridge.drained(Of(2))
    bridge.drained(Of())
    await pool.until(2)
    assert pool.calls[1] == ("more", 1, b"end", False, False)
    bridge.drained(Of())
    await bridge.drain_requests(DEADLINE)


async def test_small_chunks_add_up_to_high_water() -> None:
    pool = FakePool()
    chunk = body(b"x" * 40_000, more=True)
    bridge = Bridge(pool, answering(start(), chunk, chunk, body(b"")))
    bridge.handle(HttpRequest())
    calls = await pool.until(2)
    assert [call[-1] for call in calls] == [False, True]
    bridge.gone(Of())
    await bridge.drain_requests(DEADLINE)


@pytest.mark.parametrize("before", [[], [start(200)]])
async def test_an_error_before_the_first_byte_is_a_500_problem(before) -> None:
    async def app(scope, receive, send) -> None:
        for message in before:
            await send(message)
        raise ZeroDivisionError

    [call] = await run(app)
    assert call[2] == 500
    assert call[3][b"content-type"] == b"application/problem+json"
    assert b'"status":500' in call[4]


async def test_an_error_in_the_middle_cuts_the_connection() -> None:
    async def app(scope, receive, send) -> None:
        await answering(start(), body(b"a", more=True))(scope, receive, send)
        raise ZeroDivisionError

    assert (await run(app, calls=2))[1] == ("abort", 1)


async def test_an_app_that_does_not_finish_is_an_error() -> None:
    [call] = await run(answering())
    assert call[2] == 500


async def test_messages_out_of_order_are_the_apps_error() -> None:
    for messages in ([body(b"")], [start(), start()], [start(), {"type": "nonsense"}]):
        [call] = await run(answering(*messages))
        assert call[2] == 500


async def test_an_answer_the_core_refuses_is_a_500() -> None:
    pool = FakePool()
    pool.refusals = 1
    bridge = Bridge(pool, answering(start(200, (b"x", b"a\r\nb")), body(b"")))
    bridge.handle(HttpRequest())
    await pool.until(1)
    assert pool.calls[0][2] == 500


async def test_a_client_that_leaves_cancels_nothing_and_the_app_is_told() -> None:
    pool = FakePool()
    told: list[Any] = []
    begun, may_commit = asyncio.Event(), asyncio.Event()

    async def app(scope, receive, send) -> None:
        await receive()
        begun.set()
        told.append(await receive())
        await may_commit.wait()  # in the middle of a transaction
        told.append(await receive())
        for message in (start(), body(b"")):
            with pytest.raises(OSError, match="left"):
                await send(message)
        told.append("committed")

    bridge = Bridge(pool, app)
    bridge.handle(HttpRequest())
    await asyncio.wait_for(begun.wait(), DEADLINE)
    bridge.gone(Of(2))
    bridge.gone(Of())
    may_commit.set()
    assert await bridge.drain_requests(DEADLINE) == 0
    assert told == [{"type": "http.disconnect"}, {"type": "http.disconnect"}, "committed"]
    assert pool.calls == []


async def test_a_writer_that_waits_for_room_hears_that_its_client_has_left() -> None:
    pool = FakePool()
    heard: list[str] = []

    async def app(scope, receive, send) -> None:
        await send(start())
        try:
            await send(body(b"x" * (HIGH_WATER + 1), more=True))
        except OSError as error:
            heard.append(str(error))

    bridge = Bridge(pool, app)
    bridge.handle(HttpRequest())
    await pool.until(1)
    bridge.gone(Of())
    assert await bridge.drain_requests(DEADLINE) == 0
    assert heard == ["the client has left"]


@pytest.mark.parametrize("middleware", [False, True])
async def test_a_starlette_app_is_not_blamed_for_a_client_that_leaves_its_stream(
    middleware: bool, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = FastAPI()
    goes_on = asyncio.Event()

    async def lines():
        yield b"a"
        await goes_on.wait()
        yield b"b"
        yield b"c"

    @theirs.get("/")
    async def stream() -> StreamingResponse:
        return StreamingResponse(lines())

    if middleware:

        @theirs.middleware("http")
        async def nothing(request, call_next):
            return await call_next(request)

    pool = FakePool()
    bridge = Bridge(pool, theirs)
    bridge.handle(HttpRequest())
    await pool.until(1)
    bridge.gone(Of())
    goes_on.set()
    assert await bridge.drain_requests(DEADLINE) == 0
    assert [record.message for record in caplog.records] == []


async def test_receive_ends_with_the_answer() -> None:
    pool = FakePool()
    told: list[Any] = []

    async def app(scope, receive, send) -> None:
        async def listen() -> None:
            await receive()
            told.append(await receive())

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await answering(start(), body(b""))(scope, receive, send)
        await listening

    bridge = Bridge(pool, app)
    bridge.handle(HttpRequest())
    assert await bridge.drain_requests(DEADLINE) == 0
    assert told == [{"type": "http.disconnect"}]


async def test_what_runs_after_the_answer_outlives_the_client() -> None:
    pool = FakePool()
    may_end = asyncio.Event()
    ended: list[dict[str, Any]] = []

    async def app(scope, receive, send) -> None:
        await answering(start(), body(b""))(scope, receive, send)
        await may_end.wait()
        await receive()
        ended.append(await receive())

    bridge = Bridge(pool, app)
    bridge.handle(HttpRequest())
    await pool.until(1)
    bridge.gone(Of())
    may_end.set()
    assert await bridge.drain_requests(DEADLINE) == 0
    assert ended == [{"type": "http.disconnect"}]


async def test_drain_cancels_requests_that_take_too_long_and_names_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = FakePool()

    async def app(scope, receive, send) -> None:
        if scope["path"] == "/background":
            await answering(start(), body(b""))(scope, receive, send)
        await asyncio.Event().wait()

    bridge = Bridge(pool, app)
    bridge.handle(HttpRequest(1, "POST", "/long?secret=x"))
    bridge.handle(HttpRequest(2, "GET", "/background"))
    assert await bridge.drain_requests(0.01) == 2
    assert {(call[1], call[2]) for call in pool.calls} == {(1, 503), (2, 200)}
    lines = "\n".join(sorted(record.message for record in caplog.records))
    assert "http_request_cut method=POST path=/long seconds=" in lines
    assert "http_request_cut method=GET path=/background seconds=" in lines
    assert "secret" not in lines
    assert "answered=True" in lines


async def test_an_app_that_is_deaf_to_its_cancellation_is_named_and_left_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dscore.http.asgi.DEAF_AFTER", 0.01)
    may_end = asyncio.Event()

    async def app(scope, receive, send) -> None:
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()

    pool = FakePool()
    bridge = Bridge(pool, app)
    bridge.handle(HttpRequest(target="/deaf"))
    assert await bridge.drain_requests(0.01) == 1
    assert "http_request_stuck method=GET path=/deaf" in caplog.text
    may_end.set()
    assert await bridge.drain_requests(DEADLINE) == 0


class Strange(BaseException):
    """What no `except Exception` sees."""


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, Strange])
async def test_whatever_an_app_raises_is_a_500_and_is_logged(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope, receive, send) -> None:
        raise error

    [call] = await run(app)
    assert call[2] == 500
    assert "http_request_failed" in caplog.text


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, Strange, SystemError])
@pytest.mark.parametrize("late", [False, True])
async def test_whatever_a_lifespan_raises_ends_only_itself(
    late: bool, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope, receive, send) -> None:
        if late:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        raise error

    caplog.set_level("INFO")
    bridge = Bridge(FakePool(), app)
    await asyncio.wait_for(bridge.startup(), DEADLINE)
    await asyncio.wait_for(bridge.shutdown(DEADLINE), DEADLINE)
    assert ("http_lifespan_failed" if late else "http_no_lifespan") in caplog.text


async def test_a_start_that_is_given_up_ends_the_app() -> None:
    ended: list[str] = []

    async def app(scope, receive, send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("app")

    bridge = Bridge(FakePool(), app)
    starting = asyncio.create_task(bridge.startup())
    await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await asyncio.wait_for(bridge.shutdown(DEADLINE), DEADLINE)
    assert ended == ["app"]


async def test_a_closed_pool_is_a_client_that_left() -> None:
    pool = FakePool()
    errors: list[BaseException] = []

    async def app(scope, receive, send) -> None:
        pool.is_closed = True
        try:
            await answering(start(), body(b""))(scope, receive, send)
        except OSError as error:
            errors.append(error)
            raise

    bridge = Bridge(pool, app)
    bridge.handle(HttpRequest())
    await bridge.drain_requests(DEADLINE)
    assert len(errors) == 1
    assert pool.calls == []


async def test_lifespan_starts_and_stops_the_app_and_shares_its_state() -> None:
    seen: list[Any] = []

    async def app(scope, receive, send) -> None:
        if scope["type"] == "http":
            seen.append(scope["state"])
            await answering(start(), body(b""))(scope, receive, send)
            return
        seen.append((await receive())["type"])
        scope["state"]["db"] = 1
        await send({"type": "lifespan.startup.complete"})
        seen.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    pool = FakePool()
    bridge = Bridge(pool, app)
    await bridge.startup()
    bridge.handle(HttpRequest())
    await pool.until(1)
    await bridge.shutdown(DEADLINE)
    assert seen == ["lifespan.startup", {"db": 1}, "lifespan.shutdown"]


async def test_an_app_without_lifespan_is_fine() -> None:
    async def app(scope, receive, send) -> None:
        raise KeyError(scope["type"])

    bridge = Bridge(FakePool(), app)
    await asyncio.wait_for(bridge.startup(), DEADLINE)
    await asyncio.wait_for(bridge.shutdown(DEADLINE), DEADLINE)


async def test_an_app_that_cannot_start_says_why() -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(LifespanError, match="no database"):
        await Bridge(FakePool(), app).startup()


async def test_a_lifespan_that_hangs_does_not_hold_up_the_shutdown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope, receive, send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.Event().wait()

    bridge = Bridge(FakePool(), app)
    await bridge.startup()
    await asyncio.wait_for(bridge.shutdown(0.01), DEADLINE)
    assert [record.message for record in caplog.records] == ["http_lifespan_cut seconds=0.01"]
