"""Pipelines in C under the real server: a program of deepstream-app's shape, the agent as a program
and the libraries from Python."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from c_client import ROOT, needs_c
from dscore_agent import Exit
from pipelines import sound_frames
from serving import Serving, clean_environment
from waiting import wait_until

CAMERA = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1"
RECORDER = "x264enc tune=zerolatency ! mp4mux ! filesink location"
DEAF = f"{CAMERA} ! queue max-size-buffers=2 ! appsink name=deaf max-buffers=1 sync=false"
RECORDER_PY = ROOT / "clients" / "c" / "examples" / "recorder.py"
SECONDS = 30.0

pytestmark = needs_c

Serve = Callable[..., Serving]


class Program:
    """A program under an agent, known to the server as `camera-1`."""

    def __init__(self, command: list[str], serving: Serving, directory: Path, **env: str) -> None:
        self._log = directory / "program.log"
        self._serving = serving
        url = {"DSCORE_AGENT_URL": serving.ws, "DSCORE_AGENT_INSTANCE_ID": "camera-1"}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=clean_environment({**url, **env}),
                stdout=log,
                stderr=log,
            )

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until_known(self) -> "Program":
        wait_until(self._is_known, "agent", SECONDS)
        return self

    def _is_known(self) -> bool:
        assert self.process.poll() is None, self.output
        return b"camera-1" in self._serving.get("/deepstream/health")[1]

    def prints(self, words: str, times: int = 1) -> None:
        wait_until(lambda: self.output.count(words) >= times, words, SECONDS)

    def wait(self) -> int:
        try:
            return self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.output}") from None


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts a program, and waits until the server knows it; it is ended afterwards."""
    started: list[Program] = []

    def start(command: list[str], serving: Serving, **env: str) -> Program:
        started.append(Program(command, serving, tmp_path, **env))
        return started[-1].wait_until_known()

    yield start
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
        program.process.wait()


Run = Callable[..., Program]


def shape(build: Path, *arguments: str) -> list[str]:
    return [str(build / "examples" / "deepstream-shape"), *arguments]


def agent(build: Path, *arguments: str) -> list[str]:
    return [str(build / "programs" / "dscore-agent-c"), *arguments]


def recording(path: Path, size: int = 1) -> None:
    """Waits until so many bytes are in it."""
    wait_until(lambda: path.exists() and path.stat().st_size >= size, "recording", SECONDS)


def terminated(serving: Serving) -> dict[str, Any]:
    """What an operator is answered who has the application stopped."""
    path = "/api/v1/agents/camera-1/terminate"
    status, body = serving.request("POST", path, {}, None, SECONDS)
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)
    return answer


@contextlib.contextmanager
def full_file(directory: Path) -> Iterator[tuple[str, int]]:
    """A sink that hangs for good once its pipe is full, and where its first byte comes out."""
    path = directory / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield f"filesink name=stuck location={path} buffer-mode=2", reader
    finally:
        os.close(reader)


def begun(reader: int) -> None:
    def read() -> bytes:
        try:
            return os.read(reader, 1)
        except BlockingIOError:
            return b""

    wait_until(read, "data", SECONDS)


def test_a_drain_stops_every_pipeline_of_a_program_with_a_main_loop(
    c_gst_build: Path, serving: Serving, run: Run, tmp_path: Path
) -> None:
    """Its watch ends at the end of stream, its loop quits, and the answer gets out all the same."""
    paths = [tmp_path / f"{number}.mp4" for number in range(3)]
    program = run(shape(c_gst_build, *(f"{CAMERA} ! {RECORDER}={path}" for path in paths)), serving)
    for path in paths:
        recording(path)
    assert serving.stop() == 0
    assert program.wait() == Exit.STOPPED, program.output
    assert program.output.count("end of stream") == len(paths)
    for path in paths:
        assert sound_frames(path)
    assert "DeepStream client camera-1 terminated gracefully" in serving.log


