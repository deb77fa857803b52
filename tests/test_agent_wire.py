"""One WebSocket of the agent: what arrives, how it is kept alive, how it ends, TLS."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from certificates import Authority
from dscore_agent import AgentConfig, ConfigError, Exit, embed
from dscore_agent.credentials import tls_context
from dscore_agent.dial import Dialer
from dscore_agent.health import check
from dscore_agent.wire import MAX_MESSAGE, CloseInfo, ConnectError, Connection, open_connection
from fake_server import SECONDS, FakeServer, Peer, until
from serving import Serving
from stream_server import stream_server


@asynccontextmanager
async def pair(
    arrived: list[bytes] | None = None, **fields: float
) -> AsyncIterator[tuple[Connection, Peer]]:
    """A connection and the server's end of it."""
    async with FakeServer() as server:
        connection = await connect(server.config(**fields), [] if arrived is None else arrived)
        try:
            yield connection, await server.accept()
        finally:
            connection.abort("test over")
            await connection.ended


async def connect(config: AgentConfig, arrived: list[bytes]) -> Connection:
    connection = await open_connection(
        config, tls_context(config), Dialer(), on_message=arrived.append, on_writable=lambda: None
    )
    connection.begin()
    return connection


async def end_of(connection: Connection) -> CloseInfo:
    return await asyncio.wait_for(asyncio.shield(connection.ended), SECONDS)


async def test_fragments_become_one_message() -> None:
    arrived: list[bytes] = []
    async with pair(arrived) as (connection, peer):
        await peer.socket.send(["one", "", "-two", "-three"])
        await peer.socket.send("next")
        await peer.close(1000)
        await end_of(connection)
    assert arrived == [b"one-two-three", b"next"]


async def test_what_comes_along_with_the_upgrade_waits_for_a_listener() -> None:
    arrived: list[bytes] = []
    async with FakeServer() as server:
        connection = await open_connection(
            server.config(), None, Dialer(), on_message=arrived.append, on_writable=lambda: None
        )
        peer = await server.accept()
        await peer.socket.send("early")
        await asyncio.wait_for(await peer.socket.ping(), SECONDS)
        assert arrived == []
        connection.begin()
        await peer.socket.send("late")
        await peer.close(1000)
        await end_of(connection)
    assert arrived == [b"early", b"late"]


async def test_answers_pings_between_the_fragments() -> None:
    async with pair() as (_, peer):
        pong = await peer.socket.ping(b"are you there")
        await asyncio.wait_for(pong, SECONDS)


async def test_binary_is_1003() -> None:
    async with pair() as (_, peer):
        await peer.socket.send(b"\x00")
        assert (await peer.closed())[0] == 1003


async def test_a_message_without_end_is_1009() -> None:
    async def endless() -> AsyncIterator[str]:
        for _ in range(2 * MAX_MESSAGE // 1_000_000 + 2):
            yield "x" * 1_000_000

    async with pair() as (connection, peer):
        sending = asyncio.ensure_future(peer.socket.send(endless()))
        await end_of(connection)
        await asyncio.wait({sending}, timeout=SECONDS)
        sending.exception()
        assert peer.socket.close_code == 1009


async def test_a_close_is_echoed_and_its_reason_kept() -> None:
    async with pair() as (connection, peer):
        await peer.close(4409, "taken over")
        assert peer.socket.close_code == 4409
        assert await end_of(connection) == CloseInfo(4409, "taken over")


async def test_a_close_without_a_code_is_1005() -> None:
    async with pair() as (connection, peer):
        peer.socket.protocol.send_close()
        peer.socket.send_data()
        assert await end_of(connection) == CloseInfo(1005, "")


async def test_a_cut_is_1006() -> None:
    async with pair() as (connection, peer):
        peer.cut()
        assert await end_of(connection) == CloseInfo(1006, "")


async def test_a_frame_that_breaks_the_rules_ends_it_and_leaves_no_loose_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with pair() as (connection, peer):
        peer.socket.transport.write(b"\x83\x00")
        assert (await end_of(connection)).code == 1006
        gone = weakref.ref(connection)
    del connection
    await until(lambda: gc.collect() >= 0 and gone() is None, "collected connection")
    assert "invalid opcode" in caplog.text
    assert "never retrieved" not in caplog.text


async def test_its_own_close_waits_for_the_other_half() -> None:
    async with pair() as (connection, peer):
        connection.close(1001, "agent stopped")
        connection.close(1000, "never sent")
        connection.send(b"lost")
        assert await peer.closed() == (1001, "agent stopped")
        assert await end_of(connection) == CloseInfo(1001, "agent stopped")


@pytest.mark.timed
async def test_a_silent_server_is_left_after_ping_interval_and_timeout() -> None:
    async with pair(ping_interval=0.05, ping_timeout=0.1) as (connection, peer):
        peer.socket.transport.pause_reading()
        began = time.monotonic()
        assert await end_of(connection) == CloseInfo(1006, "ping timeout")
        assert 0.1 <= time.monotonic() - began < 1.0
        peer.socket.transport.resume_reading()


async def test_pings_keep_a_quiet_connection() -> None:
    async with pair(ping_interval=0.1, ping_timeout=0.4) as (connection, _):
        await asyncio.wait({connection.ended}, timeout=1.0)
        assert connection.is_open


async def test_a_full_connection_is_not_writable_until_it_has_drained() -> None:
    drained = asyncio.Event()
    async with FakeServer() as server:
        config = server.config()
        connection = await open_connection(
            config, None, Dialer(), on_message=lambda _: None, on_writable=drained.set
        )
        peer = await server.accept()
        peer.socket.transport.pause_reading()
        sent = 0
        while connection.is_writable:
            connection.send(b'"' + b"x" * 100_000 + b'"')
            sent += 1
            await asyncio.sleep(0)
        assert connection.is_open
        peer.socket.transport.resume_reading()
        for _ in range(sent):
            await asyncio.wait_for(peer.socket.recv(), SECONDS)
        await asyncio.wait_for(drained.wait(), SECONDS)
        assert connection.is_writable
        connection.abort("test over")
        await connection.ended


async def test_no_server_is_a_connect_error() -> None:
    with pytest.raises(ConnectError, match=r"refused|Connect call failed"):
        await connect(AgentConfig(url="ws://127.0.0.1:1"), [])
    with pytest.raises(ConnectError):
        await connect(AgentConfig(url="ws://host.invalid:1"), [])
    with pytest.raises(ConnectError, match="label"):
        await connect(AgentConfig(url="ws://no..name:1"), [])


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"Sec-WebSocket-Accept: AAAA\r\n\r\n",
    ],
)
async def test_a_refused_upgrade_is_a_connect_error(answer: bytes) -> None:
    await refused(answer)


