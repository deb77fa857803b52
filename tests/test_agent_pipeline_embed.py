"""A program with a GLib main loop of its own, under an agent in a thread."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dscore_agent import Exit
from pipelines import sound_frames
from serving import Serving, clean_environment
from waiting import wait_until

RECORDING = "out 4 ! 1.mp4"
"""Anything may be in a path; a launch string would make more of it."""
EXAMPLE = Path(__file__).parent.parent / "examples" / "agent_glib.py"


@pytest.fixture
def program(serving: Serving, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The example, recording, known to the server; ended afterwards."""
    environ = {"DSCORE_AGENT_URL": serving.ws, "DSCORE_AGENT_INSTANCE_ID": "camera-1"}
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), RECORDING],
        cwd=tmp_path,
        env=clean_environment(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    path = tmp_path / RECORDING
    try:
        wait_until(lambda: b"camera-1" in serving.get("/deepstream/health")[1], "agent", 30.0)
        wait_until(lambda: path.exists() and path.stat().st_size > 0, "recording", 30.0)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_told_to_terminate_it_ends_by_itself_with_a_whole_recording(
    serving: Serving, program: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """Its main loop quits at the end of stream; the answer gets to the server all the same."""
    assert serving.stop() == 0
    output, _ = program.communicate(timeout=20)
    assert (program.returncode, output) == (0, "playing\ndone\n")
    assert sound_frames(tmp_path / RECORDING)


def test_the_program_goes_on_without_the_server(
    serving: Serving, program: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    path = tmp_path / RECORDING
    serving.process.kill()
    size = path.stat().st_size
    wait_until(lambda: path.stat().st_size > size, "recording", 10.0)
    assert program.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_recording(
    program: "subprocess.Popen[str]", tmp_path: Path, number: signal.Signals
) -> None:
    program.send_signal(number)
    output, _ = program.communicate(timeout=20)
    assert (program.returncode, output) == (0, "playing\ndone\n")
    assert sound_frames(tmp_path / RECORDING)


OWN = """
import logging, sys
import gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst
Gst.init(None)
from dscore_agent import AgentConfig, embed
logging.basicConfig(level=logging.DEBUG)  # To standard error.
pipelines = [Gst.parse_launch(launch) for launch in sys.argv[2:]]
loop = GLib.MainLoop()
codes = []
agent = embed.start(
    AgentConfig(
        url=sys.argv[1],
        instance_id="camera-1",
        graceful_shutdown_timeout=4.0,
        pipeline_stop_timeout=1.0,
    ),
    pipeline=pipelines,
    on_exit=lambda code: (codes.append(code), loop.quit()),
)
for pipeline in pipelines:
    pipeline.set_state(Gst.State.PLAYING)
loop.run()
agent.close()
sys.exit(codes[0])
"""
CAMERA = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1"
RECORDER = "x264enc tune=zerolatency ! mp4mux ! filesink location"


@contextmanager
def own_program(
    serving: Serving, log_path: Path, *launches: str, stderr: int | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program with pipelines of its own, known to the server."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", OWN, serving.ws, *launches],
            env=clean_environment({}),
            stdout=log,
            stderr=log if stderr is None else stderr,
        )
    try:
        wait_until(lambda: b"camera-1" in serving.get("/deepstream/health")[1], "agent", 30.0)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def test_several_pipelines_are_stopped_together(serving: Serving, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.mp4" for number in range(3)]
    launches = [f"{CAMERA} ! {RECORDER}={path}" for path in paths]
    with own_program(serving, tmp_path / "log", *launches) as process:
        for path in paths:
            wait_until(lambda path=path: path.exists() and path.stat().st_size > 0, "file", 20.0)
        assert serving.stop() == 0
        assert process.wait(20) == Exit.STOPPED, (tmp_path / "log").read_text()
    for path in paths:
        assert sound_frames(path)


def test_one_of_several_that_loses_a_stream_is_named(lasting: Serving, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    deaf = f"{CAMERA} ! queue max-size-buffers=2 ! appsink name=deaf max-buffers=1 sync=false"
    launches = [f"{CAMERA} ! {RECORDER}={path}", deaf]
    with own_program(lasting, tmp_path / "log", *launches) as process:
        wait_until(lambda: path.exists() and path.stat().st_size > 0, "file", 20.0)
        status, body = lasting.request("POST", "/api/v1/agents/camera-1/terminate", {}, None, 20.0)
        assert (status, json.loads(body)["complete"]) == (200, False)
        assert process.wait(20) == Exit.INCOMPLETE
    assert "held up by deaf" in lasting.log
    assert sound_frames(path)


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """A pipe that no process reads and that has no room."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b".")
    os.set_blocking(writer, True)
    yield writer
    os.close(writer)
    os.close(reader)


def test_a_standard_error_that_is_read_by_no_process_holds_nothing_up(
    serving: Serving, tmp_path: Path, full_pipe: int
) -> None:
    path = tmp_path / "out.mp4"
    launch = f"{CAMERA} ! {RECORDER}={path}"
    with own_program(serving, tmp_path / "log", launch, stderr=full_pipe) as process:
        wait_until(lambda: path.exists() and path.stat().st_size > 0, "file", 20.0)
        assert serving.stop() == 0
        assert process.wait(20) == Exit.STOPPED
    assert sound_frames(path)


@pytest.mark.timed
def test_the_forced_exit_waits_for_no_standard_error(
    lasting: Serving, tmp_path: Path, full_pipe: int
) -> None:
    """An element hangs for good, and there is no room for last words: bounded all the same."""
    stuck = tmp_path / "pipe"
    os.mkfifo(stuck)
    reader = os.open(stuck, os.O_RDONLY | os.O_NONBLOCK)
    launch = f"videotestsrc is-live=true ! filesink location={stuck} buffer-mode=2"
    try:
        with own_program(lasting, tmp_path / "log", launch, stderr=full_pipe) as process:
            wait_until(lambda: os.read(reader, 1), "data", 20.0)
            began = time.monotonic()
            path = "/api/v1/agents/camera-1/terminate"
            assert (
                json.loads(lasting.request("POST", path, {}, None, 20.0)[1])["outcome"] != "acked"
            )
            assert process.wait(20) == Exit.FORCED
            assert time.monotonic() - began < 4.0 + 1.0
    finally:
        os.close(reader)