def test_the_answer_gets_out_while_the_main_loop_sleeps(
    c_gst_build: Path, lasting: Serving, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    program = run(shape(c_gst_build, "--sleep-sec", "60", f"{CAMERA} ! {RECORDER}={path}"), lasting)
    program.prints("asleep")
    recording(path)
    answer = terminated(lasting)
    assert (answer["outcome"], answer["complete"]) == ("acked", True)
    assert "end of stream" not in program.output, "its loop has turned"
    assert program.process.poll() is None
    assert sound_frames(path)


def test_a_pipeline_that_was_built_anew_is_stopped(
    c_gst_build: Path, lasting: Serving, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    again = ("--recreate-sec", "1", "--recreate-times", "2")
    program = run(shape(c_gst_build, *again, f"{CAMERA} ! {RECORDER}={path}"), lasting)
    program.prints("recreated", 2)
    recording(path, 2000)  # The new one's: its frames, not its head alone.
    answer = terminated(lasting)
    assert (answer["outcome"], answer["complete"]) == ("acked", True)
    assert program.wait() == Exit.STOPPED, program.output
    assert sound_frames(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_recording(
    c_gst_build: Path, lasting: Serving, run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "out.mp4"
    program = run(shape(c_gst_build, f"{CAMERA} ! {RECORDER}={path}"), lasting)
    recording(path)
    program.process.send_signal(number)
    assert program.wait() == Exit.STOPPED, program.output
    assert sound_frames(path)


def test_a_stream_that_does_not_end_is_named_and_the_others_are_whole(
    c_gst_build: Path, lasting: Serving, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    env = {"DSCORE_AGENT_PIPELINE_STOP_TIMEOUT_SEC": "2"}
    program = run(shape(c_gst_build, f"{CAMERA} ! {RECORDER}={path}", DEAF), lasting, **env)
    recording(path)
    answer = terminated(lasting)
    assert (answer["outcome"], answer["complete"]) == ("acked", False)
    assert "pipeline-1: Application terminated gracefully; no end of stream" in answer["message"]
    assert "held up by deaf" in answer["message"]
    assert program.wait() == Exit.INCOMPLETE, program.output
    assert sound_frames(path)


def test_a_pipeline_that_hangs_is_named_and_the_process_ends_by_force(
    c_gst_build: Path, lasting: Serving, run: Run, tmp_path: Path
) -> None:
    """Its main thread would wait for the element for good; the recording beside it is whole."""
    path = tmp_path / "out.mp4"
    limits = {
        "DSCORE_AGENT_PIPELINE_STOP_TIMEOUT_SEC": "2",
        "DSCORE_AGENT_GRACEFUL_SHUTDOWN_TIMEOUT_SEC": "4",
    }
    with full_file(tmp_path) as (stuck, reader):
        launches = (f"{CAMERA} ! {RECORDER}={path}", f"videotestsrc is-live=true ! {stuck}")
        program = run(shape(c_gst_build, *launches), lasting, **limits)
        begun(reader)
        recording(path)
        answer = terminated(lasting)
        assert answer["outcome"] == "failed"
        assert "pipeline-0: Application terminated gracefully; pipeline-1: " in answer["message"]
        assert "stuck did not reach the state NULL" in answer["message"]
        assert program.wait() == Exit.FORCED, program.output
        assert "leaving by force" in program.output
    assert sound_frames(path)


@pytest.mark.slow
def test_a_long_drain_gets_the_time_it_asks_for(
    c_gst_build: Path, serve: Serve, run: Run, tmp_path: Path
) -> None:
    """The end of stream takes 3 s, the server's own patience is 1.5 s: progress is told at 1 s."""
    serving = serve(env={"DSCORE_SHUTDOWN__TIMEOUT": "1.5s"})
    launch = "videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink sync=true"
    env = {"DSCORE_AGENT_PIPELINE_STOP_TIMEOUT_SEC": "3", "G_MESSAGES_DEBUG": "dscore"}
    program = run(shape(c_gst_build, launch), serving, **env)
    program.prints("pipeline_playing")
    assert serving.stop() == 0
    assert program.wait() == Exit.INCOMPLETE, program.output


def test_the_program_in_c_records_to_the_last_frame(
    c_gst_build: Path, serving: Serving, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    program = run(agent(c_gst_build, "--pipeline", f"{CAMERA} ! {RECORDER}={path}"), serving)
    recording(path)
    assert serving.stop() == 0
    assert program.wait() == Exit.STOPPED, program.output
    assert sound_frames(path)


@pytest.mark.parametrize(
    ("launch", "code", "cause"),
    [
        ("videotestsrc num-buffers=3 ! fakesink", Exit.STOPPED, "pipeline ended"),
        ("videotestsrc is-live=true num-buffers=3 ! fakesink", Exit.ENDED, "a live stream came"),
        (
            "videotestsrc is-live=true ! identity error-after=3 name=broken ! fakesink",
            Exit.FAILED,
            "error from broken",
        ),
        ("filesrc location=absent name=reader ! fakesink", Exit.FAILED, "does not start: error"),
    ],
    ids=["file", "live", "failed", "not-started"],
)
def test_a_pipeline_that_ends_unasked_ends_the_program(
    c_gst_build: Path, lasting: Serving, tmp_path: Path, launch: str, code: Exit, cause: str
) -> None:
    program = Program(agent(c_gst_build, "--pipeline", launch), lasting, tmp_path)
    try:
        assert program.wait() == code, program.output
        assert cause in program.output
    finally:
        program.process.kill()
        program.process.wait()


@pytest.mark.slow
def test_a_pipeline_that_waits_for_its_first_frame_in_vain_is_told_of(
    c_gst_build: Path, lasting: Serving, run: Run
) -> None:
    """The sink that waits is named, the pipeline that plays is not."""
    program = run(
        shape(c_gst_build, "appsrc ! fakesink name=patient", f"{CAMERA} ! fakesink"), lasting
    )
    program.prints("pipeline_not_playing")
    program.prints("waiting=patient")
    assert terminated(lasting)["outcome"] == "acked"
    assert program.wait() in (Exit.STOPPED, Exit.INCOMPLETE), program.output
    assert program.output.count("pipeline_not_playing") == 1


def test_a_description_that_makes_no_pipeline_is_a_usage_error(
    c_gst_build: Path, lasting: Serving, tmp_path: Path
) -> None:
    program = Program(
        agent(c_gst_build, "--pipeline", "no-such-element ! fakesink"), lasting, tmp_path
    )
    assert program.wait() == 2, program.output
    assert "no-such-element" in program.output


def test_a_pipeline_that_fails_is_built_anew_where_wished(
    c_gst_build: Path, lasting: Serving, run: Run
) -> None:
    launch = "videotestsrc is-live=true ! identity error-after=40 name=broken ! fakesink"
    command = agent(c_gst_build, "--pipeline", launch, "--set", "pipeline_restart=true")
    program = run(command, lasting)
    program.prints("pipeline_restarts")
    program.prints("pipeline_playing", 2)
    answer = terminated(lasting)
    assert answer["outcome"] == "acked"
    assert program.wait() in (Exit.STOPPED, Exit.INCOMPLETE), program.output


@pytest.mark.slow
def test_a_pipeline_built_anew_leaves_no_descriptors(
    c_gst_build: Path, lasting: Serving, run: Run
) -> None:
    """The watch on the bus kept the former pipeline's two: a camera that fails used them all up."""
    launch = "videotestsrc is-live=true ! identity error-after=40 name=broken ! fakesink"
    command = agent(c_gst_build, "--pipeline", launch, "--set", "pipeline_restart=true")
    program = run(command, lasting)
    descriptors = Path(f"/proc/{program.process.pid}/fd")
    program.prints("pipeline_restarts")  # the pipeline stands still
    before = len(list(descriptors.iterdir()))
    program.prints("pipeline_restarts", 2)
    wait_until(lambda: len(list(descriptors.iterdir())) <= before, "as many descriptors as before")


def test_the_libraries_from_python(
    c_gst_build: Path, serving: Serving, run: Run, tmp_path: Path
) -> None:
    """Through GObject introspection, with nothing of dscore's Python packages."""
    pytest.importorskip("gi", reason="GStreamer for Python is not installed: make setup-gst")
    if not (c_gst_build / "gst" / "DscoreGst-1.0.typelib").exists():
        pytest.skip("g-ir-scanner is not installed: make setup-c")
    libraries = f"{c_gst_build / 'src'}:{c_gst_build / 'gst'}"
    env = {"LD_LIBRARY_PATH": libraries, "GI_TYPELIB_PATH": libraries}
    path = tmp_path / "out 4 ! 1.mp4"
    program = run([sys.executable, str(RECORDER_PY), path.name], serving, **env)
    recording(path)
    assert serving.stop() == 0
    assert program.wait() == Exit.STOPPED, program.output
    assert "playing\n" in program.output
    assert "done\n" in program.output
    assert sound_frames(path)
