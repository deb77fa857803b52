"""What the tests of the contract need: short times, and bytes no library sends."""

import asyncio
import base64
import json
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

import dscore
from wire import DEADLINE_SECONDS, Message, Wire, agent

ISO_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Settings = Mapping[str, Mapping[str, object]]


class Running:
    """A server on a port of its own, and a client of its pages."""

    def __init__(self, server: dscore.Server, pages: httpx.AsyncClient) -> None:
        self.server = server
        self.pages = pages
        self.port = server.address[1]

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/deepstream/ws"

    async def health(self) -> tuple[int, dict[str, Any]]:
        """Status and document."""
        answer = await self.pages.get("/deepstream/health")
        return answer.status_code, answer.json()

    async def details(self, agent_id: str) -> dict[str, Any]:
        """What the operator API knows of one agent."""
        answer = await self.pages.get(f"/api/v1/agents/{agent_id}")
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document


@asynccontextmanager
async def running(settings: Settings | None = None, **options: Any) -> AsyncIterator[Running]:
    """A `dscore.Server` with these settings in the test's own process, real sockets and all.

    Args:
        settings: by section; the rest has its defaults.
        options: further arguments of `dscore.Server`.
    """
    merged = {"listen": {"port": 0}, "store": {"path": ":memory:"}, **(settings or {})}
    config = dscore.Config.model_validate(merged)
    async with dscore.Server(config, **options) as server:
        port = server.address[1]
        power = {"authorization": f"Bearer {server.operator_token}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers=power if server.operator_token else {},
            trust_env=False,
            # To read the system's authorities takes several times as long as the server's start.
            verify=False,
            timeout=DEADLINE_SECONDS,
            # A server that drains closes what lies idle, and a request may cross that.
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as pages:
            yield Running(server, pages)


@asynccontextmanager
async def agents(url: str, *names: str, **fields: object) -> AsyncIterator[list[Wire]]:
    """Several introduced agents."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(agent(url, name, **fields)) for name in names]


@asynccontextmanager
async def watcher(url: str, **fields: object) -> AsyncIterator[Wire]:
    """A connection that watches. Whatever it was sent by then it has watched from the start."""
    async with agent(url, "a watcher", introduce=False) as one:
        await one.send("watch", **fields)
        await settled(one)
        yield one


async def settled(one: Wire) -> None:
    """Waits until the server has dealt with all that was sent on this connection before."""
    mark = "no such agent"
    await one.send("client_status_request", clientName=mark)
    while mark not in str((await one.recv_type("server_status_response"))["message"]):
        pass


async def hears_only(one: Wire, *types: str) -> list[Message]:
    """All that has come so far, whose types must be exactly these."""
    await settled(one)
    heard, one.kept = one.kept, []
    assert [message["type"] for message in heard] == list(types), heard
    return heard


async def eventually(
    condition: Callable[[], Awaitable[object]], seconds: float = DEADLINE_SECONDS
) -> None:
    """Asks again and again until the answer is yes."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it never came true"
        await asyncio.sleep(0.01)


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A masked client frame (RFC 6455 §5.2), valid or not; the mask is zero, so the payload is
    readable."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        length = b"\xfe" + struct.pack(">H", len(payload))
    else:
        length = b"\xff" + struct.pack(">Q", len(payload))
    return bytes([first]) + length + bytes(4) + payload


class Bytes:
    """A TCP connection whose every byte the test decides."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def say(self, type_name: str, **fields: object) -> None:
        await self.send(frame(1, json.dumps({"type": type_name, **fields}).encode()))

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers (names in lower case) of an HTTP response."""
        text = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), DEADLINE_SECONDS)
        status, *lines = text.decode().split("\r\n")[:-2]
        fields = (line.partition(":") for line in lines)
        return int(status.split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, which must be whole and unmasked."""
        first, second = await asyncio.wait_for(self.reader.readexactly(2), DEADLINE_SECONDS)
        assert first & 0xF0 == 0x80, "a server frame is whole and uses no extension"
        assert not second & 0x80, "a server frame is not masked"
        size = second
        if second == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif second == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(size)

    async def message(self, type_name: str) -> Message:
        """The next message of this type; passes over everything else."""
        while True:
            opcode, payload = await self.frame()
            assert opcode != 8, payload
            if opcode == 1 and (message := json.loads(payload))["type"] == type_name:
                assert isinstance(message, dict)
                return message

    async def close_payload(self) -> bytes:
        """Payload of the close frame; passes over everything before it."""
        while True:
            opcode, payload = await self.frame()
            if opcode == 8:
                return payload

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the close frame, which it answers; only the end may follow."""
        payload = await self.close_payload()
        self.writer.write(frame(8, payload[:2]))
        assert await self.ended() == b""
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def ended(self) -> bytes:
        """Everything until the end of the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(), DEADLINE_SECONDS)
        except ConnectionResetError:
            return b""  # it had closed before our answer came


@asynccontextmanager
async def tcp(url: str) -> AsyncIterator[Bytes]:
    """Connects, and says nothing."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Bytes(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def upgraded(url: str) -> AsyncIterator[Bytes]:
    """Connects and upgrades, by hand."""
    parts = urlsplit(url)
    key = base64.b64encode(bytes(16)).decode()
    async with tcp(url) as one:
        await one.send(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "\r\n".encode()
        )
        assert (await one.head())[0] == 101
        yield one


@asynccontextmanager
async def introduced(url: str, agent_id: str = "a-1") -> AsyncIterator[Bytes]:
    """An introduced agent whose every further byte the test decides: it answers no ping."""
    async with upgraded(url) as one:
        await one.say("app_ready", instance_id=agent_id)
        await one.message("app_ready_ack")
        yield one
