"""A server for one agent that says exactly what the test tells it to.

    async with FakeServer() as server:
        agent = Agent(server.config())
        await agent.start()
        peer = await server.accept()
        await peer.acknowledge()
        await peer.close(1001, "Server shutting down gracefully")

It answers `/deepstream/health` with `health`, on the same port. With `dialect="socketio"` it says
all of that in Socket.IO.
"""

import asyncio
import http
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from dscore_agent import AgentConfig, ReconnectPolicy
from dscore_agent.config import PATHS, Dialect

# Every wait of a test ends; nothing on loopback takes this long.
SECONDS = 30.0

Message = dict[str, Any]


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: ServerConnection, dialect: Dialect = "raw") -> None:
        self.socket = socket
        self.introduction: Message = {}
        self.auth: str = ""
        """What came with the Socket.IO CONNECT."""
        self._dialect = dialect

    async def recv_text(self) -> str:
        """The next text message as it is."""
        text = await asyncio.wait_for(self.socket.recv(), SECONDS)
        assert isinstance(text, str)
        return text

    async def recv(self) -> Message:
        """The next message."""
        text = await self.recv_text()
        if self._dialect == "socketio":
            assert text[:2] == "42", text
            name, argument = json.loads(text[2:])
            return {"type": name, **argument}
        message = json.loads(text)
        assert isinstance(message, dict)
        return message

    async def invite(self) -> None:
        """What Engine.IO and Socket.IO say before the first event."""
        limits = {"pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}
        await self.socket.send("0" + json.dumps({"sid": "e-1", "upgrades": [], **limits}))
        text = await self.recv_text()
        assert text[:2] == "40", text
        self.auth = text[2:]
        await self.socket.send('40{"sid":"s-1"}')

    async def recv_type(self, type_name: str) -> Message:
        """The next message of this type; those before it are dropped."""
        while (message := await self.recv())["type"] != type_name:
            pass
        return message

    async def messages(self) -> AsyncIterator[Message]:
        """All that come until the agent closes."""
        with suppress(ConnectionClosed):
            while True:
                yield await self.recv()

    async def send(self, type_name: str, **fields: object) -> None:
        """Sends one message of this type."""
        if self._dialect == "socketio":
            await self.socket.send("42" + json.dumps([type_name, fields]))
            return
        await self.socket.send(json.dumps({"type": type_name, **fields}))

    async def acknowledge(self, **fields: object) -> Message:
        """Takes the introduction and acknowledges it; returns it."""
        self.introduction = await self.recv_type("app_ready")
        again = self.introduction["reconnection"]
        answer = {"status": "ok", "session_restored": again, "server_status": "running", **fields}
        await self.send("reconnection_ack" if again else "app_ready_ack", **answer)
        return self.introduction

    async def close(self, code: int, reason: str = "") -> None:
        """Closes, and waits until the agent has answered."""
        await self.socket.close(code, reason)

    def cut(self) -> None:
        """Ends the connection without a close frame."""
        self.socket.transport.abort()

    async def closed(self) -> tuple[int, str]:
        """Code and reason with which the agent closed; what it says before is dropped."""
        try:
            while True:
                await asyncio.wait_for(self.socket.recv(), SECONDS)
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


class FakeServer:
    """Listens on a loopback port of its own."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, dialect: Dialect = "raw", invites: bool = True
    ) -> None:
        self.health: Message | None = {"status": "ok"}
        """What the health page says; None: nothing at all."""
        self.looks = 0
        """How often it was asked."""
        self.asked_about: list[str | None] = []
        """The `instance_id` of each question."""
        self.port = 0
        self._tls = tls
        self._dialect: Dialect = dialect
        self._invites = invites and dialect == "socketio"
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self._server: Server | None = None
        self._leaving = asyncio.Event()

    @property
    def url(self) -> str:
        """Where agents connect."""
        return f"{'wss' if self._tls else 'ws'}://localhost:{self.port}{PATHS[self._dialect]}"

    def config(self, **fields: Any) -> AgentConfig:
        """Settings of an agent that comes here, without waits that a test would have to sit out."""
        quick = ReconnectPolicy(base=0.01, restart_delay=0.01, shutdown_delay=0.01, jitter=False)
        return AgentConfig(
            **{
                "url": self.url,
                "dialect": self._dialect,
                "instance_id": "a-1",
                "reconnect": quick,
                **fields,
            }
        )

    async def accept(self) -> Peer:
        """The next connection."""
        return await asyncio.wait_for(self._peers.get(), SECONDS)

    async def acquaint(self, **fields: object) -> Peer:
        """The next connection, acknowledged."""
        peer = await self.accept()
        await peer.acknowledge(**fields)
        return peer

    async def __aenter__(self) -> "FakeServer":
        self._server = await serve(
            self._handle,
            "localhost",
            0 if self.port == 0 else self.port,
            process_request=self._answer,
            ssl=self._tls,
            compression=None,
            ping_interval=None,
            close_timeout=2,
            max_size=None,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._leaving.set()
        self._server.close()
        await self._server.wait_closed()

    async def _handle(self, socket: ServerConnection) -> None:
        peer = Peer(socket, self._dialect)
        if self._invites:
            await peer.invite()
        await self._peers.put(peer)
        await socket.wait_closed()

    async def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        if parts.path != "/deepstream/health":
            return None
        self.looks += 1
        self.asked_about.append(dict(parse_qsl(parts.query)).get("instance_id"))
        if self.health is None:
            await self._leaving.wait()
        body = json.dumps(self.health).encode()
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        return Response(http.HTTPStatus.OK, "OK", headers, body)


async def until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Waits for a condition, on the loop.

    Raises:
        TimeoutError: it never came about; says `what` was waited for.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        if loop.time() > deadline:
            raise TimeoutError(f"no {what} within {seconds} s")
        await asyncio.sleep(0.005)
