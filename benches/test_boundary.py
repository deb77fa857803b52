"""What does it cost to cross from Rust to Python, and how late is on the wire what Python sends?

Sending: a server inside this process, with a fleet at its heartbeats. One agent is sent a message
each millisecond, so that the reactor sleeps in between, and the kernel notes when it had the
bytes: no reader's wake-up is in the figure.

Events: bursts of messages on an endpoint of the bare core, taken in batches.
"""

import asyncio
import socket
import struct
import time
from contextlib import ExitStack
from statistics import median

import uvloop

import dscore
from benches.fleet import Fleet
from benches.ledger import Figures, Ledger
from benches.noise import Busy
from benches.programs import Programs
from dscore import core, log
from dscore.bench import frames

AGENTS, QUICK_AGENTS = 10_000, 500
SENDS, QUICK_SENDS = 5_000, 300
CONNECTIONS, EACH = 128, 64
"""Messages of each, as a fleet sends them: one peer alone may not be far ahead of Python."""
EVENTS = CONNECTIONS * EACH
ROUNDS, QUICK_ROUNDS = 15, 2
PATIENCE = 30.0
SO_TIMESTAMPNS = 35
"""socket(7); Python has no name for it."""


def test_send(ledger: Ledger, programs: Programs, quick: bool) -> None:
    agents, sends = (QUICK_AGENTS, QUICK_SENDS) if quick else (AGENTS, SENDS)
    busy, cpu = Busy(), time.process_time()
    figures = uvloop.run(_send(programs, agents, sends))
    figures["others"] = busy.share_of_others(
        time.process_time() - cpu + figures.pop("fleet_seconds")
    )
    ledger.record(f"agent.send, among {agents:,} agents at a 30 s heartbeat", "dscore", figures)


async def _send(programs: Programs, agents: int, sends: int) -> Figures:
    settings = {
        "listen": {"port": 0},
        "store": {"path": ":memory:"},
        "log": {"level": "warning"},
    }
    config = dscore.Config.model_validate(settings)
    log.configure(config.log)
    calls, delays = [], []
    async with dscore.Server(config) as server:
        host, port = server.address
        url = f"ws://{host}:{port}/deepstream/ws"
        fleet = Fleet(programs.load, url, agents=agents, heartbeat_interval="30s")
        try:
            await asyncio.to_thread(fleet.wait_for, "introduced")
            with await _introduced(host, port) as connection:
                agent = server.agent("measured")
                for number in range(sends):
                    started, begun = time.time_ns(), time.perf_counter_ns()
                    agent.send({"type": "note", "number": number})
                    calls.append((time.perf_counter_ns() - begun) / 1e3)
                    await asyncio.sleep(0.001)
                    delays.append((await _arrival_ns(connection) - started) / 1e3)
            fleet.command("stop")
            report = await asyncio.to_thread(fleet.wait_for, "report")
        finally:
            fleet.close()
    delays.sort()
    return {
        "send_call_us": median(calls),
        "send_p50_us": delays[sends // 2],
        "send_p99_us": delays[sends * 99 // 100],
        "fleet_seconds": report["cpu_seconds"],
    }


async def _introduced(host: str, port: int) -> socket.socket:
    """The connection of an agent that is called `measured`, with nothing left to read."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    await loop.sock_connect(connection, (host, port))
    await loop.sock_sendall(connection, frames.upgrade(f"{host}:{port}", "/deepstream/ws"))
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += await loop.sock_recv(connection, 4096)
    ready = b'{"type":"app_ready","instance_id":"measured"}'
    await loop.sock_sendall(connection, frames.frame(frames.TEXT, ready))
    assert b"app_ready_ack" in await loop.sock_recv(connection, 4096)
    return connection


async def _arrival_ns(connection: socket.socket) -> int:
    """When the kernel had what is read next; it is there, or nearly."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            data, notes, _, _ = connection.recvmsg(4096, 256)
        except BlockingIOError:
            await asyncio.sleep(0.001)
            continue
        assert data.count(b'"note"') == 1, data
        [stamp] = [content for _, kind, content in notes if kind == SO_TIMESTAMPNS]
        seconds, nanoseconds = struct.unpack("ll", stamp[:16])
        return seconds * 1_000_000_000 + nanoseconds
    raise TimeoutError("the message did not arrive")


def test_events(ledger: Ledger, quick: bool) -> None:
    config = core.CoreConfig(port=0, reactors=1, endpoints={"/plain": "plain"})
    pool = core.ReactorPool(config)
    pool.start()
    burst = frames.frame(frames.TEXT, b'{"type":"note","data":"%s"}' % (b"x" * 64)) * EACH
    busy, cpu = Busy(), time.process_time()
    try:
        with ExitStack() as stack:
            connections = [stack.enter_context(_plain(pool)) for _ in range(CONNECTIONS)]
            _take(pool, core.Opened, CONNECTIONS)
            times = []
            for _ in range(QUICK_ROUNDS if quick else ROUNDS):
                for connection in connections:
                    connection.sendall(burst)
                times.append(_take(pool, core.Message, EVENTS))
    finally:
        pool.close()
    others = busy.share_of_others(time.process_time() - cpu)
    for taken in times:
        figures = {"event_us": taken / EVENTS * 1e6, "others": others}
        ledger.record(f"Events, {EVENTS:,} in batches", "dscore", figures)


def _plain(pool: core.ReactorPool) -> socket.socket:
    connection = socket.create_connection(pool.address())
    connection.sendall(frames.upgrade("bench", "/plain"))
    assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
    return connection


def _take(pool: core.ReactorPool, kind: type, count: int) -> float:
    """Seconds spent in taking so many events, as the loop does; waiting for them is not counted."""
    deadline = time.monotonic() + PATIENCE
    taken, spent = 0, 0.0
    while taken < count:
        assert time.monotonic() < deadline, f"{taken} of {count} events"
        begun = time.perf_counter()
        batch = pool.take()
        for event in batch:
            assert isinstance(event, kind)
        spent += time.perf_counter() - begun
        taken += len(batch)
        if not batch:
            time.sleep(0.05)  # that there are full batches
    return spent
