"""WebSockets of a program's own app: FastAPI's and plain ones, with clients of every kind."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import websockets
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.responses import JSONResponse
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.protocol import State

import dscore
from certificates import Authority
from dscore.config import Config
from faked import eventually

DEADLINE = 30.0
MIB = 1 << 20
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def client_frame(opcode: int, payload: bytes) -> bytes:
    """A whole frame, masked with zeros (RFC 6455 §5.2)."""
    length = len(payload)
    size = struct.pack("!B", 0x80 | length) if length < 126 else struct.pack("!BH", 0xFE, length)
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


Handler = Callable[[Any, Any, Any], Awaitable[None]]


class App:
    """A plain ASGI app: `handle` has its WebSockets."""

    def __init__(self, handle: Handler) -> None:
        self.handle = handle
        self.log: list[str] = []
        self.scopes: list[Any] = []
        self.events: list[Any] = []
        """What was received of any WebSocket."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            scope["state"]["kept"] = "of the lifespan"
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.log.append("lifespan.shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"page"})
            return

        async def noted() -> Any:
            event = await receive()
            self.events.append(event)
            if event["type"] == "websocket.disconnect":
                self.log.append(f"disconnect {event['code']} {event['reason']}".rstrip())
            return event

        self.scopes.append(scope)
        await self.handle(scope, noted, send)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert await receive() == {"type": "websocket.connect"}
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


def config(**sections: object) -> Config:
    return Config.model_validate({"listen": {"port": 0}, **sections})


@asynccontextmanager
async def serving(app: Any, **sections: object) -> AsyncIterator[dscore.Server]:
    async with dscore.Server(config(**sections), app=app) as server:
        yield server


def connect(server: dscore.Server, path: str = "/ws", **options: Any) -> websockets.connect:
    host, port = server.address
    options = {"open_timeout": DEADLINE, "compression": None, "proxy": None, **options}
    return websockets.connect(f"ws://{host}:{port}{path}", **options)


async def raw(server: dscore.Server, data: bytes = UPGRADE) -> tuple[asyncio.StreamReader, Any]:
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(data)
    return reader, writer


async def head_of(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), DEADLINE)


def reset(writer: asyncio.StreamWriter) -> None:
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def closing_of(client: ClientConnection) -> tuple[int, str]:
    try:
        while True:
            await asyncio.wait_for(client.recv(), DEADLINE)
    except ConnectionClosed as closed:
        return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")


def guests(server: dscore.Server) -> int:
    return server.core_stats()["guest_websockets"]


# What an app sees.


async def test_fastapi_has_websockets_beside_its_pages() -> None:
    app = FastAPI()
    left: list[int] = []

    @app.websocket("/cameras/{name}")
    async def camera(socket: WebSocket, name: str, zoom: int = 1) -> None:
        await socket.accept(subprotocol="view.2", headers=[(b"x-served-by", b"app")])
        await socket.send_json({"name": name, "zoom": zoom})
        try:
            while True:
                await socket.send_text((await socket.receive_text()).upper())
        except WebSocketDisconnect as error:
            left.append(error.code)

    async with serving(app) as server:
        options = {"subprotocols": ["view.1", "view.2"]}
        async with connect(server, "/cameras/a%20b?zoom=3", **options) as client:
            assert client.subprotocol == "view.2"
            assert client.response is not None
            assert client.response.headers["x-served-by"] == "app"
            assert await client.recv() == '{"name":"a b","zoom":3}'
            await client.send("grün")
            assert await client.recv() == "GRÜN"
            assert guests(server) == 1
        await eventually(lambda: left == [1000], DEADLINE)
        await eventually(lambda: guests(server) == 0, DEADLINE)
        assert server.core_stats()["guest_websockets_total"] == 1


async def test_the_scope_says_what_was_asked() -> None:
    app = App(echo)
    async with serving(app) as server:
        async with connect(server, "/a%2Fb/%C3%A9?q=%20x", subprotocols=["one", "two"]) as client:
            assert client.subprotocol is None
            port = client.local_address[1]
        [scope] = app.scopes
        assert scope["type"] == "websocket"
        assert scope["asgi"] == {"version": "3.0", "spec_version": "2.4"}
        assert (scope["scheme"], scope["http_version"]) == ("ws", "1.1")
        assert (scope["path"], scope["raw_path"]) == ("/a/b/é", b"/a%2Fb/%C3%A9")
        assert (scope["query_string"], scope["root_path"]) == (b"q=%20x", "")
        assert scope["subprotocols"] == ["one", "two"]
        assert scope["client"] == ("127.0.0.1", port)
        assert scope["server"] == server.address
        assert scope["extensions"] == {"websocket.http.response": {}}
        assert scope["state"] == {"kept": "of the lifespan"}
        assert (b"sec-websocket-protocol", b"one, two") in scope["headers"]
        assert "method" not in scope


