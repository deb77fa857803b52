"""The C client against a server that does what the test wants: the contract's table, and worse."""

import asyncio
import contextlib
import fcntl
import json
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from c_client import SECONDS, Driver, Event, Program, needs_c
from dscore_agent.labels import faults
from fake_server import FakeServer, Peer, until
from serving import Serving
from test_agent_dial import proxy
from waiting import wait_until

pytestmark = needs_c

aside = asyncio.to_thread
QUICK = ("max_reconnect_delay_sec=0.01", "server_shutdown_retry_delay_sec=0.01")
EXACT = ("reconnect_jitter_enabled=false",)


def driver(build: Path, server: FakeServer, *settings: str) -> Driver:
    return Driver(build, f"url={server.url}", "instance_id=a-1", *settings)


async def acquainted(
    build: Path, server: FakeServer, *settings: str, **ack: object
) -> tuple[Driver, Peer]:
    agent = driver(build, server, *settings)
    peer = await server.acquaint(**ack)
    await aside(agent.until_state, "ready")
    return agent, peer


@pytest.mark.parametrize(
    ("code", "reason", "seconds"),
    [
        (1001, "Server shutting down gracefully", 5),
        (1013, "Server shutting down", 10),
        (1000, "", 1),
        (1002, "", 1),
        (1008, "authentication timeout", 1),
        (1011, "heartbeat timeout", 1),
        (4000, "", 1),
        (4409, "taken over", 300),
        (1008, "authentication failed", 300),
    ],
)
async def test_reconnect_7_the_delay_for_each_close_code(
    c_build: Path, code: int, reason: str, seconds: float
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *EXACT)
        with agent:
            await peer.close(code, reason)
            # RFC 6455 §5.5.1: 1013 is echoed as 1013, 4409 as 4409.
            assert peer.socket.protocol.close_rcvd is not None
            assert peer.socket.protocol.close_rcvd.code == code
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["retry_in"] == seconds
            assert (waiting["last_close_code"], waiting["last_close_reason"]) == (code, reason)
            assert waiting["server_shutting_down"] == (code in (1001, 1013))


async def test_reconnect_7_does_not_come_back_after_a_final_close(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await peer.close(1000, "Client terminated")
            assert (await aside(agent.until_event, "exited"))["code"] == 0


@pytest.mark.parametrize(
    ("hint", "seconds"), [(7250, 7.25), (0, 1), (1e300, 3600), ("5000", 5), (None, 5), (True, 5)]
)
async def test_reconnect_7_the_server_s_hint_wins(
    c_build: Path, hint: object, seconds: float
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *EXACT)
        with agent:
            await peer.send("server_shutdown", message="", reconnectAfter=hint)
            await peer.close(1001)
            assert (await aside(agent.until_state, "waiting"))["retry_in"] == seconds


async def test_introduces_itself_truthfully(c_build: Path) -> None:
    async with FakeServer() as server:
        settings = ('app_config={"labels": {"site": "grün"}}', "token=s3cret")
        agent, peer = await acquainted(c_build, server, *QUICK, *settings)
        with agent:
            said = {"instance_id": "a-1", "config": {"labels": {"site": "grün"}}, "token": "s3cret"}
            usual = {"type": "app_ready", "reconnection": False, "last_close_code": 0}
            assert peer.introduction == {**usual, **said}
            peer.cut()
            again = await server.acquaint()
            usual = {"type": "app_ready", "reconnection": True, "last_close_code": 1006}
            assert again.introduction == {**usual, **said}
            assert server.looks >= 2


LABELS: list[object] = [
    "site",
    {"site": 7, "a=b": "", "": "x", "n" * 64: "", "n" * 63: "é" * 128, "long": "é" * 129, "ok": ""},
    {str(n): "" for n in range(17)},
    {**{str(n): "" for n in range(17)}, "site": None},
    {str(n): "" for n in range(16)},
    None,
]


@pytest.mark.parametrize("labels", LABELS)
def test_labels_that_the_server_would_leave_out_are_named_at_start(
    c_build: Path, labels: object
) -> None:
    """The same words as the Python agent's."""
    config = {"labels": labels}
    with Driver(c_build, f"app_config={json.dumps(config, ensure_ascii=False)}") as agent:
        agent.status()
        assert agent.close() == 0
    said = [line.split("reason=")[1] for line in agent.errors if "label_left_out" in line]
    assert [line.strip("'").removeprefix("app_config: ") for line in said] == faults(config)


async def test_a_server_with_its_own_heartbeat_time_is_obeyed(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, nextHeartbeatIn=50)
        with agent:
            for _ in range(3):
                beat = await peer.recv_type("heartbeat")
                assert beat["clientName"] == "a-1"
                assert beat["timestamp"].endswith("Z")
            await peer.send("heartbeat_response", status="error", shouldReconnect=True)
            assert (await peer.closed())[0] == 1000


class Pinged:
    """Counts the pings that come on a connection."""

    def __init__(self, peer: Peer) -> None:
        self.count = 0
        self._handle = peer.socket.protocol.recv_frame
        peer.socket.protocol.recv_frame = self._count  # type: ignore[method-assign]

    def _count(self, frame: Frame) -> None:
        self.count += frame.opcode is Opcode.PING
        self._handle(frame)


QUIET = ("ping_interval_sec=0.5", "ping_timeout_sec=3.5", "health_check_enabled=false")


async def test_a_heartbeat_that_is_answered_saves_a_ping(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *QUIET, nextHeartbeatIn=1000)
        with agent:
            pinged = Pinged(peer)
            for _ in range(2):
                await peer.recv_type("heartbeat")
                await peer.send("heartbeat_response", status="ok", nextHeartbeatIn=1000)
            assert pinged.count == 0


async def test_a_heartbeat_without_an_answer_saves_none(c_build: Path) -> None:
    """There are servers that take heartbeats and say nothing: their pongs are life."""
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *QUIET, nextHeartbeatIn=1000)
        with agent:
            pinged = Pinged(peer)
            await until(lambda: pinged.count > 0, "ping")
            await peer.recv_type("heartbeat")
            assert (await aside(agent.status))["last_close_code"] == 0


