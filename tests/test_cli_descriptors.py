"""`serve` with few descriptors: the agents it takes, what it says, what goes on at the limit."""

import asyncio
import json
import resource
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import psutil

from serving import Serving
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]


def whole_log(serving: Serving) -> str:
    """Ends it first: it looks at its descriptors after it is ready, and a thread writes the log."""
    serving.wait_for_log("serving")
    serving.stop()
    return serving.log


async def test_a_small_limit_takes_the_agents_it_was_said_to_take(serve: Serve) -> None:
    serving = serve(descriptors=(128, 128))
    line = serving.wait_for_log("descriptor_limit_small")
    assert line["limit"] == 128
    assert 64 <= line["agents"] <= 112
    assert "LimitNOFILE=" in line["remedy"]
    assert "ulimit -n" in line["remedy"]
    async with AsyncExitStack() as stack:
        # Less those that are under way: the probe's connection, and what Python opens now and then.
        for number in range(line["agents"] - 8):
            await stack.enter_async_context(agent(serving.ws, f"a-{number}"))


def test_the_soft_limit_is_raised_and_a_large_one_is_not_named(serve: Serve) -> None:
    serving = serve(descriptors=(64, 8192))
    assert resource.prlimit(serving.pid, resource.RLIMIT_NOFILE) == (8192, 8192)
    assert "descriptor_limit" not in whole_log(serving)


def test_more_connections_wanted_than_descriptors_allow_is_named(serve: Serve) -> None:
    env = {"DSCORE_LIMITS__CONNECTIONS": "8000"}
    line = serve(descriptors=(5000, 5000), env=env).wait_for_log("descriptor_limit_small")
    assert line["connections"] == 8000
    assert line["agents"] < 5000


def test_a_small_limit_that_is_enough_is_not_named(serve: Serve) -> None:
    serving = serve(descriptors=(256, 256), env={"DSCORE_LIMITS__CONNECTIONS": "50"})
    assert "descriptor_limit_small" not in whole_log(serving)


async def test_at_the_limit_watchdog_store_log_and_agents_go_on(
    serve: Serve, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, ExitStack() as crowd:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30.0)
        env = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "400000"}
        serving = serve(descriptors=(128, 128), env=env)
        async with agent(serving.ws, "a-1") as one:
            for _ in range(150):
                crowd.enter_context(socket.create_connection((serving.host, serving.port)))
            await one.beat()
            await asyncio.to_thread(hears_watchdog, manager)
            # What is told of the agent is stored and logged.
            await one.vanish()
        serving.wait_for_log("agent_disconnected")
        assert is_calm(serving)
    status, body = wait_until(lambda: answered(serving), "an answer once they have gone")
    assert (status, json.loads(body)["store"]["status"]) == (200, "ok")


def answered(serving: Serving) -> tuple[int, bytes] | None:
    answer = serving.get("/deepstream/health")
    return answer if answer[0] == 200 else None


def hears_watchdog(manager: socket.socket) -> None:
    """What was sent before is read first."""
    manager.setblocking(False)
    try:
        while True:
            manager.recv(100)
    except BlockingIOError:
        manager.settimeout(30.0)
    for _ in range(3):
        assert manager.recv(100) == b"WATCHDOG=1"


def is_calm(serving: Serving) -> bool:
    """Whether the server hardly works: half of a processor at most, for a second."""
    return psutil.Process(serving.pid).cpu_percent(interval=1.0) < 50
