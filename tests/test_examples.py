"""Each example as its reader would run it."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import socketio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from serving import Serving, clean_environment

EXAMPLES = Path(__file__).parent.parent / "examples"
SECONDS = 30.0


@contextmanager
def example(
    name: str, *, directory: Path | None = None
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A running example, and host:port from the first address that it prints."""
    command = [] if name.endswith(".sh") else [sys.executable]
    process = subprocess.Popen(
        [*command, str(EXAMPLES / name), "--port", "0"],
        cwd=directory,
        env=clean_environment({"PYTHON": sys.executable}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"\w+://([\d.]+:\d+)", line):
                yield process, found[1]
                return
        raise AssertionError(f"{name} ended before it listened: {''.join(said)}")
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """The exit code of one that was asked to end, and what it still said. Asked once more it might
    die of it: its loop, and what that did about signals, may be over."""
    said, _ = process.communicate(timeout=SECONDS)
    return process.returncode, said


def say(connection: ClientConnection, kind: str, **fields: Any) -> None:
    connection.send(json.dumps({"type": kind, **fields}))


def hear(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """The next message, which must be of this type."""
    message: dict[str, Any] = json.loads(connection.recv(timeout=SECONDS))
    assert message["type"] == kind
    return message


def close_code(connection: ClientConnection) -> int | None:
    """The code of the server's close frame, which must be the next thing to come."""
    with pytest.raises(ConnectionClosed) as closed:
        connection.recv(timeout=SECONDS)
    return None if closed.value.rcvd is None else closed.value.rcvd.code


def get(url: str, method: str = "GET") -> Any:
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def test_serve_as_is(tmp_path: Path) -> None:
    with example("serve_as_is.sh", directory=tmp_path) as (process, address):
        with connect(f"ws://{address}/deepstream/ws") as agent:
            say(agent, "app_ready", instance_id="a")
            hear(agent, "app_ready_ack")
            process.send_signal(signal.SIGTERM)
            request = hear(agent, "terminate_app")
            say(agent, "app_terminated", request_id=request["request_id"], status="OK", message="")
            assert close_code(agent) == 1000
        assert process.wait(SECONDS) == 0


def test_policy_and_fastapi_share_a_port() -> None:
    with example("policy_and_fastapi.py") as (process, address):
        assert process.stdout is not None
        assert re.fullmatch(r"operator's token: [\w-]{32,}\n", process.stdout.readline())
        url = f"ws://{address}/deepstream/ws"
        with connect(url) as camera, connect(url) as fridge:
            say(camera, "app_ready", instance_id="cam-1")
            hear(camera, "app_ready_ack")
            say(fridge, "app_ready", instance_id="fridge")
            assert close_code(fridge) == 1008

            say(camera, "detections", objects=["car", "dog"])
            assert get(f"http://{address}/agents/cam-1/snapshot", "POST") == {"delivered": True}
            hear(camera, "take_snapshot")
            assert get(f"http://{address}/detections") == {"cam-1": 2}
            with connect(f"ws://{address}/detections/live") as page:
                page.send("how many?")
                assert json.loads(page.recv(timeout=SECONDS)) == {"cam-1": 2}
            assert get(f"http://{address}/deepstream/health")["connected_instances"] == ["cam-1"]

            process.send_signal(signal.SIGTERM)
            request = hear(camera, "terminate_app")
            say(camera, "app_terminated", request_id=request["request_id"], status="OK", message="")
            code, said = ended(process)
        assert code == 0
        assert "1 of 1 cameras stopped" in said


def test_bare_core_inside_an_asyncio_program() -> None:
    with example("bare_core.py") as (process, address):
        with connect(f"ws://{address}/echo") as connection:
            connection.send("text")
            assert connection.recv(timeout=SECONDS) == "text"
            connection.send(b"\x00\xff")
            assert connection.recv(timeout=SECONDS) == b"\x00\xff"
            assert get(f"http://{address}/") == {"connections": 1}
            process.send_signal(signal.SIGTERM)
            assert close_code(connection) == 1001
        assert ended(process)[0] == 0


async def test_socketio_policy() -> None:
    with example("socketio_policy.py") as (process, address):
        assert process.stdout is not None
        assert process.stdout.readline().startswith("operator's token: ")
        camera = socketio.AsyncClient(reconnection=False)
        heard: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        camera.on("take_snapshot", lambda wish: {"jpeg": bytes(wish["width"])})
        for event in ("news", "server_shutdown"):
            camera.on(event, lambda *said, event=event: heard.put_nowait((event, *said)))
        await camera.connect(f"http://{address}", namespaces=["/", "/telemetry"])
        await camera.emit("heartbeat", {"clientName": "cam-1"})
        answer = await camera.call("picture", {"jpeg": b"\xff" * 7}, timeout=SECONDS)
        assert answer == {"bytes": 7}
        await camera.emit("reading", {"celsius": 41}, namespace="/telemetry")
        # An ack of the namespace: the reading has been printed before.
        await camera.call("reading", {"celsius": 42}, namespace="/telemetry", timeout=SECONDS)
        lines = [await asyncio.to_thread(process.stdout.readline) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        for expected in ("news", "server_shutdown"):
            event, said = await asyncio.wait_for(heard.get(), SECONDS)
            assert event == expected
        assert said["reconnectAfter"] == 5000
        await asyncio.wait_for(camera.wait(), SECONDS)
        assert (await asyncio.to_thread(process.wait, SECONDS)) == 0
    assert sorted(lines) == [
        "cam-1 /telemetry reading: {'celsius': 41, 'type': 'reading'}\n",
        "cam-1 /telemetry reading: {'celsius': 42, 'type': 'reading'}\n",
        "cam-1 sent a snapshot of 640 bytes\n",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_has_the_asyncio_agent_finish_its_work(
    lasting: Serving, number: signal.Signals
) -> None:
    """Ctrl-C was a traceback, and exit code 130."""
    environ = {"DSCORE_AGENT_URL": lasting.ws, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "agent_asyncio.py")],
        env=clean_environment(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert any(line.startswith("ready") for line in process.stdout)
        process.send_signal(number)
        code, said = ended(process)
    finally:
        process.kill()
        process.wait()
    assert (code, "Traceback" in said) == (0, False), said
    assert f"stopping: {number.name}" in said


def test_serve_as_is_finds_the_environment_that_make_setup_made(tmp_path: Path) -> None:
    """Without an active environment there may be no `python` at all."""
    (tmp_path / "examples").mkdir()
    script = tmp_path / "examples" / "serve_as_is.sh"
    script.write_bytes((EXAMPLES / "serve_as_is.sh").read_bytes())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "ours: $*"\n')
    python.chmod(0o755)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname"):
        (tools / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        ["sh", str(script), "--port", "1"],
        cwd=tmp_path,
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "ours: -m dscore serve --port 1\n", done.stderr