async def test_it_is_wss_where_tls_is_ours(authority: Authority, tmp_path: Path) -> None:
    files = authority.issue("localhost", "127.0.0.1").save(tmp_path)
    tls = {"certificates": [str(files.certificate)], "keys": [str(files.key)]}
    app = App(echo)
    async with serving(app, tls=tls) as server:
        context = authority.client_context()
        url = f"wss://127.0.0.1:{server.address[1]}/ws"
        async with websockets.connect(url, ssl=context, compression=None, proxy=None) as client:
            await client.send("x" * 300_000)
            assert await client.recv() == "x" * 300_000
        assert app.scopes[0]["scheme"] == "wss"


async def test_messages_are_text_and_binary_whole_or_in_fragments() -> None:
    app = App(echo)
    async with serving(app) as server, connect(server) as client:
        for message in ("", "text", b"", b"\x00\xff", "y" * 200_000, b"z" * 200_000):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["in ", "three ", "parts"])
        assert await client.recv() == "in three parts"
        waiter = await client.ping()
        await asyncio.wait_for(waiter, DEADLINE)
        assert app.events[1] == {"type": "websocket.receive", "text": "", "bytes": None}
        assert app.events[3] == {"type": "websocket.receive", "text": None, "bytes": b""}


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [(1000, "", "1000"), (4001, "enough é", "4001 enough é"), (None, "", "1005")],
)
async def test_a_close_of_the_clients_is_told_with_code_and_reason(
    code: int | None, reason: str, told: str
) -> None:
    app = App(echo)
    async with serving(app) as server:
        reader, writer = await raw(server)
        assert b" 101 " in await head_of(reader)
        payload = b"" if code is None else struct.pack("!H", code) + reason.encode()
        writer.write(client_frame(8, payload))
        assert (await asyncio.wait_for(reader.read(), DEADLINE))[2:] == payload[:2]
        await eventually(lambda: app.log == [f"disconnect {told}"], DEADLINE)
        writer.close()


@pytest.mark.parametrize("way", ["reset", "end", "half a frame"])
async def test_a_client_that_vanishes_is_told_as_1006(way: str) -> None:
    app = App(echo)
    async with serving(app) as server:
        reader, writer = await raw(server)
        await head_of(reader)
        if way == "half a frame":
            writer.write(client_frame(1, b"never whole")[:-3])
        if way == "reset":
            reset(writer)
        else:
            writer.close()
        await eventually(lambda: app.log == ["disconnect 1006"], DEADLINE)
        assert guests(server) == 0


async def test_an_app_closes_with_code_and_reason() -> None:
    async def closing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4321, "reason": "é" * 100})
        assert (await receive())["type"] == "websocket.disconnect"

    app = App(closing)
    async with serving(app) as server:
        async with connect(server) as client:
            # As much of it as a close frame holds.
            assert await closing_of(client) == (4321, "é" * 61)
        await eventually(lambda: len(app.log) == 1, DEADLINE)
        assert app.log[0].startswith("disconnect 4321")


# Before it is accepted.


async def test_a_close_before_the_acceptance_is_403() -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close"})
        assert await receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async with serving(App(refusing)) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(server)
        assert raised.value.response.status_code == 403


