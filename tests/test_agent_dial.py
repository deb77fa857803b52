"""How the agent reaches a server: addresses side by side, look-ups that hang, proxies."""

import asyncio
import base64
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from dscore_agent import Agent, State, dial
from dscore_agent.dial import Dialer, check_proxy, proxy_for
from fake_server import SECONDS, FakeServer, until
from stream_server import stream_server


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What every name resolves to, whatever the resolver of this machine says."""
    found: list[tuple[str, int]] = []

    def look_up(host: str, port: int) -> list[object]:
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 0, "", (ip, at or port)) for ip, at in found]

    monkeypatch.setattr(dial, "_look_up", look_up)
    return found


class Hanging:
    """A socket whose backlog is full: a connection to it hangs, as to a host that is off."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.address = self._listener.getsockname()
        self._clients = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(self.address)
            self._clients.append(client)

    def close(self) -> None:
        for one in (*self._clients, self._listener):
            one.close()


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    one = Hanging()
    yield one
    one.close()


async def test_reconnect_7_a_dead_first_address_is_passed(
    addresses: list[tuple[str, int]], hanging: Hanging
) -> None:
    async with FakeServer() as server:
        addresses += [hanging.address, ("127.0.0.1", server.port)]
        agent = Agent(server.config(url=f"ws://fleet.test:{server.port}"))
        await agent.start()
        # Health page and WebSocket both get past it, in the first attempt.
        await server.acquaint()
        await until(lambda: agent.state is State.READY, "introduction")
        assert agent.status.reconnect_attempts == 0
        await agent.close()


async def test_a_look_up_that_hangs_has_one_thread_and_keeps_no_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, looking = threading.Event(), []

    def hang(host: str, port: int) -> list[object]:
        looking.append(host)
        release.wait(SECONDS)
        return []

    monkeypatch.setattr(dial, "_look_up", hang)
    monkeypatch.setattr(dial, "DIAL_SECONDS", 0.05)
    dialer = Dialer()
    try:
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await dialer.dial("fleet.test", 80, secure=False)
        assert looking == ["fleet.test"]
    finally:
        dialer.close()
        release.set()


class Proxy:
    """An HTTP proxy that connects through, or refuses."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self.heads: list[str] = []
        self.address = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        writer.write(self.answer)
        if b" 200 " in self.answer:
            port = int(head.split()[1].rpartition(":")[2])
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))
            finally:
                far_writer.transport.abort()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@contextlib.asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    one = Proxy()
    async with stream_server(one.handle) as port:
        one.address = f"127.0.0.1:{port}"
        yield one


async def test_a_proxy_connects_health_page_and_websocket() -> None:
    async with proxy() as one, FakeServer() as server:
        url = f"ws://fleet.test:{server.port}"
        agent = Agent(server.config(url=url, proxy=f"http://me:p%40ss@{one.address}"))
        await agent.start()
        await server.acquaint()
        await until(lambda: agent.state is State.READY, "introduction")
        await agent.close()
    # The proxy resolves the name: this machine never has to.
    assert [head.splitlines()[0] for head in one.heads] == [
        f"CONNECT fleet.test:{server.port} HTTP/1.1"
    ] * 2
    word = base64.b64encode(b"me:p@ss").decode()
    assert f"proxy-authorization: Basic {word}" in one.heads[0].splitlines()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n", "wants a user and a password"),
        (b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n", "does not connect to .*: HTTP 403"),
        (b"", "closed without an answer"),
        (b"SSH-2.0-dropbear\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000, "no HTTP"),
    ],
)
async def test_a_proxy_that_refuses_is_an_error_that_says_so(answer: bytes, words: str) -> None:
    async with proxy() as one:
        one.answer = answer
        with pytest.raises(OSError, match=words):
            await Dialer(f"http://{one.address}").dial("fleet.test", 80, secure=False)


@pytest.mark.parametrize(
    ("environ", "host", "secure", "expected"),
    [
        ({}, "fleet.test", False, None),
        ({"http_proxy": "http://p:1"}, "fleet.test", False, "http://p:1"),
        ({"http_proxy": "http://p:1"}, "fleet.test", True, None),
        ({"https_proxy": "http://p:2"}, "fleet.test", True, "http://p:2"),
        ({"HTTPS_PROXY": "p:2"}, "fleet.test", True, "http://p:2"),
        ({"all_proxy": "http://p:3"}, "fleet.test", True, "http://p:3"),
        ({"http_proxy": "http://p:1", "no_proxy": ".test"}, "fleet.test", False, None),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, "fleet.test", False, None),
        ({"http_proxy": "http://p:1"}, "localhost", False, None),
        ({"http_proxy": "http://p:1"}, "127.0.0.2", False, None),
        ({"http_proxy": "http://p:1"}, "::1", False, None),
    ],
)
def test_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
    host: str,
    secure: bool,
    expected: str | None,
) -> None:
    for name in ("http", "https", "all", "no"):
        for variable in (f"{name}_proxy", f"{name.upper()}_PROXY"):
            monkeypatch.delenv(variable, raising=False)
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert proxy_for(host, None, secure=secure) == expected
    assert proxy_for(host, "none", secure=secure) is None
    assert proxy_for(host, "http://own:1", secure=secure) == "http://own:1"


@pytest.mark.parametrize("url", ["socks5://p:1", "http://p:99999", "https://p"])
async def test_a_proxy_of_the_environment_that_is_none_is_an_error_of_the_attempt(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("all_proxy", url)
    with pytest.raises(OSError, match="the environment's proxy must be"):
        await Dialer().dial("fleet.test", 80, secure=False)


@pytest.mark.parametrize("text", ["", "p:1", "https://p", "socks5://p", "http://", "http://p:0"])
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be none, or an address"):
        check_proxy(text)
