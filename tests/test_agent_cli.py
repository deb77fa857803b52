"""`dscore agent` as the program it is: signals, exit codes, its log, what it tells systemd.

All of it once more as `python -m dscore_agent` where `dscore` and its libraries cannot be imported.
"""

import asyncio
import fcntl
import importlib.util
import json
import signal
import socket
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent_program import Program, programs
from fake_server import FakeServer, until
from serving import Serving
from waiting import wait_until

Serve = Callable[..., Serving]


@pytest.fixture(params=["dscore agent", "dscore_agent alone"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    with programs(tmp_path, alone=request.param != "dscore agent") as start:
        yield start


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The program's, as its complaints begin."""
    return request.node.callspec.params["agent"].partition(" ")[0].replace("_", "-")


Start = Callable[..., Program]
NO_SERVER = "ws://127.0.0.1:1"


def test_holds_the_connection_and_stops_when_the_server_asks(
    agent: Start, serving: Serving
) -> None:
    one = agent("--url", serving.ws, "--instance-id", "x")
    line = one.said("agent_started")
    assert (line["agent_id"], line["url"], line["pid"]) == ("x", serving.ws, one.process.pid)
    one.said("connected")
    assert serving.stop() == 0
    assert one.wait() == 0
    assert one.said("terminated")["status"] == "OK"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0_wherever_it_is(agent: Start, number: signal.Signals) -> None:
    one = agent("--url", NO_SERVER)
    one.said("waiting")
    one.signal(number)
    assert one.wait() == 0
    assert one.said("terminating")["reason"] == number.name


def test_sigusr1_writes_the_state(agent: Start) -> None:
    one = agent(DSCORE_AGENT_URL=NO_SERVER)
    one.said("waiting")
    one.signal(signal.SIGUSR1)
    one.said("=== WebSocket State ===")
    one.said("Last close code: 0 (none)")
    assert one.process.poll() is None


def test_taken_over_it_goes_on_and_says_what_to_do(agent: Start, lasting: Serving) -> None:
    words = ("--url", lasting.ws, "--instance-id", "x")
    first = agent(*words)
    first.said("connected")
    agent(*words).said("connected")
    warning = first.said("taken_over")
    assert (warning["level"], warning["agent_id"]) == ("warning", "x")
    assert warning["remedy"] == "give each agent an instance_id of its own"
    first.said("waiting")
    assert first.process.poll() is None


HANGING_RESOLVER = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    if (name != NULL && strcmp(name, "hangs.test") == 0)
        sleep(60);
    return real(name, service, hints, found);
}
"""


def test_a_name_server_that_hangs_does_not_hold_the_exit(agent: Start, tmp_path: Path) -> None:
    source, library = tmp_path / "hang.c", tmp_path / "hang.so"
    source.write_text(HANGING_RESOLVER)
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    one = agent(
        "--url", "ws://hangs.test", "--set", "health_check_timeout_sec=0.2", LD_PRELOAD=str(library)
    )
    # The look-up of the health page hangs by then, and goes on doing so.
    one.said("server_not_ready")
    one.signal(signal.SIGTERM)
    assert one.process.wait(30.0) == 0


async def test_after_a_stop_it_reads_before_it_judges_the_silence(agent: Start) -> None:
    """SIGSTOP for longer than both ping times: the terminate_app that waits is answered."""
    async with FakeServer() as server:
        one = agent(
            *("--url", server.url, "--instance-id", "a-1"),
            *("--set", "ping_interval_sec=0.5", "--set", "ping_timeout_sec=0.5"),
        )
        peer = await server.acquaint()
        await asyncio.to_thread(one.said, "connected")
        one.signal(signal.SIGSTOP)
        stat = Path(f"/proc/{one.process.pid}/stat")
        await until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "stop")
        await peer.send("terminate_app", request_id="r-1", reason="Server shutting down")
        await asyncio.sleep(2.5)  # What is tested: a time in which it does not look.
        one.signal(signal.SIGCONT)
        assert (await peer.recv_type("app_terminated"))["request_id"] == "r-1"
        await peer.close(1000, "Client terminated")
        assert await asyncio.to_thread(one.wait) == 0


async def test_after_a_stop_it_reads_before_it_writes(agent: Start) -> None:
    """Timers due together wrote first, into a connection that was reset: terminate_app was lost."""
    async with FakeServer() as server:
        one = agent(
            *("--url", server.url, "--instance-id", "a-1"),
            *("--set", "ping_interval_sec=2", "--set", "ping_timeout_sec=60"),
        )
        peer = await server.acquaint(nextHeartbeatIn=1_000)
        await asyncio.to_thread(one.said, "connected")
        one.signal(signal.SIGSTOP)
        stat = Path(f"/proc/{one.process.pid}/stat")
        await until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "stop")
        await peer.send("terminate_app", request_id="r-1", reason="Server shutting down")
        sock = peer.socket.transport.get_extra_info("socket")
        left = bytearray(4)
        await until(
            lambda: fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, left) == 0 and not any(left),
            "acknowledgement of its kernel",
        )
        peer.cut()
        await asyncio.sleep(3.5)  # What is tested: a time in which both timers are due.
        one.signal(signal.SIGCONT)
        await asyncio.to_thread(one.said, "terminated")
        assert await asyncio.to_thread(one.wait) == 0


def test_the_file_the_variables_and_the_flags(agent: Start, tmp_path: Path) -> None:
    path = tmp_path / "websocket_config.txt"
    path.write_text(f"[websocket]\nurl={NO_SERVER}\ninstance_id=file\n")
    environ = {"DSCORE_AGENT_CONFIG": str(path), "DSCORE_AGENT_LOG_LEVEL": "debug"}
    assert agent(**environ).said("agent_started")["agent_id"] == "file"
    environ["DSCORE_AGENT_INSTANCE_ID"] = "env"
    assert agent(**environ).said("agent_started")["agent_id"] == "env"
    flag = agent("--set", "instance_id=flag", **environ)
    assert flag.said("agent_started")["agent_id"] == "flag"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--url", "http://x"), "command line: url: must be an address"),
        (("--set", "ulr=ws://x"), "command line: ulr: unknown setting, did you mean url?"),
        (("--set", "nonsense"), "--set nonsense: write --set key=value"),
        (("--config", "/no/such"), "cannot read /no/such: no such file"),
        (("--log-level", "loud"), "'loud' is not one of"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_2(
    agent: Start, name: str, arguments: tuple[str, ...], sentence: str
) -> None:
    one = agent(*arguments)
    assert one.wait() == 2
    assert one.log.count("\n") == 1
    assert one.log.startswith(f"{name}: ")
    assert sentence in one.log


def test_systemd_hears_ready_and_stopping(agent: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30.0)
        environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "100000"}
        one = agent("--url", NO_SERVER, **environ)
        heard = [manager.recv(200) for _ in range(4)]
        assert heard[0] == b"READY=1"
        assert b"WATCHDOG=1" in heard
        one.signal(signal.SIGTERM)
        while manager.recv(200) != b"STOPPING=1":
            pass
        assert one.wait() == 0


needs_gstreamer = pytest.mark.skipif(
    importlib.util.find_spec("gi") is None, reason="no GStreamer for Python here: make setup-gst"
)


@needs_gstreamer
@pytest.mark.parametrize(
    ("pipeline", "exit_code", "sentence"),
    [
        ("videotestsrc num-buffers=3 ! fakesink", 0, "pipeline_eos"),
        ("filesrc location=/no/such ! fakesink", 1, "the pipeline does not start"),
        ("nonsense ! fakesink", 2, '--pipeline: no element "nonsense"'),
        ("", 2, "--pipeline: empty pipeline not allowed\n"),
        (" ", 2, "--pipeline: empty pipeline not allowed\n"),
    ],
)
def test_a_pipeline_that_is_over_ends_the_program(
    agent: Start, name: str, pipeline: str, exit_code: int, sentence: str
) -> None:
    one = agent("--url", NO_SERVER, "--pipeline", pipeline)
    assert one.wait() == exit_code
    assert sentence in one.log
    assert (f"{name}: --pipeline: " in one.log) == (exit_code == 2)


@needs_gstreamer
def test_told_to_stop_it_finishes_the_recording(agent: Start, tmp_path: Path) -> None:
    recording = tmp_path / "out.avi"
    source = "videotestsrc is-live=true ! video/x-raw,width=32,height=32 ! jpegenc"
    launch = f"{source} ! avimux ! filesink location={recording}"
    one = agent("--url", NO_SERVER, DSCORE_AGENT_PIPELINE=launch)
    wait_until(lambda: recording.exists() and recording.stat().st_size > 4096, "frames", 20.0)
    one.signal(signal.SIGTERM)
    assert one.wait() == 0
    # The index is written last, at the end of the stream.
    assert b"idx1" in recording.read_bytes()


@needs_gstreamer
def test_a_pipeline_that_never_played_says_once_which_file_is_missing(agent: Start) -> None:
    """Each of two errors came three times, without the name, and then it "ended gracefully"."""
    launch = "filesrc location=/no/such/file ! decodebin ! fakesink"
    one = agent("--url", NO_SERVER, "--pipeline", launch)
    assert one.wait() == 1
    lines = [json.loads(line) for line in one.log.splitlines() if line.startswith("{")]
    errors = [line["message"] for line in lines if line["event"] == "pipeline_error"]
    assert 'Resource not found. (No such file "/no/such/file")' in errors
    assert len(errors) == len(set(errors))
    [stopped] = [line["message"] for line in lines if line["event"] == "pipeline_stopped"]
    assert stopped == (
        "the pipeline failed before it played: error from filesrc0: "
        'Resource not found. (No such file "/no/such/file")'
    )


def test_without_gstreamer_it_is_said_once_and_no_restart_is_asked_for(
    agent: Start, name: str, tmp_path: Path
) -> None:
    """The unit starts it again after 1, every five seconds; 2 is a setting that is wrong."""
    (tmp_path / "gi.py").write_text("raise ImportError(\"No module named 'gi'\")\n")
    one = agent("--url", NO_SERVER, "--pipeline", "fakesrc ! fakesink", PYTHONPATH=str(tmp_path))
    assert one.wait() == 2
    assert one.log.startswith(f"{name}: --pipeline: GStreamer for Python is missing (No module")
    assert (one.log.count("\n"), one.log.count("python3-gi"), one.log.count("docs/")) == (1, 1, 1)


def test_labels_that_the_server_would_leave_out_are_named_at_the_start(agent: Start) -> None:
    config = '{"labels": {"site": 1, "line": "3"}}'
    one = agent("--url", NO_SERVER, "--set", f"app_config={config}")
    assert one.said("label_left_out")["reason"] == "app_config: labels.site must be a text"
    assert one.log.count("label_left_out") == 1
