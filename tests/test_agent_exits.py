"""Each way in which `dscore agent` ends: its exit code, what the unit makes of it, what `why` says.

docs/agent.md has a table of them, which is walked here row by row.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pipelines
from agent_program import Program
from dscore_agent import Exit
from serving import Serving, clean_environment
from waiting import wait_until

ROOT = Path(__file__).parent.parent
CAMERA = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1"
BLOCKED = (
    f"{CAMERA} ! tee name=t ! queue max-size-buffers=2 ! appsink max-buffers=1 sync=false "
    "t. ! queue ! fakesink async=false"
)


class Row:
    """One row of the table."""

    def __init__(self, cells: list[str]) -> None:
        self.happened, codes, self.unit, why = cells
        self.codes = {int(code) for code in re.findall(r"\d", codes)}
        self.why = why.strip("`")


def table() -> list[Row]:
    page = (ROOT / "docs" / "agent.md").read_text()
    block = page.partition("| what happened | exit code |")[2].partition("\n\n")[0]
    lines = block.splitlines()[2:]
    return [Row([cell.strip() for cell in line.strip("|").split("|")]) for line in lines]


Agent = Callable[..., Program]


@pytest.fixture
def agent(lasting: Serving, tmp_path: Path) -> Iterator[Agent]:
    """Starts the program with a pipeline and waits until it plays, known to the server."""
    programs: list[Program] = []

    def start(launch: str, *settings: str, plays: bool = True) -> Program:
        words = [word for setting in settings for word in ("--set", setting)]
        one = Program(
            tmp_path / "agent.log",
            *("--url", lasting.ws, "--instance-id", "camera-1", "--pipeline", launch, *words),
        )
        programs.append(one)
        one.said("connected")
        if plays:
            one.said("pipeline_playing")
        return one

    yield start
    for one in programs:
        one.close()


def terminate(serving: Serving) -> str:
    path = "/api/v1/agents/camera-1/terminate"
    return str(json.loads(serving.request("POST", path, {}, None, 30.0)[1])["outcome"])


def asked(agent: Agent, serving: Serving, _: Path) -> int:
    one = agent(f"{CAMERA} ! fakesink")
    assert terminate(serving) == "acked"
    return one.wait()


def asked_in_vain(agent: Agent, serving: Serving, _: Path) -> int:
    one = agent(BLOCKED, "pipeline_stop_timeout_sec=1")
    assert terminate(serving) == "acked"
    return one.wait()


def asked_while_it_hangs(agent: Agent, serving: Serving, path: Path) -> int:
    pipe = path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        launch = f"videotestsrc is-live=true ! filesink location={pipe} buffer-mode=2"
        one = agent(launch, "pipeline_stop_timeout_sec=0.3", "graceful_shutdown_timeout_sec=1.5")
        assert terminate(serving) == "failed"
        return one.wait()
    finally:
        os.close(reader)


def signalled(agent: Agent, _: Serving, __: Path) -> int:
    one = agent(f"{CAMERA} ! fakesink")
    one.signal(signal.SIGTERM)
    return one.wait()


def file_ended(agent: Agent, _: Serving, __: Path) -> int:
    # A second of a file, played as fast as it was recorded: time enough to be known.
    launch = "videotestsrc num-buffers=90 ! video/x-raw,framerate=30/1 ! fakesink sync=true"
    return agent(launch).wait()


def camera_gone(agent: Agent, _: Serving, __: Path) -> int:
    return agent("videotestsrc is-live=true num-buffers=90 ! fakesink").wait()


def failed(agent: Agent, _: Serving, __: Path) -> int:
    return agent("videotestsrc is-live=true ! identity error-after=90 ! fakesink").wait()


def misset(_: Agent, __: Serving, path: Path) -> int:
    one = Program(path / "misset.log", "--set", "nonsense=1")
    try:
        return one.wait()
    finally:
        one.close()


def taken_over(agent: Agent, serving: Serving, path: Path) -> None:
    one = agent(f"{CAMERA} ! fakesink")
    other = Program(path / "other.log", "--url", serving.ws, "--instance-id", "camera-1")
    try:
        one.said("taken_over")
        one.said("waiting")
        assert one.process.poll() is None
    finally:
        other.close()


def refused(_: Agent, __: Serving, path: Path) -> None:
    environ = {"DSCORE_AUTH__REQUIRED": "true", "DSCORE_AUTH__TOKENS": "right"}
    with Serving(directory=path, env=environ) as serving:
        url = serving.wait_until_ready().ws
        words = ("--url", url, "--set", "token=wrong", "--pipeline", f"{CAMERA} ! fakesink")
        one = Program(path / "agent.log", *words)
        try:
            one.said("authentication_failed")
            one.said("pipeline_playing")
            one.said("waiting")
            assert one.process.poll() is None
        finally:
            one.close()


Scenario = Callable[[Agent, Serving, Path], int | None]

SCENARIOS: dict[str, tuple[Exit | int | None, Scenario]] = {
    "the server or an operator asked it to stop, and every": (Exit.STOPPED, asked),
    "the same, and a stream did not reach": (Exit.INCOMPLETE, asked_in_vain),
    "the same, and the application failed": (Exit.FORCED, asked_while_it_hangs),
    "a signal": (Exit.STOPPED, signalled),
    "a file was played": (Exit.STOPPED, file_ended),
    "a live pipeline came to its end": (Exit.ENDED, camera_gone),
    "the pipeline failed": (Exit.FAILED, failed),
    "a setting is wrong": (2, misset),
    "another agent came in": (None, taken_over),
    "the server refused its token": (None, refused),
}


def test_the_table_has_a_scenario_for_each_row() -> None:
    rows = table()
    assert len(rows) == len(SCENARIOS)
    for row in rows:
        assert [row.happened.startswith(beginning) for beginning in SCENARIOS].count(True) == 1
    assert set(Exit) <= {code for row in rows for code in row.codes}


@pytest.mark.parametrize("beginning", SCENARIOS)
def test_a_row_of_the_table(beginning: str, agent: Agent, lasting: Serving, tmp_path: Path) -> None:
    [row] = [row for row in table() if row.happened.startswith(beginning)]
    code, scenario = SCENARIOS[beginning]
    assert scenario(agent, lasting, tmp_path) == code
    if code is None:
        assert (row.codes, row.unit) == (set(), "nothing")
    else:
        assert code in row.codes
        assert row.unit == ("starts it again" if restarts(int(code)) else "stays down")
    if row.why:
        wait_until(lambda: row.why in why(lasting), f"{row.why} of why", 10.0)


def why(serving: Serving) -> str:
    """What `dscore why` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "dscore", "why", "camera-1", "--url", serving.url],
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return " ".join((done.stdout + done.stderr).split())


