"""How late is on the wire, and in another process, what Python sends to an agent?

A server inside this process, with a fleet that is idle; `floor` is two threads in C of which one
wakes the other (floor/handoff.c): the least that this machine takes. Every message waits until the
one before was read, by a process of its own (receiver.py); it is on the wire when the kernel notes
its arrival. In between the reactor sleeps: at once again, or for a millisecond, after which the
processor sleeps too.
"""

import asyncio
import gc
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest
import uvloop

import dscore
from benches.fleet import Fleet
from benches.ledger import Figures, Ledger
from benches.noise import Busy
from benches.programs import Programs
from benches.receiver import TIMES
from dscore import log
from dscore.bench import frames

CONTENDERS = ["floor", "dscore"]
AGENTS = [10_000]
QUICK_AGENTS = [500]
ROUNDS = 5
QUICK_ROUNDS = 1
SENDS, QUICK_SENDS = 5_000, 300
WARM_UP = 100
"""Sends that do not count: the kernel begins to note arrivals a moment after it was asked to."""
RECEIVER = Path(__file__).parent / "receiver.py"

Delay = tuple[int, int, int]
"""Of the call, to the wire, to the other process: nanoseconds."""


@pytest.mark.parametrize("pause", [0.0, 0.001], ids=["at-once", "after-1ms"])
def test_send(
    ledger: Ledger, programs: Programs, quick: bool, contender: str, agents: int, pause: float
) -> None:
    sends = WARM_UP + (QUICK_SENDS if quick else SENDS)
    busy, cpu = Busy(), _cpu_seconds()
    if contender == "floor":
        delays = _floor(programs, sends, pause)
    else:
        delays = uvloop.run(_dscore(programs, agents, sends, pause))
    others = busy.share_of_others(_cpu_seconds() - cpu)
    how = "one a millisecond" if pause else "one after the other"
    ledger.record(
        f"agent.send, {how}, among {agents:,} idle agents",
        contender,
        {**_figures(delays[WARM_UP:]), "others": others},
    )


def _figures(delays: list[Delay]) -> Figures:
    calls, wire, seen = (sorted(each) for each in zip(*delays, strict=True))
    assert wire[0] > 0, "the kernel did not note an arrival"
    figures = {"send_call_us": median(calls) / 1e3}
    for name, sorted_delays in (("send", wire), ("seen", seen)):
        figures[f"{name}_p50_us"] = sorted_delays[len(delays) // 2] / 1e3
        figures[f"{name}_p99_us"] = sorted_delays[len(delays) * 99 // 100] / 1e3
    return figures


def _floor(programs: Programs, sends: int, pause: float) -> list[Delay]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname())
        near, _ = listener.accept()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with near, _receiver(far) as receiver:
        words = [str(near.fileno()), str(sends), str(int(pause * 1e9))]
        ended = subprocess.run(
            [programs.handoff, *words],
            stdin=receiver.stdout,
            stdout=subprocess.PIPE,
            pass_fds=[near.fileno()],
            check=True,
        )
    lines = (line.split() for line in ended.stdout.splitlines())
    return [(int(call), int(wire), int(seen)) for call, wire, seen in lines]


async def _dscore(programs: Programs, agents: int, sends: int, pause: float) -> list[Delay]:
    settings = {
        "listen": {"port": 0},
        "store": {"path": ":memory:"},
        "log": {"level": "warning"},
    }
    config = dscore.Config.model_validate(settings)
    log.configure(config.log)
    async with dscore.Server(config) as server:
        host, port = server.address
        fleet = Fleet(programs.load, f"ws://{host}:{port}/deepstream/ws", agents=agents)
        try:
            introduced = await asyncio.to_thread(fleet.wait_for, "introduced")
            assert introduced["count"] == agents
            gc.collect()
            gc.freeze()  # as `serve` does with what it has once it serves
            with _receiver(await _introduced(host, port)) as receiver:
                agent = server.fleet.agent("measured")
                assert agent is not None
                return await _send(agent, receiver, sends, pause)
        finally:
            fleet.close()
            gc.unfreeze()


async def _send(
    agent: dscore.Agent, receiver: "subprocess.Popen[bytes]", sends: int, pause: float
) -> list[Delay]:
    assert receiver.stdout is not None
    pipe, loop = receiver.stdout, asyncio.get_running_loop()
    received: asyncio.Queue[bytes] = asyncio.Queue()
    loop.add_reader(pipe, lambda: received.put_nowait(pipe.read(TIMES.size)))
    delays: list[Delay] = []
    for number in range(sends):
        started, started_real = time.monotonic_ns(), time.time_ns()
        agent.send({"type": "note", "number": number})
        called = time.monotonic_ns()
        read_at, noted_at = TIMES.unpack(await received.get())
        delays.append((called - started, noted_at - started_real, read_at - started))
        if pause:
            await asyncio.sleep(pause)
    loop.remove_reader(pipe)
    return delays


async def _introduced(host: str, port: int) -> socket.socket:
    """The connection of an agent that is called `measured`, with nothing left to read."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setblocking(False)
    await loop.sock_connect(connection, (host, port))
    await loop.sock_sendall(connection, frames.upgrade(f"{host}:{port}", "/deepstream/ws"))
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += await loop.sock_recv(connection, 4096)
    ready = b'{"type":"app_ready","instance_id":"measured"}'
    await loop.sock_sendall(connection, frames.frame(frames.TEXT, ready))
    assert b"app_ready_ack" in await loop.sock_recv(connection, 4096)
    return connection


@contextmanager
def _receiver(connection: socket.socket) -> "Iterator[subprocess.Popen[bytes]]":
    """The process that reads from this connection, which is its own from here on."""
    with connection:
        receiver = subprocess.Popen(
            [sys.executable, RECEIVER, str(connection.fileno())],
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=[connection.fileno()],
        )
    with receiver:
        try:
            yield receiver
        finally:
            receiver.kill()


def _cpu_seconds() -> float:
    """Of this process and of all it started that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
