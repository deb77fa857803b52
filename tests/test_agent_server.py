"""The agent and the real server: drains, restarts, sudden ends, a network that goes away."""

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dscore_agent import (
    Agent,
    AgentConfig,
    Exit,
    ReconnectPolicy,
    State,
    Status,
    TerminateAnswer,
    link,
)
from fake_server import until
from serving import Serving, clean_environment
from waiting import wait_until

Serve = Callable[..., Serving]

# The table's numbers are tested without waiting; here something must come back soon.
QUICK = ReconnectPolicy(base=0.05, cap=0.2, shutdown_delay=0.2, shutdown_step=0.0, jitter=False)


@pytest.fixture(autouse=True, params=["raw", "socketio"])
def dialect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it in both dialects: `config` finds there which one is meant."""
    monkeypatch.setenv("TEST_DIALECT", request.param)


def config(serving: Serving, **fields: Any) -> AgentConfig:
    usual = {
        "url": f"ws://127.0.0.1:{serving.port}",
        "dialect": os.environ["TEST_DIALECT"],
        "instance_id": "a-1",
        "reconnect": QUICK,
    }
    return AgentConfig(**{**usual, **fields})


@contextlib.asynccontextmanager
async def connected(
    serving: Serving, seen: list[Status] | None = None, **fields: Any
) -> AsyncIterator[tuple[Agent, "asyncio.Task[int]"]]:
    """A running agent that the server has acknowledged; closed afterwards."""
    hooks = {name: fields.pop(name) for name in ("on_terminate", "on_message") if name in fields}
    if seen is not None:
        hooks["on_state"] = seen.append
    agent = Agent(config(serving, **fields), **hooks)
    run = asyncio.ensure_future(agent.run())
    try:
        await until(lambda: agent.state is State.READY, "introduction")
        yield agent, run
    finally:
        await agent.close()
        await run


async def back(agent: Agent, seconds: float = 20.0) -> None:
    await until(lambda: agent.state is State.READY, "agent that is back", seconds)


async def again(serve: Serve, old: Serving) -> Serving:
    """The server at the same port, started again with what the old one kept."""
    return await asyncio.to_thread(serve, port=old.port, directory=old.log_path.parent)


# After a takeover the table has minutes.
SOON = dataclasses.replace(QUICK, identity_delay=0.05, identity_cap=0.2)
NO_HINTS = {"DSCORE_SHUTDOWN__RECONNECT_WINDOW": "0s", "DSCORE_SHUTDOWN__NOTICE": "50ms"}


async def test_terminate_app_in_a_drain_ends_both_with_0(serving: Serving) -> None:
    stopped = []
    async with connected(serving, on_terminate=stopped.append) as (_, run):
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(run, 10) == Exit.STOPPED
        assert await asyncio.to_thread(serving.wait) == 0
    assert [request.reason for request in stopped] == ["Server shutting down"]
    assert "DeepStream client a-1 terminated gracefully" in serving.log


async def test_an_agent_that_fails_to_stop_is_told_truthfully(serving: Serving) -> None:
    async def fail(_: object) -> TerminateAnswer:
        return TerminateAnswer("ERROR", "filesink0 hangs")

    async with connected(serving, on_terminate=fail) as (_, run):
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(run, 10) == Exit.FORCED
        assert await asyncio.to_thread(serving.wait) == 3


async def test_progress_buys_time_beyond_the_server_s_timeout(serve: Serve) -> None:
    async def stop(request: Any) -> None:
        await request.progress("eos", 3000)
        await asyncio.sleep(0.5)

    serving = await asyncio.to_thread(serve, env={"DSCORE_SHUTDOWN__TIMEOUT": "300ms"})
    async with connected(serving, on_terminate=stop) as (_, run):
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(run, 10) == Exit.STOPPED
        assert await asyncio.to_thread(serving.wait) == 0


async def test_terminated_by_an_operator_the_server_goes_on(lasting: Serving) -> None:
    async with connected(lasting) as (_, run):
        status, body = await asyncio.to_thread(
            lasting.request, "POST", "/api/v1/agents/a-1/terminate", {}
        )
        assert (status, json.loads(body)["outcome"]) == (200, "acked")
        assert await asyncio.wait_for(run, 10) == Exit.STOPPED


async def test_1001_waits_and_returns_to_the_restarted_server(serve: Serve) -> None:
    serving = await asyncio.to_thread(serve, env=NO_HINTS)
    seen: list[Status] = []
    async with connected(serving, seen) as (agent, _):
        told = time.monotonic()
        assert await asyncio.to_thread(serving.stop, signal.SIGUSR1) == 0
        await until(lambda: agent.state is State.WAITING, "wait")
        assert (agent.status.last_close_code, agent.status.retry_in) == (1001, 5.0)
        assert agent.status.server_shutting_down
        assert not agent.send({"type": "work"})
        await again(serve, serving)
        await back(agent)
        assert time.monotonic() - told >= 5.0
        assert not agent.status.server_shutting_down
        assert State.TERMINATING not in [status.state for status in seen]


async def test_1013_during_a_shutdown_backs_off(serve: Serve) -> None:
    # Not asked before: what a new connection is told is the close code itself.
    environ = {"DSCORE_SHUTDOWN__TIMEOUT": "3s"}
    serving = await asyncio.to_thread(serve, env=environ)
    holding = asyncio.Event()
    table = ReconnectPolicy(jitter=False)
    async with connected(serving, on_terminate=lambda _: holding.wait()):
        serving.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(serving.wait_for_log, "drain_started")
        for checks in (False, True):
            late = Agent(
                config(serving, instance_id="late", reconnect=table, health_check_enabled=checks)
            )
            await late.start()
            await until(lambda agent=late: agent.state is State.WAITING, "refusal")
            status = late.status
            assert (status.last_close_code, status.retry_in) == (0 if checks else 1013, 10.0)
            assert status.server_shutting_down
            await late.close()
        holding.set()


async def test_maintenance_keeps_agents_away_and_lets_them_back(lasting: Serving) -> None:
    async with connected(lasting) as (agent, _):
        switch = "/api/v1/maintenance"
        await asyncio.to_thread(lasting.request, "POST", switch, {"enabled": True})
        await until(lambda: agent.status.last_close_code == 1013, "close")
        assert agent.status.last_close_reason == "Server temporarily unavailable"
        await asyncio.to_thread(lasting.request, "POST", switch, {"enabled": False})
        await back(agent)


async def test_reconnect_7_taken_over_it_returns_once_the_other_one_has_gone(
    lasting: Serving,
) -> None:
    async with connected(lasting, reconnect=SOON) as (first, run):
        async with connected(lasting) as (second, _):
            await until(lambda: first.status.last_close_code == 4409, "takeover")
            # It asks, is told that the id is in use, and leaves the other one alone.
            await until(lambda: first.status.reconnect_attempts >= 3, "attempts")
            assert second.state is State.READY
        await back(first)
        assert not run.done()


async def test_reconnect_7_a_token_replaced_on_the_disk_brings_it_back(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "CREDENTIALS_POLL", 0.05)
    environ = {"DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "right"}
    serving = await asyncio.to_thread(serve, env=environ)
    token = tmp_path / "token"
    token.write_text("wrong\n")
    # The first wait of that row is 5 minutes: it is not what the agent waits for.
    agent = Agent(config(serving, token_file=token, reconnect=ReconnectPolicy(jitter=False)))
    run = asyncio.ensure_future(agent.run())
    await until(lambda: agent.status.retry_in == 300, "wait")
    assert agent.status.last_close_reason == "authentication failed"
    token.write_text("right\n")
    await back(agent)
    assert not run.done()
    await agent.close()
    assert await run == Exit.STOPPED


async def test_messages_go_both_ways_and_wait_for_who_is_away(lasting: Serving) -> None:
    got: list[Any] = []
    async with connected(lasting, on_message=got.append) as (agent, _):
        path = "/api/v1/agents/a-1/message"
        await asyncio.to_thread(lasting.request, "POST", path, {"type": "work", "n": 1})
        await until(lambda: len(got) == 1, "message")
        agent._link.connection.abort("test")
        await until(lambda: agent.status.last_close_code == 1006, "cut")
        await asyncio.to_thread(lasting.request, "POST", path, {"type": "work", "n": 2})
        await back(agent)
        await until(lambda: len(got) == 2, "message")
        assert agent.status.session_restored
    assert [one["n"] for one in got] == [1, 2]


async def test_heartbeats_keep_an_agent_online(serve: Serve) -> None:
    environ = {
        "DSCORE_MONITORING__HEALTH_CHECK_INTERVAL": "100ms",
        "DSCORE_MONITORING__CONNECTION_CHECK_INTERVAL": "200ms",
        "DSCORE_MONITORING__MAX_MISSED_HEARTBEATS": "1",
        "DSCORE_MONITORING__HEARTBEAT_GRACE_PERIOD": "200ms",
        "DSCORE_MONITORING__OFFLINE_TIMEOUT": "800ms",
    }
    serving = await asyncio.to_thread(serve, env=environ)
    async with connected(serving) as (agent, _):
        # So many take longer than any of these times.
        await asyncio.to_thread(wait_until, lambda: heartbeats(serving) >= 10, "heartbeats", 20.0)
        assert agent.status.last_close_code == 0
        [one] = json.loads((await asyncio.to_thread(serving.get, "/api/v1/agents"))[1])["items"]
        assert one["status"] == "online"


def heartbeats(serving: Serving) -> float:
    """Heartbeats that the server has received."""
    lines = serving.get("/metrics")[1].decode().splitlines()
    return sum(
        float(line.split()[-1]) for line in lines if line.startswith("dscore_heartbeats_total")
    )


async def test_a_server_killed_with_9_is_noticed_at_once_and_found_again(serve: Serve) -> None:
    serving = await asyncio.to_thread(serve)
    async with connected(serving) as (agent, _):
        serving.process.kill()
        await until(lambda: agent.status.last_close_code == 1006, "cut", 2.0)
        assert not agent.status.server_shutting_down
        assert agent.send({"type": "work"})
        await again(serve, serving)
        await back(agent)
        await until(lambda: agent.status.queued == 0, "flush")


@pytest.mark.timed
async def test_a_stopped_server_is_left_within_the_ping_timeout(lasting: Serving) -> None:
    times = {"ping_interval": 0.2, "ping_timeout": 0.3, "health_check_timeout": 0.2}
    async with connected(lasting, **times) as (agent, _):
        lasting.process.send_signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            await until(lambda: agent.status.last_close_code == 1006, "end", 30.0)
            assert time.monotonic() - began < 2.0
            assert agent.status.last_close_reason == "ping timeout"
            # The kernel still takes connections for it; the health page tells the truth.
            await until(lambda: agent.status.health == "unreachable", "look")
        finally:
            lasting.process.send_signal(signal.SIGCONT)
        await back(agent)


needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None,
    reason="a network of its own needs root, ip and unshare",
)


@pytest.fixture
def network() -> Iterator[tuple[str, str]]:
    """A second machine, as far as the network goes: a namespace at the end of a cable.

    Gives the address of this end, and the name of the interface that can be cut.
    """
    holder = subprocess.Popen(["unshare", "--net", "sleep", "120"])
    name = f"dsc{holder.pid % 100_000}"
    try:
        deadline = time.monotonic() + 10
        here = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{holder.pid}/ns/net") == here:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for command in (
            f"ip link add {name} type veth peer name far netns {holder.pid}",
            f"ip address add 10.213.7.1/30 dev {name}",
            f"ip link set {name} up",
            f"nsenter -t {holder.pid} -n ip address add 10.213.7.2/30 dev far",
            f"nsenter -t {holder.pid} -n ip link set far up",
        ):
            done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no network of its own: {done.stderr.strip()}")
        yield f"nsenter -t {holder.pid} -n", name
    finally:
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
        holder.kill()
        holder.wait()


@pytest.mark.timed
@needs_namespaces
async def test_a_cut_network_is_noticed_within_the_ping_timeout(
    network: tuple[str, str], serve: Serve, tmp_path: Path
) -> None:
    inside, cable = network
    serving = await asyncio.to_thread(serve, "--insecure", host="0.0.0.0")
    settings = {
        "ping_interval_sec": 0.3,
        "ping_timeout_sec": 0.3,
        "max_reconnect_delay_sec": 0.3,
        "health_check_timeout_sec": 0.3,
    }
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    command = [*inside.split(), sys.executable, "-m", "dscore", "agent", "--instance-id", "far"]
    log_path = tmp_path / "agent.log"
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *[*command, "--url", f"ws://10.213.7.1:{serving.port}", *words],
            env=clean_environment({}),
            stdout=log,
            stderr=log,
        )
    try:

        def said(event: str) -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in log_path.read_text().splitlines()]
            return [line for line in lines if line["event"] == event]

        await until(lambda: said("connected"), "connection", 20.0)
        await run("ip", "link", "set", cable, "down")
        cut = time.monotonic()
        await until(lambda: said("disconnected"), "end")
        assert time.monotonic() - cut < 3.0
        assert said("disconnected")[0]["reason"] == "ping timeout"
        await run("ip", "link", "set", cable, "up")
        await until(lambda: len(said("connected")) == 2, "return", 20.0)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0
