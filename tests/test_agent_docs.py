"""What docs/agent.md and the examples tell a first user to type, run as it stands there."""

import importlib.util
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote
from typing import NamedTuple

import pytest

from serving import Serving, clean_environment
from waiting import wait_until

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "agent.md").read_text()
EXAMPLE = str(ROOT / "examples" / "agent_asyncio.py")
SECONDS = 30.0

HAS_GSTREAMER = importlib.util.find_spec("gi") is not None


def block(beginning: str) -> str:
    """The one indented block of the page that begins like this, without its indentation."""
    found = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", PAGE, re.MULTILINE)
    texts = [textwrap.dedent(text).strip("\n") for text in found]
    [one] = [text for text in texts if text.startswith(beginning)]
    return one


RUNNER = """
import ast, asyncio, inspect, sys
code = compile(sys.argv[1], "docs/agent.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
names = {}
running = eval(code, names)
if inspect.iscoroutine(running):
    asyncio.run(running)
sys.exit(names.get("exit_code", 0))
"""

PROGRAM_OF_THEIR_OWN = """
import gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst
Gst.init(None)
source = "videotestsrc is-live=true ! x264enc tune=zerolatency ! mp4mux"
pipeline = Gst.parse_launch(source + " ! filesink location=out.mp4")
loop = GLib.MainLoop()
bus = pipeline.get_bus()
def bus_call(_, message, loop):
    if message.type in (Gst.MessageType.EOS, Gst.MessageType.ERROR):
        print(message.type.first_value_nick)
        loop.quit()
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", RUNNER, code]


def programs(server: Serving) -> dict[str, list[str]]:
    """Command lines, by the names of their agents."""
    hooks = "stop = work = print\ntell = lambda status: print(status.state.name)\n"
    every = {
        "asyncio": python(hooks + block("from dscore_agent import Agent, load\n\nagent")),
        "example": [sys.executable, EXAMPLE],
    }
    if HAS_GSTREAMER:
        command = block("pip install dscore-agent\ndscore-agent ").partition("\n")[2]
        command = command.replace("ws://server:8765", server.ws)
        camera = block("from dscore_agent import Agent, load\nfrom dscore_agent.pipeline")
        lines = block("from dscore_agent import embed  ").replace("…", "")
        every["command"] = ["bash", "-c", command]
        every["binding"] = python(camera.replace("v4l2src", "videotestsrc is-live=true"))
        every["deepstream"] = python(PROGRAM_OF_THEIR_OWN + lines)
    return every


class Ended(NamedTuple):
    """What became of a program."""

    code: int
    output: str
    recording: Path


NO_PIPELINE = ("asyncio", "example")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """All of them, started beside one server, which is drained once it knows them all."""
    root = tmp_path_factory.mktemp("docs")
    (root / "dscore-agent").write_text(
        f'#!/bin/sh\nexec {quote(sys.executable)} -W error -m dscore_agent "$@"\n'
    )
    (root / "dscore-agent").chmod(0o755)
    with Serving(directory=root) as server, ExitStack() as running:
        server.wait_until_ready()
        started = {
            name: running.enter_context(program(root / name, server, command))
            for name, command in programs(server).items()
        }

        def all_known() -> bool:
            for name, process in started.items():
                assert process.poll() is None, (root / name / "output").read_text()
            health = json.loads(server.get("/deepstream/health")[1] or b"{}")
            return sorted(health.get("connected_instances", ())) == sorted(started)

        wait_until(all_known, "agents", SECONDS)
        recordings = [root / name / "out.mp4" for name in started if name not in NO_PIPELINE]
        wait_until(lambda: all(map(has_begun, recordings)), "recordings", SECONDS)
        code = server.stop()
        assert code == 0, server.log
        return {name: end_of(process, root / name) for name, process in started.items()}


def has_begun(recording: Path) -> bool:
    """Whether there is a picture in it; the file is there before."""
    return recording.exists() and recording.stat().st_size > 0


@contextmanager
def program(home: Path, server: Serving, command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """One of them, in a directory with the settings file as the page has it; killed afterwards."""
    home.mkdir()
    settings = (ROOT / "examples" / "websocket_config.txt").read_text()
    settings = settings.replace("ws://127.0.0.1:8765/deepstream/ws", server.ws)
    settings = settings.replace("#instance_id=camera-17", f"instance_id={home.name}")
    (home / "websocket_config.txt").write_text(settings)
    environ = {"DSCORE_AGENT_URL": server.ws, "DSCORE_AGENT_INSTANCE_ID": home.name}
    environ["PATH"] = f"{home.parent}:/usr/bin:/bin"
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=home, env=clean_environment(environ), stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def end_of(process: "subprocess.Popen[bytes]", home: Path) -> Ended:
    code = process.wait(SECONDS)
    return Ended(code, (home / "output").read_text(), home / "out.mp4")


def test_the_lines_for_an_asyncio_program(ended: dict[str, Ended]) -> None:
    code, output, _ = ended["asyncio"]
    assert code == 0, output
    assert "READY" in output
    assert "TerminateRequest(reason='Server shutting down'" in output


def test_the_asyncio_example(ended: dict[str, Ended]) -> None:
    code, output, _ = ended["example"]
    assert code == 0, output
    assert "stopping: Server shutting down" in output


@pytest.mark.skipif(not HAS_GSTREAMER, reason="no GStreamer for Python here: make setup-gst")
@pytest.mark.parametrize("name", ["command", "binding", "deepstream"])
def test_a_documented_pipeline_records_to_its_end(ended: dict[str, Ended], name: str) -> None:
    code, output, recording = ended[name]
    assert code == 0, output
    from pipelines import decoded_frames, duration_seconds, recorded_frames

    frames = recorded_frames(recording, "qtdemux")
    assert len(decoded_frames(recording)) == len(frames) > 0
    assert duration_seconds(recording) == pytest.approx(len(frames) / 30, abs=0.05)


def test_the_three_lines_beside_a_main_loop_are_those_of_the_sample() -> None:
    """The short form on the page stands in the sample below it, which is run."""
    short = block("from dscore_agent import embed\n\nagent").splitlines()
    sample = block("from dscore_agent import embed  ")
    assert all(re.sub(r"\s*#.*", "", line) in sample for line in short)
