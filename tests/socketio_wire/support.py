"""Engine.IO clients that say exactly what a test tells them to, and bare servers for them.

async with engineio() as here:
    session = await here.open()
    await session.say("4hello")
    assert await session.packets() == ["4hello"]
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from compliance.socketio_app import SERVERS
from dscore import core
from protocol.support import Bytes, eventually, tcp
from wire import DEADLINE_SECONDS

SEPARATOR = "\x1e"
# One packet of EIO3's text form; its length counts UTF-16 code units.
EIO3_LENGTH = re.compile(r"(\d+):")


class Answer(NamedTuple):
    """What came back for one HTTP request; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> int:
        """The number of Engine.IO's error, which every refused request has."""
        document = json.loads(self.body)
        assert set(document) == {"code", "message"}, document
        assert isinstance(document["message"], str)
        return int(document["code"])


class Web(Bytes):
    """An HTTP connection that is kept: requests may be sent ahead of their answers."""

    async def ask(
        self,
        method: str,
        target: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Sends a request and does not wait."""
        data = body.encode() if isinstance(body, str) else body
        fields = {"Host": "localhost", **(headers or {})}
        if data is not None and "Transfer-Encoding" not in fields:
            fields.setdefault("Content-Length", str(len(data)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{n}: {v}" for n, v in fields.items())]
        await self.send("\r\n".join([*lines, "", ""]).encode() + (data or b""))

    async def answer(self, *, to_head: bool = False) -> Answer:
        """The next answer. `to_head`: it answers a HEAD, and has no body."""
        status, headers = await self.head()
        if to_head or status in (204, 304):
            return Answer(status, headers, b"")
        return Answer(
            status, headers, await asyncio.wait_for(self._body(headers), DEADLINE_SECONDS)
        )

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    async def fetch(self, method: str, target: str, **options: Any) -> Answer:
        """Sends a request and waits for its answer."""
        await self.ask(method, target, **options)
        return await self.answer(to_head=method == "HEAD")


@asynccontextmanager
async def web(port: int) -> AsyncIterator[Web]:
    """Connects, and says nothing."""
    async with tcp(f"http://127.0.0.1:{port}") as one:
        yield Web(one.reader, one.writer)


async def fetch(port: int, method: str, target: str, **options: Any) -> Answer:
    """One request on a connection of its own."""
    async with web(port) as one:
        return await one.fetch(method, target, **options)


def split_payload(text: str, eio: int) -> list[str]:
    """The packets of a poll's answer, text form."""
    if eio == 4:
        return text.split(SEPARATOR)
    packets = []
    units = text.encode("utf-16-le")
    while units:
        found = EIO3_LENGTH.match(units.decode("utf-16-le", "surrogatepass"))
        assert found, units
        start = 2 * found.end()
        end = start + 2 * int(found[1])
        packets.append(units[start:end].decode("utf-16-le"))
        units = units[end:]
    return packets


def join_payload(packets: Iterable[str], eio: int) -> str:
    """The body of a POST, text form."""
    if eio == 4:
        return SEPARATOR.join(packets)
    return "".join(f"{len(one.encode('utf-16-le')) // 2}:{one}" for one in packets)


class Session:
    """A session over polling. Every request goes over a connection of its own."""

    def __init__(self, port: int, path: str, eio: int, opened: Mapping[str, Any]) -> None:
        self.port = port
        self.eio = eio
        self.opened = opened
        self.sid = str(opened["sid"])
        self.path = path
        # What came behind the open packet, and was not asked for yet.
        self.kept: list[str] = []

    @property
    def target(self) -> str:
        return f"{self.path}?EIO={self.eio}&transport=polling&sid={self.sid}"

    async def poll(self, **options: Any) -> Answer:
        return await fetch(self.port, "GET", self.target, **options)

    async def packets(self) -> list[str]:
        """What one poll brings; fails when the session has ended."""
        if self.kept:
            kept, self.kept = self.kept, []
            return kept
        answer = await self.poll()
        assert answer.status == 200, answer
        assert answer.headers["content-type"].lower() == "text/plain; charset=utf-8"
        return split_payload(answer.text, self.eio)

    async def collect(self, count: int) -> list[str]:
        """So many packets, of as many polls as it takes; answers pings, and leaves them out."""
        found: list[str] = []
        while len(found) < count:
            for packet in await self.packets():
                if packet == "2" and self.eio == 4:
                    await self.say("3")
                else:
                    found.append(packet)
        assert len(found) == count, found
        return found

    async def post(self, body: bytes | str, **headers: str) -> Answer:
        """`content_type="…"` becomes a header."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        fields.setdefault("Content-Type", "text/plain;charset=UTF-8")
        return await fetch(self.port, "POST", self.target, body=body, headers=fields)

    async def say(self, *packets: str) -> None:
        """Posts these packets; the server must take them."""
        answer = await self.post(join_payload(packets, self.eio))
        assert (answer.status, answer.text) == (200, "ok"), answer

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[Web]:
        """A poll that the server holds. Answers come from `answer`."""
        async with web(self.port) as one:
            await one.ask("GET", self.target)
            await self.overtaken()
            yield one

    async def overtaken(self) -> None:
        """Waits until the server has read what was sent before: a later connection was served."""
        assert (await fetch(self.port, "GET", f"{self.path}?transport=none")).status == 400

    async def is_gone(self) -> None:
        """Fails unless the server does not know this session any more."""
        answer = await self.poll()
        assert answer.status == 400, answer
        assert answer.code == 1


class Socket:
    """A WebSocket that speaks Engine.IO."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.opened: dict[str, Any] = {}

    async def send(self, *packets: str | bytes) -> None:
        for packet in packets:
            await self.socket.send(packet)

    async def recv(self, seconds: float = DEADLINE_SECONDS) -> str | bytes:
        try:
            return await asyncio.wait_for(self.socket.recv(), seconds)
        except asyncio.TimeoutError:
            raise TimeoutError(f"nothing came in {seconds} s") from None

    async def collect(self, count: int) -> list[str | bytes]:
        """So many packets; answers pings, and leaves them out."""
        found: list[str | bytes] = []
        while len(found) < count:
            packet = await self.recv()
            if packet == "2":
                await self.send("3")
            else:
                found.append(packet)
        return found

    async def closed(self) -> int:
        """Waits for the end, passes over what comes before it, and returns the code of the close
        frame: 1005 when it was empty, 1006 when there was none."""
        with suppress(ConnectionClosed):
            while True:
                await self.recv()
        return self.socket.close_code or 1006


@asynccontextmanager
async def websocket(
    port: int, path: str, query: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Socket]:
    """A WebSocket with nothing read from it yet."""
    async with connect(
        f"ws://127.0.0.1:{port}{path}?{query}",
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        max_size=None,
        close_timeout=1,
        proxy=None,
    ) as socket:
        yield Socket(socket)


class Here:
    """A bare server in the test's own process: the pool, and all that has happened in it."""

    def __init__(self, port: int, path: str, pool: core.ReactorPool | None) -> None:
        self.port = port
        self.path = path
        self._pool = pool
        self.events: list[Any] = []

    @property
    def pool(self) -> core.ReactorPool:
        if self._pool is None:
            pytest.skip("looks into the core")
        return self._pool

    async def open(self, eio: int = 4, query: str = "", **headers: str) -> Session:
        """A new session over polling, its open packet read."""
        target = f"{self.path}?EIO={eio}&transport=polling{query}"
        answer = await fetch(self.port, "GET", target, headers=headers)
        assert answer.status == 200, answer
        packet, *kept = split_payload(answer.text, eio)
        assert packet[0] == "0", packet
        session = Session(self.port, self.path, eio, json.loads(packet[1:]))
        session.kept = kept
        return session

    @asynccontextmanager
    async def socket(
        self, eio: int = 4, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Socket]:
        """A new session over WebSocket, its open packet read."""
        query = f"EIO={eio}&transport=websocket"
        async with websocket(self.port, self.path, query, headers) as one:
            packet = await one.recv()
            assert isinstance(packet, str)
            assert packet[0] == "0", packet
            one.opened = json.loads(packet[1:])
            yield one

    @asynccontextmanager
    async def probing(self, session: Session) -> AsyncIterator[Socket]:
        """A WebSocket on its way to take a session over: probed, not upgraded yet."""
        query = f"EIO={session.eio}&transport=websocket&sid={session.sid}"
        async with websocket(self.port, self.path, query) as one:
            await one.send("2probe")
            assert await one.recv() == "3probe"
            yield one

    @asynccontextmanager
    async def upgraded(self, session: Session) -> AsyncIterator[Socket]:
        """A session that has gone over to WebSocket."""
        async with self.probing(session) as one:
            await one.send("5")
            yield one

    async def refused(self, query: str, headers: Mapping[str, str] | None = None) -> int:
        """The status of an upgrade that is refused; 101 if it was taken and then closed."""
        try:
            async with websocket(self.port, self.path, query, headers) as one:
                await one.closed()
                return 101
        except InvalidStatus as refusal:
            return refusal.response.status_code

    def gauge(self, name: str) -> int:
        return self.pool.stats().as_dict()[name]

    async def empty(self, seconds: float = DEADLINE_SECONDS) -> None:
        """Waits until no conversation is left, and each that began has ended once."""

        async def is_empty() -> bool:
            return self.gauge("connections") == 0

        await eventually(is_empty, seconds)
        opened = [event.conn for event in self.events if isinstance(event, core.Opened)]
        await eventually(self._all_ended(len(opened)))
        closed = [event.conn for event in self.events if isinstance(event, core.Closed)]
        assert sorted(opened) == sorted(closed)

    def _all_ended(self, count: int) -> Any:
        async def ended() -> bool:
            return sum(isinstance(event, core.Closed) for event in self.events) >= count

        return ended

    async def event(self, kind: type, seconds: float = DEADLINE_SECONDS) -> Any:
        """The first event of this kind, which is taken off the list."""
        self.pool  # noqa: B018 -- skips where there is none

        async def found() -> bool:
            return any(isinstance(one, kind) for one in self.events)

        await eventually(found, seconds)
        at = next(n for n, one in enumerate(self.events) if isinstance(one, kind))
        return self.events.pop(at)


@asynccontextmanager
async def serving(name: str, settings: Mapping[str, Any]) -> AsyncIterator[Here]:
    behave, defaults = SERVERS[name]
    config = core.CoreConfig(**{"reactors": 1, **defaults, **settings})
    pool = core.ReactorPool(config)
    (path,) = defaults["endpoints"]
    here = Here(pool.address()[1], path, pool)

    def on_batch(events: list[Any]) -> None:
        for event in events:
            here.events.append(event)
            behave(pool, event)

    attachment = core.attach(pool, asyncio.get_running_loop(), on_batch)
    try:
        pool.start()
        yield here
    finally:
        attachment.detach()
        pool.close()


# Sessions that last as long as a test, unless it is about pings.
CALM = {"ping_interval": 25_000, "ping_timeout": 20_000}


@asynccontextmanager
async def engineio(**settings: Any) -> AsyncIterator[Here]:
    """A server that sends every Engine.IO message back."""
    async with serving("engineio", {**CALM, **settings}) as here:
        yield here


@asynccontextmanager
async def socketio(**settings: Any) -> AsyncIterator[Here]:
    """The Socket.IO server of `compliance/socketio_app.py`."""
    async with serving("socketio", {**CALM, "connect_timeout": 25_000, **settings}) as here:
        yield here