async def test_heartbeats_go_out_with_looks_at_the_health_page(c_build: Path) -> None:
    """One waking for both: the first look brings the heartbeat along, though it was due later."""
    async with FakeServer() as server:
        agent, peer = await acquainted(
            c_build, server, "health_check_interval_sec=0.5", nextHeartbeatIn=3_600_000
        )
        with agent:
            await peer.recv_type("heartbeat")


async def test_answers_a_connection_check(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await peer.send("connection_check", client_name="a-1", expect_response_within=30000)
            answer = {"type": "connection_check_response", "client_name": "a-1"}
            assert await peer.recv() == answer


NONSENSE = [
    *("", "[]", "null", "{", "{'type':'a'}", '{"type": 1}', "[" * 100_000, '{"type":"a"} x'),
    *('{"type":"terminate_app"}', '{"type":"terminate_app","request_id":7}'),
    '{"type":"terminate_app","request_id":"' + "r" * 257 + '"}',
    *('{"type":"server_shutdown","reconnectAfter":[]}', '{"type":"app_ready_ack"}'),
    *('{"type":"heartbeat_response"}', '{"type":"heartbeat_response","status":"error"}'),
    *('{"type":"error","code":5}', '{"type":"connection_check","client_name":{}}'),
    *('{"type":"app_ready_ack","nextHeartbeatIn":-1}', '{"type":"x","a":"\\u0000"}'),
]


async def test_nonsense_from_the_server_leaves_no_trace(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            for text in NONSENSE:
                await peer.socket.send(text)
            await peer.send("work", n=1)
            got = await aside(
                agent.until, "message", lambda one: one.get("message", {}).get("type") == "work"
            )
            assert got["message"]["n"] == 1
            assert (await aside(agent.status))["last_close_code"] == 0


async def test_a_message_that_was_kept_twice_is_heard_once(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            for n in range(3):
                await peer.send("work", message_id="m-1", n=n)
            await peer.send("work", message_id="m-2", n=9)
            await aside(agent.until, "last one", lambda one: one.get("message", {}).get("n") == 9)
            got = [one["message"]["n"] for one in agent.events if one.get("event") == "message"]
            assert got == [0, 9]


async def test_terminated_twice_it_stops_once_and_answers_both(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await aside(agent.do, "handle")
            for request_id in ("r-1", "r-2", "r-1"):
                await peer.send("terminate_app", request_id=request_id, reason="why")
            await aside(agent.until_event, "terminate")
            assert await aside(agent.send, {"type": "work"}) is False
            await aside(agent.tell, "progress eos 2500")
            for request_id in ("r-1", "r-2"):
                said = {"stage": "eos", "need_ms": 2500, "request_id": request_id}
                assert await peer.recv() == {"type": "termination_progress", **said}
            await aside(agent.tell, "finish true done")
            for request_id in ("r-1", "r-2"):
                said = {"status": "OK", "message": "done", "complete": True}
                assert await peer.recv() == {
                    "type": "app_terminated",
                    "request_id": request_id,
                    **said,
                }
            await peer.close(1000, "Client terminated")
            assert (await aside(agent.until_event, "exited"))["code"] == 0
            names = [one.get("event") for one in agent.events]
            assert names.count("terminate") == 1


async def test_a_connection_lost_while_stopping_does_not_save_the_application(
    c_build: Path,
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *QUICK)
        with agent:
            await aside(agent.do, "handle")
            await peer.send("terminate_app", request_id="r-1", reason="")
            await aside(agent.until_event, "terminate")
            peer.cut()
            await aside(agent.until_status, lambda one: one["last_close_code"] == 1006, "cut")
            await aside(agent.tell, "finish true done")
            assert (await aside(agent.until_event, "exited"))["code"] == 0


async def test_an_answer_on_which_no_server_hangs_up_ends_the_agent_all_the_same(
    c_build: Path,
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await peer.send("terminate_app", request_id="r-1", reason="")
            assert (await peer.recv())["status"] == "OK"
            assert (await aside(agent.until_event, "exited"))["code"] == 0


async def test_what_was_accepted_goes_out_before_the_answer(c_build: Path) -> None:
    async with FakeServer() as server:
        agent = driver(c_build, server)
        with agent:
            peer = await server.accept()
            for n in range(300):
                await aside(agent.tell, f'send {{"type": "work", "n": {n}}}')
            await aside(agent.until_status, lambda one: one["queued"] == 300, "queue")
            await peer.acknowledge()
            await peer.send("terminate_app", request_id="r-1", reason="")
            got = [await peer.recv() for _ in range(301)]
            assert [one["n"] for one in got[:300]] == [*range(300)]
            assert got[300]["type"] == "app_terminated"


async def test_past_the_limit_the_oldest_is_dropped_and_counted(c_build: Path) -> None:
    async with FakeServer() as server:
        agent = driver(c_build, server, "outbox_limit=2")
        with agent:
            peer = await server.accept()
            for n in range(5):
                assert await aside(agent.send, {"type": "work", "n": n})
            assert (await aside(agent.status))["dropped"] == 3
            await peer.acknowledge()
            assert [(await peer.recv())["n"] for _ in range(2)] == [3, 4]


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"type":1}', "{'type':'a'}", '{"type":"a"', '{"type":"\\ud800"}']
)
async def test_what_is_no_message_is_an_error_for_the_caller(c_build: Path, text: str) -> None:
    async with FakeServer() as server:
        agent, _ = await acquainted(c_build, server)
        with agent:
            await aside(agent.tell, f"send {text}")
            answer = await aside(agent.until, "answer", lambda one: "sent" in one)
            assert answer["sent"] is False
            assert "message" in answer["error"]


async def test_a_message_over_the_limit_is_an_error_for_the_caller(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, _ = await acquainted(c_build, server, "max_message_size=64")
        with agent:
            assert not await aside(agent.send, {"type": "work", "text": "a" * 64})


async def test_eight_threads_may_send_at_once(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, "outbox_limit=1000000")
        with agent:
            await aside(agent.tell, "flood 250")
            seen: dict[int, list[int]] = {}
            for _ in range(2000):
                one = await peer.recv_type("work")
                seen.setdefault(one["thread"], []).append(one["n"])
            assert all(numbers == [*range(250)] for numbers in seen.values())
            assert len(seen) == 8


async def test_a_server_that_does_not_read_is_bounded(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, "outbox_limit=100")
        with agent:
            peer.socket.transport.pause_reading()
            text = json.dumps({"type": "work", "text": "a" * 100_000})

            def until_dropped() -> Event:
                for _ in range(300):
                    agent.tell("send " + text)
                return agent.until_status(lambda one: one["dropped"] > 0, "drop")

            status = await aside(until_dropped)
            assert status["queued"] == 100
            assert agent.resident_bytes < 40e6
            assert status["state"] == "ready"


async def test_health_shutting_down_keeps_an_agent_away(c_build: Path) -> None:
    async with FakeServer() as server:
        server.health = {"status": "ok", "websocket": {"is_shutting_down": True}}
        agent = driver(c_build, server, *EXACT)
        with agent:
            waiting = await aside(agent.until_state, "waiting")
            assert (waiting["retry_in"], waiting["health"]) == (10, "shutting_down")
            assert waiting["server_shutting_down"]


async def test_health_that_does_not_answer_in_time_is_server_not_ready(c_build: Path) -> None:
    async with FakeServer() as server:
        server.health = None
        agent = driver(c_build, server, *EXACT, "health_check_timeout_sec=0.2")
        with agent:
            waiting = await aside(agent.until_state, "waiting")
            assert (waiting["retry_in"], waiting["health"]) == (1, "unreachable")
            await aside(agent.until_error, "no answer within 0.2 s")


async def test_a_connected_agent_hears_of_a_shutdown_from_the_health_page(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, _ = await acquainted(c_build, server, "health_check_interval_sec=0.05")
        with agent:
            server.health = {"status": "shutting_down"}
            await aside(agent.until, "news", lambda one: one.get("server_shutting_down"))
            assert not await aside(agent.send, {"type": "work"})
            server.health = {"status": "ok"}
            since = len(agent.lines)
            await aside(
                agent.until,
                "end of it",
                lambda one: one.get("server_shutting_down") is False,
                SECONDS,
                since,
            )


@contextlib.asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """A TCP server that says bytes; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handle(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


HUGE = b"HTTP/1.1 101 Switching Protocols\r\nx: " + b"a" * 200_000
REFUSALS = [
    (b"", "closed the connection during the upgrade"),
    (b"SSH-2.0-dropbear\r\n\r\n", "no HTTP"),
    (b"HTTP/1.1 404 Not Found\r\n\r\n", "is this the address for agents"),
    (b"HTTP/1.1 200 OK\r\n\r\n", "HTTP 200 instead of a WebSocket"),
    (b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "Accept"),
    (b"HTTP/1.1 101 x\r\n\r\n", "does not upgrade"),
    (HUGE, "too long"),
    (b"HTTP/1.1 101 x\r\n" + b"a\0b: c\r\n\r\n", "cannot be read"),
]


@pytest.mark.parametrize(("answer", "words"), REFUSALS)
async def test_a_hostile_upgrade_is_an_attempt_that_failed(
    c_build: Path, answer: bytes, words: str
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_server(refuse) as port:
        settings = (f"url=ws://127.0.0.1:{port}", "health_check_enabled=false", *EXACT)
        with Driver(c_build, *settings) as agent:
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["retry_in"] == 1
            await aside(agent.until_error, words)


@pytest.mark.parametrize("field", ["Retry-After: 42", "retry-after:42"])
async def test_reconnect_7_retry_after_is_a_hint(c_build: Path, field: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 503 Busy\r\n{field}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    async with raw_server(refuse) as port:
        for checks in ("false", "true"):
            settings = (f"url=ws://127.0.0.1:{port}", f"health_check_enabled={checks}", *EXACT)
            with Driver(c_build, *settings) as agent:
                assert (await aside(agent.until_state, "waiting"))["retry_in"] == 42


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'9;x=y\r\n{"status"\r\n5\r\n:"ok"\r\n1\r\n}\r\n0\r\n\r\n'
)
PAGES = [
    (b"", "unreachable"),
    (b"nonsense\r\n\r\n", "unreachable"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!", "unreachable"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "unreachable"),
    (b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * (17 * 1024 * 1024), "unreachable"),
    (b'HTTP/1.1 503 x\r\n\r\n{"status":"shutting_down"}', "shutting_down"),
    (CHUNKED, "ok"),
]


@pytest.mark.parametrize(("answer", "health"), PAGES)
async def test_a_hostile_health_page(c_build: Path, answer: bytes, health: str) -> None:
    async def page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_server(page) as port:
        with Driver(c_build, f"url=ws://127.0.0.1:{port}", *EXACT) as agent:
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["health"] == health


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x82\x01a", 1003),
        (b"\xc1\x00", 1002),
        (b"\x81\x81\0\0\0\0a", 1002),
        (b"\x81\x01\xff", 1007),
        (b"\x81\x7f\0\0\0\0\x7f\xff\xff\xff", 1009),
        (b"\x01\x00" + b"\x00\x00" * 5000, 1008),
        (b"\x88\x02\x03\xee", 1002),
    ],
)
async def test_frames_that_break_the_rules_end_it_with_the_code_that_says_so(
    c_build: Path, frame: bytes, code: int
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *EXACT)
        with agent:
            peer.socket.transport.write(frame)
            assert (await peer.closed())[0] == code
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["last_close_code"] in (1006, code)


async def test_pings_are_answered_and_a_flood_of_them_is_bounded(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await asyncio.wait_for(await peer.socket.ping(b"one"), SECONDS)
            peer.socket.transport.pause_reading()
            for n in range(40_000):
                peer.socket.transport.write(b"\x89\x7d" + n.to_bytes(4, "big") + b"p" * 121)
                if n % 500 == 0:
                    await asyncio.sleep(0)
            await peer.send("work", n=1)
            await aside(agent.until_event, "message")
            assert agent.resident_bytes < 30e6
            peer.socket.transport.resume_reading()
            assert (await aside(agent.status))["last_close_code"] == 0


@pytest.mark.parametrize("moment", ["dialling", "upgrade", "introduced", "waiting"])
async def test_closing_at_any_moment_is_quick(c_build: Path, moment: str) -> None:
    async with FakeServer() as server:
        # The kernel takes connections for it, no answer comes; it takes no more once it is full.
        mute = socket.create_server(("127.0.0.1", 0), backlog=1 if moment == "dialling" else 9)
        full = [socket.socket() for _ in range(3 if moment == "dialling" else 0)]
        port = mute.getsockname()[1]
        for one in full:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        url = {"introduced": server.url, "waiting": "ws://127.0.0.1:1"}
        settings = (f"url={url.get(moment, f'ws://127.0.0.1:{port}')}", *EXACT)
        with Driver(c_build, *settings, "health_check_enabled=false") as agent:
            if moment == "introduced":
                peer = await server.acquaint()
            await aside(agent.until_state, {"waiting": "waiting"}.get(moment, "connecting"))
            # Longer than a closing handshake takes, shorter than what else it might wait for.
            await aside(agent.tell, "close 9000000")
            assert (await aside(agent.until_event, "closed"))["code"] == 0
            if moment == "introduced":
                assert await peer.closed() == (1001, "agent stopped")
            await aside(agent.close)
        for one in (mute, *full):
            one.close()


async def test_a_proxy_connects_health_page_and_websocket(c_build: Path) -> None:
    async with proxy() as one, FakeServer() as server:
        settings = (f"url=ws://fleet.test:{server.port}", f"proxy=http://me:p%40ss@{one.address}")
        with Driver(c_build, *settings) as agent:
            await server.acquaint()
            await aside(agent.until_state, "ready")
            assert await aside(agent.close) == 0
    assert [head.split()[1] for head in one.heads] == [f"fleet.test:{server.port}"] * 2
    assert "Basic bWU6cEBzcw==" in one.heads[0]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost that signs itself, and its key."""
    directory = tmp_path_factory.mktemp("certificates")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    )
    subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    return directory


def tls_of(certificates: Path, *, wants_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificates / "cert.pem")
    return context


def trusting(certificates: Path) -> tuple[str, ...]:
    return (f"ca_file={certificates / 'cert.pem'}",)


async def test_wss_a_whole_life_with_a_token_and_a_client_certificate(
    c_build: Path, certificates: Path
) -> None:
    async with FakeServer(tls_of(certificates, wants_client=True)) as server:
        own = (f"cert_file={certificates / 'cert.pem'}", f"key_file={certificates / 'key.pem'}")
        agent, peer = await acquainted(
            c_build, server, *trusting(certificates), *own, "token=s3cret"
        )
        with agent:
            assert peer.introduction["token"] == "s3cret"
            await peer.send("work", text="a" * 300_000)
            got = await aside(agent.until_event, "message")
            assert len(got["message"]["text"]) == 300_000
            assert await aside(agent.send, {"type": "work", "text": "b" * 300_000})
            assert len((await peer.recv())["text"]) == 300_000
            await peer.send("terminate_app", request_id="r-1", reason="")
            assert (await peer.recv())["status"] == "OK"
            await peer.close(1000, "Client terminated")
            assert (await aside(agent.until_event, "exited"))["code"] == 0


async def test_wss_with_an_authority_of_its_own_does_not_read_all_the_others(
    c_build: Path, certificates: Path
) -> None:
    """Those of the distribution take 8 MB of memory."""
    async with FakeServer(tls_of(certificates)) as server:
        agent, _ = await acquainted(c_build, server, *trusting(certificates))
        with agent:
            assert agent.resident_bytes < 15e6


@pytest.mark.parametrize("case", ["untrusted", "no client certificate", "another name"])
async def test_wss_that_is_not_to_be_trusted_is_an_attempt_that_failed(
    c_build: Path, certificates: Path, case: str
) -> None:
    tls = tls_of(certificates, wants_client=case == "no client certificate")
    async with FakeServer(tls) as server:
        url = server.url.replace(
            "localhost", "127.0.0.1" if case == "another name" else "localhost"
        )
        settings = () if case == "untrusted" else trusting(certificates)
        with Driver(c_build, f"url={url}", *EXACT, *settings) as agent:
            waiting = await aside(agent.until_state, "waiting")
            assert waiting["retry_in"] == 1
            assert waiting["health"] == "unreachable"


async def test_wss_at_a_plain_port_says_what_to_use(c_build: Path) -> None:
    async with FakeServer() as server:
        url = server.url.replace("ws:", "wss:")
        with Driver(c_build, f"url={url}", "health_check_enabled=false", *EXACT) as agent:
            await aside(agent.until_state, "waiting")
            await aside(agent.until_error, "does not speak TLS; use ws://")


async def test_the_block_of_the_contract(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, _ = await acquainted(c_build, server)
        with agent:
            await aside(agent.tell, "log")
            for line in (
                "=== WebSocket State ===",
                "State: 3 (ready)",
                "Reconnect attempts: 0",
                "Last close code: 0 (none)",
                "Server shutting down: false",
                "Last health status: ok",
                "======================",
            ):
                await aside(agent.until_error, line)


# The program.


def until_online(serving: Serving, name: str) -> None:
    path = f"/api/v1/agents/{name}"
    wait_until(lambda: json.loads(serving.get(path)[1]).get("status") == "online", name, SECONDS)


def test_a_wrong_setting_is_2_and_says_where_it_stands(c_build: Path, tmp_path: Path) -> None:
    file = tmp_path / "agent.ini"
    file.write_text("[websocket]\nping_interval_sec=never\n")
    cases: list[tuple[tuple[str, ...], str]] = [
        (("--config", str(file)), f"{file}:2: ping_interval_sec: must be a number of seconds"),
        (("--config", "/nowhere"), "cannot read /nowhere"),
        (("--set", "url"), "write key=value"),
        (("--log-level", "loud"), "--log-level: must be debug"),
        (("--nonsense",), "Unknown option"),
        (("word",), "what is word?"),
    ]
    for words, said in cases:
        with Program(c_build, *words) as program:
            assert program.wait() == 2
            assert said in program.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_program_with_0(
    c_build: Path, lasting: Serving, number: signal.Signals
) -> None:
    url = f"ws://127.0.0.1:{lasting.port}"
    with Program(c_build, "--url", url, "--instance-id", "c-9") as program:
        program.until_said("connected")
        program.process.send_signal(signal.SIGUSR1)
        program.until_said("State: 3")
        program.process.send_signal(number)
        assert program.wait() == 0


def test_flags_win_over_variables_and_these_over_the_file(
    c_build: Path, lasting: Serving, tmp_path: Path
) -> None:
    file = tmp_path / "agent.ini"
    file.write_text("[websocket]\nurl=ws://127.0.0.1:1\ninstance_id=of-file\n")
    env = {
        "DSCORE_AGENT_CONFIG": str(file),
        "DSCORE_AGENT_URL": "ws://127.0.0.1:2",
        "DSCORE_AGENT_INSTANCE_ID": "of-variable",
    }
    with Program(c_build, "--url", f"ws://127.0.0.1:{lasting.port}", env=env) as program:
        program.until_said("connected")
        assert "agent_id=of-variable" in program.until_said("agent_started")
        until_online(lasting, "of-variable")


def test_a_log_that_no_process_reads_holds_nothing_up(c_build: Path, lasting: Serving) -> None:
    command: list[Any] = [c_build / "programs" / "dscore-agent-c", "--log-level", "debug"]
    settings = ["--url", f"ws://127.0.0.1:{lasting.port}", "--instance-id", "c-8"]
    quick = ["--set", "health_check_interval_sec=0.001"]
    process = subprocess.Popen([*command, *settings, *quick], stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        # A pipe of one page is full after a few lines.
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        until_online(lasting, "c-8")
        status, body = lasting.request("POST", "/api/v1/agents/c-8/terminate", {})
        assert (status, json.loads(body)["outcome"]) == (200, "acked")
        assert process.wait(SECONDS) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