async def test_a_path_that_is_no_websocket_is_named_with_its_remedy() -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    assert await refused(answer) == (
        "HTTP 404 instead of a WebSocket: is this the address for agents of a dscore server?"
    )


async def refused(answer: bytes) -> str:
    """What is said of a server that answers an upgrade like this."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with stream_server(refuse) as port:
        with pytest.raises(ConnectError) as failed:
            await connect(AgentConfig(url=f"ws://127.0.0.1:{port}"), [])
    return str(failed.value)


async def test_wss_with_a_given_ca(authority: Authority, tmp_path: Path) -> None:
    async with FakeServer(authority.issue("localhost").server_context(tmp_path)) as server:
        connection = await connect(server.config(ca_file=authority.save(tmp_path)), [])
        peer = await server.accept()
        connection.send(b'{"type": "secret"}')
        assert (await peer.recv())["type"] == "secret"
        await peer.close(1000)
        await end_of(connection)


async def test_a_server_is_known_by_its_fingerprint(authority: Authority, tmp_path: Path) -> None:
    """One that the same authority has signed is left before anything is said of the agent."""
    issued, ca_file = authority.issue("localhost"), authority.save(tmp_path)
    own = issued.certificate.fingerprint(SHA256())
    other = authority.issue("localhost").certificate.fingerprint(SHA256()).hex()
    async with FakeServer(issued.server_context(tmp_path)) as server:
        for good in (own.hex(), own.hex(":").upper()):
            config = server.config(ca_file=ca_file, server_fingerprints=(other, good))
            connection = await connect(config, [])
            await (await server.accept()).close(1000)
            await end_of(connection)
        config = server.config(ca_file=ca_file, server_fingerprints=(other,))
        with pytest.raises(ConnectError) as failed:
            await connect(config, [])
        assert "the server's certificate is none of server_fingerprints" in str(failed.value)
        assert own.hex() in str(failed.value)
        # It is no substitute for trust.
        with pytest.raises(ConnectError, match="is not trusted here"):
            await connect(server.config(server_fingerprints=(own.hex(),)), [])


async def test_a_whole_agent_over_tls_on_uvloop(authority: Authority, tmp_path: Path) -> None:
    async with FakeServer(authority.issue("localhost").server_context(tmp_path)) as server:
        agent = embed.start(server.config(ca_file=authority.save(tmp_path)))
        peer = await server.acquaint()
        await peer.send("terminate_app", request_id="r-1", reason="")
        assert (await peer.recv())["status"] == "OK"
        await peer.close(1000, "Client terminated")
        assert await asyncio.to_thread(agent.join, SECONDS) == Exit.STOPPED
        assert agent.status.health == "ok"


async def test_wss_with_a_client_certificate(authority: Authority, tmp_path: Path) -> None:
    context = authority.issue("localhost").server_context(tmp_path, clients=authority)
    own = authority.client("a-1").save(tmp_path, "own")
    async with FakeServer(context) as server:
        config = server.config(
            ca_file=authority.save(tmp_path), cert_file=own.certificate, key_file=own.key
        )
        connection = await connect(config, [])
        await (await server.accept()).close(1000)
        await end_of(connection)


async def test_wss_with_an_untrusted_certificate_is_a_connect_error(
    authority: Authority, tmp_path: Path
) -> None:
    async with FakeServer(authority.issue("localhost").server_context(tmp_path)) as server:
        with pytest.raises(ConnectError, match="is not trusted here"):
            await connect(server.config(), [])


async def test_wss_at_a_plain_port_says_what_to_use(lasting: Serving) -> None:
    config = AgentConfig(url=lasting.ws.replace("ws:", "wss:"))
    with pytest.raises(ConnectError, match=r"^it does not speak TLS; use ws://$"):
        await connect(config, [])
    look = await check(config.health_url, SECONDS, tls_context(config), Dialer())
    assert look.reason == "it does not speak TLS; use ws://"


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_a_file_that_is_no_certificate_names_its_setting(tmp_path: Path, field: str) -> None:
    (tmp_path / "empty.pem").write_text("")
    config = AgentConfig(url="wss://localhost", **{field: tmp_path / "empty.pem"})
    with pytest.raises(ConfigError, match=f"{field}: cannot use"):
        tls_context(config)
