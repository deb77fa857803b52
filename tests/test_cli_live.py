"""`dscore why` and `dscore agents --watch` against the real program, its disk included."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

from websockets.sync.client import ClientConnection, connect

from serving import Serving, clean_environment
from waiting import wait_until

SETTINGS = """
[monitoring]
reconnection_grace_period = "300ms"
heartbeat_grace_period = "100ms"
[socket]
ping_interval = "100ms"
"""


def dscore(serving: Serving, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dscore", *arguments, "--url", serving.url],
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def why(serving: Serving, agent_id: str) -> dict[str, Any]:
    document = json.loads(dscore(serving, "why", agent_id, "--json").stdout)
    assert isinstance(document, dict)
    return document


@contextmanager
def introduced(serving: Serving, agent_id: str, **fields: object) -> Iterator[ClientConnection]:
    with connect(serving.ws) as socket:
        for message in (
            {"type": "app_ready", "instance_id": agent_id, **fields},
            {"type": "heartbeat", "clientName": agent_id},
        ):
            socket.send(json.dumps(message))
            socket.recv(timeout=10)
        yield socket


def test_why_tells_of_a_lost_connection_and_still_does_after_a_restart(
    serve: Callable[..., Serving], tmp_path: Path
) -> None:
    config = tmp_path / "dscore.toml"
    config.write_text(SETTINGS)
    serving = serve("--config", str(config), directory=tmp_path)
    with introduced(serving, "agent-17", config={"labels": {"site": "busan"}}) as socket:
        # The second ping goes out long after the pong of the first.
        wait_until(lambda: _pings(serving) >= 2, "second ping")
        socket.socket.shutdown(SHUT_RDWR)
    wait_until(lambda: "offline since" in why(serving, "agent-17")["sentence"] or None, "offline")

    document = why(serving, "agent-17")
    assert "its connection from 127.0.0.1 was lost without a close frame" in document["sentence"]
    assert "it did not come back within " in document["sentence"]
    assert "; last heartbeat " in document["sentence"]
    kinds = [item["kind"] for item in document["items"]]
    assert kinds == ["offline", "disconnected", "connected"]
    assert document["items"][1]["data"]["rtt_us"] > 0
    assert document["agent"]["labels"] == {"site": "busan"}

    assert serving.stop() == 0
    again = serve("--config", str(config), directory=tmp_path)
    document = why(again, "agent-17")
    assert [i["kind"] for i in document["items"]][:3] == ["started", "stopped", "drain"]
    assert [i["kind"] for i in document["items"]][3:] == kinds
    assert "lost without a close frame" in document["sentence"]
    listed = dscore(again, "agents", "--json", "--label", "site=busan").stdout
    assert [item["id"] for item in json.loads(listed)["items"]] == ["agent-17"]


def test_why_of_an_unknown_agent_is_exit_1(serving: Serving) -> None:
    done = dscore(serving, "why", "unknown")
    assert (done.returncode, done.stderr) == (1, "dscore: no agent has the id 'unknown'\n")


def test_watch_shows_agents_as_they_come_and_waits_for_a_server_that_is_away(
    serving: Serving,
) -> None:
    master, slave = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "dscore", "agents", "--watch", "--url", serving.url],
        env=clean_environment({"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}),
        stdin=slave,
        stdout=slave,
        stderr=subprocess.PIPE,
    )
    os.close(slave)
    try:
        _read_until(master, b"0: 0 online")
        with introduced(serving, "cam-4711"):
            _read_until(master, b"cam-4711")
        assert serving.stop() == 0
        # The last picture stays, and it says what is wrong.
        _read_until(master, b"cannot reach")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 0
        assert watching.stderr is not None
        assert watching.stderr.read() == b""
    finally:
        watching.kill()
        watching.wait(10)
        if watching.stderr is not None:
            watching.stderr.close()
        os.close(master)


def _pings(serving: Serving) -> int:
    status = json.loads(dscore(serving, "status", "--json").stdout)
    return int(status["core"]["pings_total"])


def _read_until(descriptor: int, wanted: bytes) -> None:
    """Reads a terminal until something was on it. The test's own timeout is the deadline."""
    seen = b""
    while wanted not in seen:
        seen += os.read(descriptor, 65536)


def test_https_at_a_plain_port_says_what_to_use(lasting: Serving) -> None:
    url = lasting.url.replace("http:", "https:")
    done = subprocess.run(
        [sys.executable, "-m", "dscore", "agents", "--url", url],
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == f"dscore: cannot reach {url}: it does not speak TLS; use http://\n"
