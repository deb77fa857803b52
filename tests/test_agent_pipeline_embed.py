"""A program with a GLib main loop of its own, under an agent in a thread."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import decoded_frames, recorded_frames
from serving import Serving, clean_environment
from waiting import wait_until

EXAMPLE = Path(__file__).parent.parent / "examples" / "agent_glib.py"


@pytest.fixture
def program(serving: Serving, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The example, recording, known to the server; ended afterwards."""
    environ = {"DSCORE_AGENT_URL": serving.ws, "DSCORE_AGENT_INSTANCE_ID": "camera-1"}
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), "out.mp4"],
        cwd=tmp_path,
        env=clean_environment(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    path = tmp_path / "out.mp4"
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
    frames = recorded_frames(tmp_path / "out.mp4", "qtdemux")
    assert len(decoded_frames(tmp_path / "out.mp4")) == len(frames) > 0


def test_the_program_goes_on_without_the_server(
    serving: Serving, program: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    serving.process.kill()
    size = path.stat().st_size
    wait_until(lambda: path.stat().st_size > size, "recording", 10.0)
    assert program.poll() is None
