"""What must not grow, spin, or hold up others: churn, takeovers, blocked loops, no descriptors."""

import asyncio
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from fleet import Fleet
from serving import Serving, clean_environment
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]
StartFleet = Callable[..., Fleet]

pytestmark = pytest.mark.alone

CHURN_WAVES = 20
CHURN_AGENTS = 5_000
GROWTH_MIB = 5.0
"""What the allocator and the store's cache may still take in the second half: a record of a hundred
bytes that leaked for each connection would be as much."""

BLOCKING_PROGRAM = """
import asyncio, signal, time
import dscore

class Blocking(dscore.Policy):
    def on_message(self, agent, kind, message):
        if kind == "block":
            time.sleep(message["seconds"])

async def main():
    config = dscore.Config.model_validate({"listen": {"port": 0}, "store": {"path": ":memory:"}})
    async with dscore.Server(config, policy=Blocking()) as server:
        print(server.address[1], flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        await server.drain()

asyncio.run(main())
"""


@contextmanager
def blocking_server() -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A program whose policy sleeps when told to, and where its agents connect."""
    process = subprocess.Popen(
        [sys.executable, "-c", BLOCKING_PROGRAM],
        env=clean_environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, f"ws://127.0.0.1:{int(process.stdout.readline())}/deepstream/ws"
    finally:
        process.kill()
        process.communicate()


def pss_mib(serving: Serving) -> float:
    """Memory that is its own: shared pages count by their share."""
    return float(psutil.Process(serving.pid).memory_full_info().pss) / 2**20


def cpu_seconds(serving: Serving) -> float:
    times = psutil.Process(serving.pid).cpu_times()
    return float(times.user + times.system)


def is_empty(serving: Serving) -> bool:
    return b'"total_connections":0' in serving.get("/deepstream/health")[1]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_100000_connects_and_disconnects_leave_nothing(
    serve: Serve, start_fleet: StartFleet
) -> None:
    serving = serve(env={"DSCORE_LOG__LEVEL": "warning"})
    measured: list[tuple[float, int]] = []
    for _ in range(CHURN_WAVES):
        # The same names in every wave, as a real fleet has: a name of its own is remembered.
        fleet = start_fleet(serving.ws, agents=CHURN_AGENTS, concurrency=512, max_seconds=60)
        assert fleet.wait_until_introduced()["count"] == CHURN_AGENTS
        fleet.stop()
        wait_until(lambda: is_empty(serving), "end of the wave", 30)
        measured.append((pss_mib(serving), psutil.Process(serving.pid).num_fds()))
    print("\nPSS after each wave, MiB:", [round(pss, 1) for pss, _ in measured])
    # In the first half registry, sessions, caches and the allocator grow to the size of the fleet:
    # what was enough then must be enough for ever. The least of a few waves has nothing in it that
    # was still waiting to be written.
    half = CHURN_WAVES // 2
    early, late = measured[:half], measured[-3:]
    assert min(pss for pss, _ in late) - max(pss for pss, _ in early) < GROWTH_MIB
    # The connection of the last look at the server may still be on its way out.
    before = min(fds for _, fds in early)
    process = psutil.Process(serving.pid)
    wait_until(lambda: process.num_fds() <= before, "as few descriptors as before")
    assert serving.stop() == 0


def test_a_callback_that_blocks_the_loop_delays_no_heartbeat_and_no_ack(
    start_fleet: StartFleet,
) -> None:
    with blocking_server() as (process, url):
        fleet = start_fleet(url, agents=500, heartbeat_interval="100ms", heartbeats="off")
        fleet.wait_until_introduced()

        async def scenario() -> None:
            async with agent(url, "blocker") as one:
                fleet.command("heartbeats", "on")
                for _ in range(3):
                    await one.send("block", seconds=1)
                    # Three blocked seconds: the answer to this comes when they are over.
                await one.send("client_status_request", clientName="blocker")
                await one.recv_type("server_status_response", 10)
                fleet.command("heartbeats", "off")
                process.terminate()
                # The drain has asked everyone; it blocks again, and the acks are closed 1000.
                order = await one.recv_type("terminate_app")
                await one.send("block", seconds=1)
                await one.answer(order)
                assert await one.closed() == (1000, "Client terminated")

        fleet.trigger()
        asyncio.run(scenario())
        report = fleet.report()
        heartbeats = report["heartbeats"]
        assert process.wait(20) == 0
    print(f"\nheartbeats while the loop was blocked: {heartbeats}")
    assert heartbeats["answered"] > 500 * 20
    assert heartbeats["failed"] == 0
    assert heartbeats["latency_ms"]["max"] < 250
    assert report["closes"]["codes"] == {"1000": 500}


def test_two_agents_of_one_name_taking_over_from_each_other(
    serve: Serve, start_fleet: StartFleet
) -> None:
    serving = serve(env={"DSCORE_LOG__LEVEL": "warning"})

    async def hammer(rounds: int) -> int:
        taken = 0
        for _ in range(rounds):
            async with agent(serving.ws, "one-name", introduce=False) as one:
                await one.send("app_ready", instance_id="one-name")
                await one.send("heartbeat", clientName="one-name")
                try:
                    await one.recv_type("heartbeat_response")
                except Exception as error:
                    assert "4409" in str(error), error  # noqa: PT017
                    taken += 1
        return taken

    async def scenario() -> list[int]:
        async with agent(serving.ws, "bystander") as other:
            taken = await asyncio.gather(*(hammer(250) for _ in range(4)))
            began = time.monotonic()
            await other.beat()
            assert time.monotonic() - began < 2.0
            async with agent(serving.ws, "one-name") as last:
                await last.beat()
                wait = asyncio.to_thread(serving.request, "GET", "/deepstream/health")
                assert b'"one-name"' in (await wait)[1]
        return list(taken)

    print("\ntaken over:", asyncio.run(scenario()))
    wait_until(lambda: is_empty(serving), "end of all connections")
    assert serving.stop() == 0
    assert "Traceback" not in serving.log


LIMIT = 220


@contextmanager
def beating(url: str) -> Iterator[list[float]]:
    """An agent that beats on a thread of its own; the seconds that each answer took."""
    seconds: list[float] = []
    done = threading.Event()

    async def beat() -> None:
        async with agent(url, "steady") as one:
            while not done.is_set():
                began = time.monotonic()
                await one.beat()
                seconds.append(time.monotonic() - began)
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=asyncio.run, args=(beat(),))
    thread.start()
    try:
        wait_until(lambda: seconds, "first heartbeat")
        yield seconds
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("connections", ["none", "150"])
def test_out_of_descriptors_connections_are_turned_away_and_no_agent_notices(
    serve: Serve, connections: str
) -> None:
    serving = serve(
        env={
            "DSCORE_LIMITS__CONNECTIONS": connections,
            "DSCORE_LIMITS__HANDSHAKE_TIMEOUT": "30s",
        }
    )
    # Lowered while it runs, so that it is the kernel that says no.
    resource.prlimit(serving.pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    address = (serving.host, serving.port)
    with beating(serving.ws) as seconds, ExitStack() as stack:
        crowd = [stack.enter_context(socket.create_connection(address)) for _ in range(LIMIT + 100)]
        # It has taken all it can, and stands there with more knocking.
        descriptors = psutil.Process(serving.pid).num_fds
        wait_until(lambda: is_steady(descriptors), "full house")
        assert descriptors() <= LIMIT
        # A probe gets through: an idle connection gives its descriptor to it.
        assert serving.get("/livez", seconds=10)[0] == 200
        before, answered = cpu_seconds(serving), len(seconds)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1.0, "second")
        used = (cpu_seconds(serving) - before) / (time.monotonic() - began)
        print(f"\nCPU while full: {used * 100:.1f} %, heartbeats {len(seconds) - answered}")
        assert used < 0.5, "it spins"
        assert len(seconds) > answered + 5
        for one in crowd:
            one.close()
        # With the crowd gone, new connections are accepted again.
        wait_until(
            lambda: serving.get("/livez", seconds=1)[0] == 200, "room for new connections", 10
        )
        asyncio.run(come_in(serving.ws))
    print(f"slowest heartbeat {max(seconds) * 1000:.1f} ms of {len(seconds)}")
    assert max(seconds) < 1.0
    assert serving.stop() == 0


def is_steady(count: Callable[[], int]) -> bool:
    first = count()
    time.sleep(0.2)  # what is looked for is that nothing happens meanwhile
    return count() == first and first > LIMIT // 4


async def come_in(url: str) -> None:
    async with agent(url, "latecomer") as one:
        await one.beat()
