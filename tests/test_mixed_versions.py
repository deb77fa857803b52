"""The release before this wave and this one: a fleet is never upgraded in one moment.

The former agent works with this server, and this agent and the client in C with the former server:
introduction, heartbeats, the session over a restart, both drains.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_program import Program, programs
from c_client import Driver, needs_c
from serving import Serving
from waiting import wait_until

ROOT = Path(__file__).parent.parent
QUICK = {
    "DSCORE_MONITORING__HEALTH_CHECK_INTERVAL": "100ms",
    "DSCORE_MONITORING__PROCESS_CHECK_INTERVAL": "200ms",
    "DSCORE_SHUTDOWN__NOTICE": "50ms",
    "DSCORE_SHUTDOWN__RECONNECT_WINDOW": "0s",
}
SETTINGS = ("--set", "max_reconnect_delay_sec=1", "--set", "server_shutdown_retry_delay_sec=1")


def former(part: str) -> dict[str, str]:
    """The environment in which `python -m dscore` is the former release: "agent" or "server"."""
    environ = {**os.environ, "PYO3_PYTHON": sys.executable}
    made = subprocess.run(
        [ROOT / "scripts" / "former", part], env=environ, capture_output=True, text=True
    )
    if made.returncode == 3:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    return {"PYTHONPATH": made.stdout.strip()}


@pytest.fixture(scope="module")
def former_agent() -> dict[str, str]:
    return former("agent")


@pytest.fixture(scope="module")
def former_server() -> dict[str, str]:
    """Building its extension takes a minute, more on a busy machine: tests of it are slow."""
    return former("server")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    with programs(tmp_path) as start:
        yield start


def seen(serving: Serving) -> dict[str, Any]:
    """What the server knows of the agent."""
    found: dict[str, Any] = json.loads(serving.get("/api/v1/agents/a-1")[1])
    return found


@pytest.mark.parametrize("dialect", ["raw", "socketio"])
@pytest.mark.parametrize(
    "side", ["agent", pytest.param("server", marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_introduction_heartbeats_session_and_both_drains(
    serve: Callable[..., Serving],
    agent: Callable[..., Program],
    request: pytest.FixtureRequest,
    side: str,
    dialect: str,
) -> None:
    """The agent, or the server, is the former release."""
    environ: dict[str, str] = request.getfixturevalue(f"former_{side}")
    agent_environ, server_environ = (environ, {}) if side == "agent" else ({}, environ)
    serving = serve(env={**QUICK, **server_environ})
    url = f"ws://127.0.0.1:{serving.port}"
    words = ("--url", url, "--instance-id", "a-1", "--set", f"dialect={dialect}", *SETTINGS)
    one = agent(*words, **agent_environ)
    assert one.said("connected")["session_restored"] is False
    wait_until(lambda: seen(serving)["last_heartbeat"], "heartbeat")

    # Drained with intent restart it goes on, and finds its session at the next server.
    assert serving.stop(signal.SIGUSR1) == 0
    assert one.said("disconnected")["close_code"] == 1001
    after = serve(
        env={**QUICK, **server_environ}, port=serving.port, directory=serving.log_path.parent
    )
    assert one.said("connected", 2)["session_restored"] is True

    # The same after an end that was not announced.
    after.process.kill()
    after.process.wait()
    last = serve(
        env={**QUICK, **server_environ}, port=serving.port, directory=serving.log_path.parent
    )
    assert one.said("connected", 3)["session_restored"] is True

    # Drained with intent terminate both end with 0.
    assert last.stop(signal.SIGTERM) == 0
    assert one.wait() == 0
    assert one.said("disconnected", 3)["close_code"] == 1000


@needs_c
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_client_in_c_with_the_former_server(
    serve: Callable[..., Serving], former_server: dict[str, str], c_build: Path
) -> None:
    environ = {**QUICK, **former_server}
    serving = serve(env=environ)
    port, directory = serving.port, serving.log_path.parent
    waits = ("max_reconnect_delay_sec=1", "server_shutdown_retry_delay_sec=1")
    with Driver(c_build, f"url=ws://127.0.0.1:{port}", "instance_id=a-1", *waits) as one:
        assert not one.until_state("ready")["session_restored"]
        wait_until(lambda: seen(serving)["last_heartbeat"], "heartbeat")

        since = len(one.lines)
        assert serving.stop(signal.SIGUSR1) == 0
        assert one.until_state("waiting", since=since)["last_close_code"] == 1001
        since = len(one.lines)
        after = serve(env=environ, port=port, directory=directory)
        assert one.until_state("ready", 30.0, since=since)["session_restored"]

        since = len(one.lines)
        after.process.kill()
        after.process.wait()
        last = serve(env=environ, port=port, directory=directory)
        assert one.until_state("ready", 30.0, since=since)["session_restored"]

        assert last.stop(signal.SIGTERM) == 0
        assert one.until_event("exited")["code"] == 0
        assert one.status()["last_close_code"] == 1000
