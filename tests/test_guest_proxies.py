"""A program's own app behind real proxies: its WebSockets and its uploads."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import dscore
import web_session
from certificates import Authority
from dscore.config import Config
from proxies import Proxy, find, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("name", ["nginx", "haproxy", "caddy"]),
]

CLIENT = "127.0.0.2"
"""Where clients come from: it is no trusted proxy."""
MIB = 1 << 20
SIZE = 8 * MIB
"""More than the sockets and the buffers of a proxy on the way hold."""
DEADLINE = 30.0


class App:
    """Echoes messages and counts uploads."""

    def __init__(self) -> None:
        self.clients: list[str] = []
        self.bytes = 0
        self.has_part = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        self.clients.append(scope["client"][0])
        if scope["type"] == "websocket":
            await self._echo(scope, receive, send)
        else:
            await self._take(receive, send)

    async def _echo(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        if scope["path"] == "/refused":
            await send({"type": "websocket.close"})
            return
        assert scope["scheme"] == "wss"
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        while (event := await receive())["type"] == "websocket.receive":
            if event.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4001, "reason": "as you like"})
                return
            await send({**event, "type": "websocket.send"})

    async def _take(self, receive: Any, send: Any) -> None:
        more = True
        while more:
            event = await receive()
            if event["type"] != "http.request":
                return
            self.bytes += len(event["body"])
            more = event["more_body"]
            if self.bytes:
                self.has_part.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % self.bytes})


@asynccontextmanager
async def running(
    name: str, authority: Authority, directory: Path, app: App, **limits: object
) -> AsyncIterator[tuple[Proxy, ssl.SSLContext]]:
    if find(name) is None:
        pytest.skip(f"no {name}: make setup-proxies")
    listen = {"port": 0, "trusted_proxies": ["127.0.0.1"], "names": ["localhost"]}
    config = Config.model_validate({"listen": listen, "limits": limits})
    async with dscore.Server(config, app=app) as server, AsyncExitStack() as stack:
        host, port = server.address
        place: Any = SimpleNamespace(host=host, port=port)
        begun = started(name, place, authority.issue("localhost"), directory)
        proxy = await asyncio.to_thread(begun.__enter__)
        # Its log of the check that it answers is not the app's.
        app.clients.clear()
        stack.push_async_callback(asyncio.to_thread, begun.__exit__, None, None, None)
        yield proxy, ssl.create_default_context(cafile=str(authority.save(directory)))


async def test_websockets_of_the_app_come_through(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    app = App()
    async with running(name, authority, tmp_path, app) as (proxy, trust):
        base = f"wss://localhost:{proxy.port}"
        options: dict[str, Any] = {
            "ssl": trust,
            "local_addr": (CLIENT, 0),
            "family": socket.AF_INET,
            "proxy": None,
        }
        protocols = ["echo-2", "echo-1"]
        async with connect(f"{base}/echo", subprotocols=protocols, **options) as wire:
            assert wire.subprotocol == "echo-2"
            for said in ("hello", b"\x00" * 200_000):
                await wire.send(said)
                assert await asyncio.wait_for(wire.recv(), DEADLINE) == said
            await wire.send("bye")
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(wire.recv(), DEADLINE)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you like")
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{base}/refused", **options):
                pass
        assert refused.value.response.status_code == 403
        assert app.clients == [CLIENT, CLIENT]


async def test_an_upload_reaches_the_app_while_it_is_still_being_sent(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    app = App()

    async def parts() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        # A proxy that kept the body until it is whole would never let this come.
        await asyncio.wait_for(app.has_part.wait(), DEADLINE)
        for _ in range(SIZE // MIB - 1):
            yield bytes(MIB)

    async with running(name, authority, tmp_path, app) as (proxy, trust):
        async with (
            web_session.secure(trust, CLIENT) as session,
            session.post(f"{proxy.url}/upload", data=parts()) as answer,
        ):
            assert (answer.status, await answer.text()) == (200, str(SIZE))
        assert app.clients == [CLIENT]


async def test_an_upload_over_the_servers_bound_is_answered_413(
    name: str, authority: Authority, tmp_path: Path
) -> None:
    app = App()
    async with running(name, authority, tmp_path, app, upload_size=2 * MIB) as (proxy, trust):
        async with (
            web_session.secure(trust, CLIENT) as session,
            session.post(f"{proxy.url}/upload", data=BytesIO(bytes(2 * MIB + 1))) as answer,
        ):
            assert answer.status == 413
        assert app.bytes == 0