def restarts(code: int) -> bool:
    """Whether systemd starts the service again (systemd.service(5), Restart=)."""
    unit = (ROOT / "packaging" / "dscore-agent.service").read_text()
    settings = dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"\w+=", line))
    assert settings["Restart"] == "on-failure"
    return code != 0 and str(code) not in settings["RestartPreventExitStatus"].split()


@contextlib.contextmanager
def camera(port: int = 0) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """An RTSP camera, and its port; its power fails at the end."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("rtsp_camera.py")), str(port)],
        env=clean_environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def recorder(port: int, path: Path) -> str:
    return (
        f"rtspsrc location=rtsp://127.0.0.1:{port}/cam protocols=tcp latency=0 "
        f"! rtph264depay ! h264parse ! splitmuxsink location={path}/%d.mp4"
    )


def test_an_rtsp_camera_over_tcp_that_dies_is_a_failure(
    agent: Agent, lasting: Serving, tmp_path: Path
) -> None:
    with camera() as (process, port):
        one = agent(recorder(port, tmp_path))
        file = tmp_path / "0.mp4"
        wait_until(lambda: file.exists() and file.stat().st_size > 0, "recording", 20.0)
        process.kill()
        assert one.wait() == Exit.ENDED
    said = one.said("pipeline_over")
    assert said["cause"].startswith("pipeline ")
    wait_until(lambda: f"with 1001 {said['cause']}"[:60] in why(lasting), "cause", 10.0)
    assert pipelines.sound_frames(file)


def test_restarting_it_comes_back_with_its_camera_in_the_same_process(
    agent: Agent, lasting: Serving, tmp_path: Path
) -> None:
    with camera() as (_, port):
        one = agent(recorder(port, tmp_path), "pipeline_restart=true")
    assert one.said("pipeline_restarts")["seconds"] == 1.0
    with camera(port):
        one.said("pipeline_playing", 2)
        assert json.loads(lasting.get("/deepstream/health")[1])["connected_instances"] == [
            "camera-1"
        ]
        file = tmp_path / "0.mp4"
        wait_until(lambda: file.stat().st_size > 0, "recording", 20.0)
        one.signal(signal.SIGTERM)
        assert one.wait() == Exit.STOPPED
    assert pipelines.sound_frames(file)


def test_told_to_stop_while_it_waits_to_restart_it_stops(agent: Agent, lasting: Serving) -> None:
    one = agent("videotestsrc is-live=true num-buffers=30 ! fakesink", "pipeline_restart=true")
    assert one.said("pipeline_restarts", 2)["seconds"] == 2.0
    assert terminate(lasting) == "acked"
    assert one.wait() == Exit.STOPPED