async def test_an_upgrade_is_answered_by_any_response_and_the_connection_goes_on() -> None:
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"x-why", b"login"), (b"content-length", b"8")]
        start = {"type": "websocket.http.response.start", "status": 401, "headers": headers}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": b"log ", "more_body": True})
        await send({"type": "websocket.http.response.body", "body": b"in !"})

    async with serving(App(refusing)) as server:
        reader, writer = await raw(server)
        for _ in range(2):
            head = await head_of(reader)
            assert head.startswith(b"HTTP/1.1 401 ")
            assert b"x-why: login" in head
            assert await reader.readexactly(8) == b"log in !"
            writer.write(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b" 200 " in await head_of(reader)
            assert await reader.readexactly(4) == b"page"
            writer.write(UPGRADE)
        writer.close()


async def test_starlettes_denial_is_understood() -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def denied(socket: WebSocket) -> None:
        await socket.send_denial_response(JSONResponse({"error": "no"}, status_code=429))

    async with serving(app) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(server)
        assert raised.value.response.status_code == 429
        assert raised.value.response.body == b'{"error":"no"}'
        with pytest.raises(InvalidStatus) as raised:
            await connect(server, "/nowhere")
        assert raised.value.response.status_code == 403


async def test_an_app_that_never_answers_has_the_time_of_a_handshake() -> None:
    told = asyncio.Event()

    async def mute(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        assert (await receive())["type"] == "websocket.disconnect"
        with pytest.raises(OSError, match="left"):
            await send({"type": "websocket.accept"})
        told.set()

    async with serving(App(mute), limits={"handshake_timeout": "50ms"}) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(server)
        assert raised.value.response.status_code == 504
        await asyncio.wait_for(told.wait(), DEADLINE)


@pytest.mark.parametrize("way", ["reset", "end"])
async def test_a_client_that_vanishes_while_the_app_thinks_is_told_of(way: str) -> None:
    begun, told = asyncio.Event(), asyncio.Event()

    async def thinking(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        begun.set()
        assert (await receive())["code"] == 1006
        told.set()

    async with serving(App(thinking)) as server:
        _, writer = await raw(server)
        await asyncio.wait_for(begun.wait(), DEADLINE)
        if way == "reset":
            reset(writer)
        else:
            writer.close()
        await asyncio.wait_for(told.wait(), DEADLINE)
        await eventually(lambda: server.core_stats()["http_connections"] == 0, DEADLINE)


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        (b"Sec-WebSocket-Version", b"12", 426),
        (b"Sec-WebSocket-Key", b"short", 400),
        (b"Connection", b"close", 400),
    ],
)
async def test_a_bad_handshake_never_reaches_the_app(
    field: bytes, value: bytes, status: int
) -> None:
    app = App(echo)
    async with serving(app) as server:
        lines = [
            line if not line.startswith(field + b":") else field + b": " + value
            for line in UPGRADE.split(b"\r\n")
        ]
        reader, writer = await raw(server, b"\r\n".join(lines))
        assert (await head_of(reader)).startswith(b"HTTP/1.1 %d " % status)
        assert not app.scopes
        writer.close()


async def test_without_an_app_there_is_no_such_path_and_our_pages_are_none() -> None:
    async with dscore.Server(config()) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(server)
        assert raised.value.response.status_code == 404
    app = App(echo)
    async with serving(app) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(server, "/livez")
        assert raised.value.response.status_code == 200
        assert not app.scopes


async def test_origins_are_the_apps_to_judge() -> None:
    app = App(echo)
    async with serving(app) as server, connect(server, origin="https://elsewhere"):
        assert (b"origin", b"https://elsewhere") in app.scopes[0]["headers"]


# Faults of apps.


@pytest.mark.parametrize(
    "accept",
    [
        {"subprotocol": "not offered"},
        {"headers": [(b"x", b"a\r\nb: c")]},
        {"headers": [(b"a b", b"c")]},
        {"headers": [(b"", b"c")]},
        {"headers": [(b"Sec-WebSocket-Accept", b"forged")]},
        {"headers": [(b"Sec-WebSocket-Protocol", b"smuggled")]},
        {"headers": [(b"Content-Length", b"5")]},
        {"headers": [(b"x", b"y" * 70_000)]},
    ],
)
async def test_an_acceptance_that_cannot_be_is_the_apps_error(
    accept: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def wrong(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", **accept})

    async with serving(App(wrong)) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(server)
        assert raised.value.response.status_code == 500
    assert any(one.message.startswith("http_request_failed") for one in caplog.records)


async def test_an_app_may_try_again_after_an_acceptance_that_could_not_be() -> None:
    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with pytest.raises(ValueError, match="subprotocol"):
            await send({"type": "websocket.accept", "subprotocol": "x"})
        await send({"type": "websocket.accept"})
        with pytest.raises(ValueError, match="1005"):
            await send({"type": "websocket.close", "code": 1005})
        with pytest.raises(ValueError, match="neither"):
            await send({"type": "websocket.send"})
        with pytest.raises(RuntimeError, match="accept"):
            await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4000})
        with pytest.raises(RuntimeError, match=r"websocket\.send"):
            await send({"type": "websocket.send", "text": "late"})

    async with serving(App(stubborn)) as server, connect(server) as client:
        assert await closing_of(client) == (4000, "")


@pytest.mark.parametrize("moment", ["before", "returns", "in the response"])
async def test_an_app_that_fails_before_it_accepts_is_a_500_or_cut(moment: str) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if moment == "in the response":
            await send({"type": "websocket.http.response.start", "status": 401})
        if moment != "returns":
            raise ZeroDivisionError

    async with serving(App(failing)) as server:
        with pytest.raises(InvalidStatus) as raised:
            await connect(server)
        assert raised.value.response.status_code == 500


async def test_an_app_that_fails_after_it_accepted_closes_1011_and_one_that_returns_1000(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def ending(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/fails":
            raise ZeroDivisionError

    async with serving(App(ending)) as server:
        async with connect(server, "/fails") as client:
            assert await closing_of(client) == (1011, "Internal Server Error")
        async with connect(server, "/returns") as client:
            assert await closing_of(client) == (1000, "")
    failed = [one for one in caplog.records if one.message.startswith("http_request_failed")]
    assert len(failed) == 1


async def test_an_app_that_is_surprised_by_a_client_that_left_is_not_blamed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FastAPI()
    ended = asyncio.Event()

    @app.websocket("/ws")
    async def careless(socket: WebSocket) -> None:
        try:
            await socket.accept()
            await socket.receive_text()
        finally:
            ended.set()

    async with serving(app) as server:
        async with connect(server):
            pass
        await asyncio.wait_for(ended.wait(), DEADLINE)
    assert [one.message for one in caplog.records if "failed" in one.message] == []


# Pressure.


async def test_an_app_that_does_not_receive_is_not_flooded() -> None:
    may_receive = asyncio.Event()
    received = 0

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal received
        await receive()
        await send({"type": "websocket.accept"})
        await may_receive.wait()
        while (event := await receive())["type"] == "websocket.receive":
            assert event["text"] == f"{received:01000}"
            received += 1

    count = 20_000
    async with serving(App(slow)) as server, connect(server) as client:

        async def flood() -> None:
            for number in range(count):
                await client.send(f"{number:01000}")

        flooding = asyncio.create_task(flood())
        stats = server.core_stats
        await eventually(lambda: stats()["messages_received_total"] > 40, DEADLINE)
        # 64 KiB of messages and what they cost, then nothing more.
        for _ in range(20):
            await asyncio.sleep(0.01)
        assert stats()["messages_received_total"] < 130
        assert not flooding.done()
        may_receive.set()
        await asyncio.wait_for(flooding, DEADLINE * 2)
        await eventually(lambda: received == count, DEADLINE * 2)


async def test_what_all_apps_together_have_not_received_is_bounded() -> None:
    """Each client may have one long message waiting; the bound of all of them is input_bytes."""
    may_receive = asyncio.Event()
    first: list[Any] = []

    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await may_receive.wait()
        first.append(await receive())

    limits, listen = {"input_bytes": 4 * MIB}, {"port": 0, "reactors": 1}
    async with (
        serving(App(deaf), limits=limits, listen=listen) as server,
        AsyncExitStack() as stack,
    ):
        clients = [await stack.enter_async_context(connect(server)) for _ in range(16)]
        for client in clients:
            with suppress(ConnectionClosed):
                await client.send(bytes(900_000))

        def are_turned_away() -> bool:
            left = sum(client.state is State.OPEN for client in clients)
            return left < 5 and left == guests(server)

        await eventually(are_turned_away, DEADLINE)
        assert 0 < server.core_stats()["input_bytes"] <= 4 * MIB
        may_receive.set()
        await eventually(lambda: len(first) == len(clients), DEADLINE)
        closings = Counter([await closing_of(client) for client in clients])
        away = closings[1013, "too many unfinished messages"]
        assert away > 10
        # What those had sent is held for no app any more.
        assert Counter(event["type"] for event in first)["websocket.receive"] < 5


async def test_a_client_that_does_not_read_holds_the_app_back() -> None:
    sent = 0
    left = asyncio.Event()

    async def fast(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await receive()
        await send({"type": "websocket.accept"})

        async def push() -> None:
            nonlocal sent
            while True:
                await send({"type": "websocket.send", "bytes": bytes(50_000)})
                sent += 1

        # Several at once must not get around it either.
        pushing = [asyncio.create_task(push()) for _ in range(3)]
        assert (await receive())["type"] == "websocket.disconnect"
        for ended in await asyncio.gather(*pushing, return_exceptions=True):
            assert isinstance(ended, OSError)
        left.set()

    async with serving(App(fast), limits={"outbox_bytes": 65_536}) as server:
        reader, writer = await raw(server)
        await head_of(reader)
        writer.transport.pause_reading()
        before = -1
        while before != sent:
            before = sent
            for _ in range(20):
                await asyncio.sleep(0.01)
        assert server.core_stats()["outbox_bytes"] < MIB
        assert server.core_stats()["slow_consumers_total"] == 0
        writer.transport.resume_reading()
        for _ in range(100):
            await asyncio.wait_for(reader.readexactly(50_000), DEADLINE)
        assert sent > before
        reset(writer)
        await asyncio.wait_for(left.wait(), DEADLINE)


async def test_a_message_larger_than_an_outbox_is_sent() -> None:
    async def large(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": bytes(8 * MIB)})
        await receive()

    async with serving(App(large)) as server, connect(server, max_size=None) as client:
        assert len(await asyncio.wait_for(client.recv(), DEADLINE)) == 8 * MIB


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (client_frame(1, b"\xff\xfe"), 1007),
        (client_frame(1, b"x" * 2000), 1009),
        (b"\x81\x05hello", 1002),
        (client_frame(3, b""), 1002),
        (client_frame(8, b"\x03\xed"), 1002),
    ],
)
async def test_a_client_that_breaks_the_rules_is_told_and_so_is_the_app(
    sent: bytes, code: int
) -> None:
    app = App(echo)
    async with serving(app, socket={"max_message_size": 1000}) as server:
        reader, writer = await raw(server)
        await head_of(reader)
        writer.write(client_frame(1, b"before") + sent)
        answer = await asyncio.wait_for(reader.read(), DEADLINE)
        assert struct.pack("!H", code) in answer
        await eventually(lambda: len(app.log) == 1, DEADLINE)
        assert app.log[0].startswith(f"disconnect {code}")
        assert app.events[1]["text"] == "before"
        writer.close()


async def test_upgrades_that_wait_take_no_place_from_requests_nor_websockets_that_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dscore.http.lanes.UPGRADES", 1)
    may_accept = asyncio.Event()

    async def thinking(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"] == "/thinks":
            await may_accept.wait()
        await echo(scope, connected, send)

    async def connected() -> Any:
        return {"type": "websocket.connect"}

    async with serving(App(echo)) as server:
        # However many are open, the next one has its turn.
        clients = [await connect(server) for _ in range(4)]
        assert server.core_stats()["http_requests_running"] == 0
        for client in clients:
            await client.close()
    async with serving(App(thinking)) as server:
        first, second = [asyncio.create_task(_thinks(server)) for _ in range(2)]
        reader, writer = await raw(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in await head_of(reader)
        writer.close()
        may_accept.set()
        for task in (first, second):
            await (await asyncio.wait_for(task, DEADLINE)).close()


async def _thinks(server: dscore.Server) -> ClientConnection:
    return await connect(server, "/thinks")


# The server's states.


async def test_a_stop_closes_1001_then_ends_the_lifespan() -> None:
    app = App(echo)
    async with dscore.Server(config(), app=app) as server:
        client = await connect(server)
        closing = asyncio.create_task(closing_of(client))
        await server.close()
        assert await closing == (1001, "Server shutting down gracefully")
    reason = "Server shutting down gracefully"
    assert app.log == [f"disconnect 1001 {reason}", "lifespan.shutdown"]


async def test_an_app_that_ignores_the_end_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    async def deaf(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.Event().wait()

    app = App(deaf)
    async with dscore.Server(config(shutdown={"request_timeout": 0}), app=app) as server:
        client = await connect(server)
        closing = asyncio.create_task(closing_of(client))
        await server.close()
        assert (await closing)[0] == 1001
    assert app.log == ["lifespan.shutdown"]
    assert any(one.message.startswith("http_request_cut") for one in caplog.records)


async def test_a_drain_closes_them_1001_and_new_ones_1013() -> None:
    app = App(echo)
    async with serving(app) as server:
        client = await connect(server)
        closing = asyncio.create_task(closing_of(client))
        await server.drain(timeout=0)
        assert await closing == (1001, "Server shutting down gracefully")
        async with connect(server, subprotocols=["any"]) as late:
            assert await closing_of(late) == (1013, "Server shutting down")
        assert len(app.scopes) == 1


async def test_maintenance_is_no_business_of_theirs() -> None:
    async with serving(App(echo)) as server, connect(server) as before:
        server.set_maintenance(enabled=True)
        async with connect(server) as during:
            for client in (before, during):
                await client.send("still")
                assert await client.recv() == "still"


async def test_they_are_no_agents() -> None:
    async with serving(App(echo)) as server, connect(server) as client:
        ready = '{"type":"app_ready","instance_id":"cam-1"}'
        await client.send(ready)
        assert await client.recv() == ready, "whatever they say is the app's"
        assert server.fleet.agent("cam-1") is None
        assert server.core_stats()["connections"] == 0
        reader, writer = await raw(
            server, b"GET /deepstream/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        await head_of(reader)
        assert b'"total_connections":0' in await asyncio.wait_for(reader.read(4096), DEADLINE)
        writer.close()


async def test_they_count_for_the_limit_of_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    # Loopback has none: a trusted proxy's clients do.
    limits = {"connections_per_address": 1}
    listen = {"port": 0, "trusted_proxies": ["127.0.0.1"]}
    settings = Config.model_validate({"listen": listen, "limits": limits})

    async def choosy(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/denied":
            await receive()
            await send({"type": "websocket.close"})
        else:
            await echo(scope, receive, send)

    async with dscore.Server(settings, app=App(choosy)) as server:
        options = {"additional_headers": {"X-Forwarded-For": "203.0.113.7"}}
        for _ in range(3):
            with pytest.raises(InvalidStatus):
                await connect(server, "/denied", **options)
        await eventually(lambda: server.core_stats()["http_connections"] == 0, DEADLINE)
        async with connect(server, **options), connect(server, **options) as second:
            assert (await closing_of(second))[0] == 1013
        await eventually(lambda: guests(server) == 0, DEADLINE)
        async with connect(server, **options) as third:
            await third.send("x")
            assert await third.recv() == "x"


async def test_what_comes_before_the_acceptance_waits_and_is_bounded() -> None:
    begun, may_accept = asyncio.Event(), asyncio.Event()
    received = 0

    async def thinking(scope: Any, receive: Any, send: Any) -> None:
        nonlocal received
        await receive()
        begun.set()
        await may_accept.wait()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            assert event["bytes"] == bytes(1000)
            received += 1

    count = 8000
    async with serving(App(thinking)) as server:
        reader, writer = await raw(server)
        writer.write(client_frame(2, bytes(1000)) * count)
        await asyncio.wait_for(begun.wait(), DEADLINE)
        await eventually(lambda: server.core_stats()["input_bytes"] > 1000, DEADLINE)
        assert server.core_stats()["input_bytes"] < MIB
        may_accept.set()
        assert b" 101 " in await head_of(reader)
        await eventually(lambda: received == count, DEADLINE * 2)
        writer.close()


async def test_a_client_that_answers_no_ping_is_told_1011() -> None:
    app = App(echo)
    times = {"ping_interval": "50ms", "ping_timeout": "50ms"}
    async with serving(app, socket=times) as server:
        reader, writer = await raw(server)
        await head_of(reader)
        said = await asyncio.wait_for(reader.read(), DEADLINE)
        assert said.endswith(struct.pack("!H", 1011) + b"ping timeout")
        await eventually(lambda: app.log == ["disconnect 1011 ping timeout"], DEADLINE)
        writer.close()


async def test_past_the_limit_of_connections_they_are_closed_1013() -> None:
    limits = {"connections": 2}
    async with (
        serving(App(echo), limits=limits) as server,
        connect(server) as first,
        connect(server) as second,
    ):
        async with connect(server) as third:
            assert await closing_of(third) == (1013, "Server connection limit reached")
        for client in (first, second):
            await client.send("still")
            assert await client.recv() == "still"
