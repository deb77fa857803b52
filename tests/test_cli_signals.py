"""`serve` and `agent` as processes: signals at every point of their lives (PROTOCOL.md §6)."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote

import psutil
import pytest

from serving import Serving, clean_environment
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]
ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]


def signals(task: Path, field: str) -> set[int]:
    """One of the sets of signals of a process, or of a thread, as proc(5) names them."""
    status = (task / "status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(field))
    bits = int(line.split()[1], 16)
    return {number for number in range(1, 65) if bits >> (number - 1) & 1}


def blocked(task: Path) -> set[int]:
    return signals(task, "SigBlk")


def handles(pid: int, number: signal.Signals) -> bool:
    return number in signals(Path(f"/proc/{pid}"), "SigCgt")


class Started:
    """A command that has just installed its first handlers, and imports the rest."""

    def __init__(
        self,
        directory: Path,
        *words: str,
        module: str = "dscore",
        env: dict[str, str] | None = None,
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=directory,
            env=clean_environment(env or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_until(lambda: handles(self.process.pid, signal.SIGTERM), "handler", 30.0)

    def ended(self) -> tuple[int, bytes]:
        try:
            said, _ = self.process.communicate(timeout=30.0)
        finally:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, said


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("after", [0.0, 0.05, 0.2, 0.5, 1.0, 1.5])
def test_drain_0_a_signal_at_any_moment_of_the_start_is_obeyed(
    tmp_path: Path, number: signal.Signals, after: float
) -> None:
    started = Started(tmp_path, "serve", "--port", "0")
    # Not for a condition: any moment will do, the more different ones the better.
    time.sleep(after)
    started.process.send_signal(number)
    code, said = started.ended()
    assert code == 0, said
    assert b"Traceback" not in said


def test_drain_0_handlers_come_before_the_large_imports() -> None:
    program = (
        "import sys; from dscore.cli import main, startup; startup.begin(['serve']); "
        "print(*sorted({'typing', 'asyncio', 'fastapi', 'uvloop', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_sighup_during_the_start_reloads_once_it_serves(serve: Serve) -> None:
    serving = serve(ready=False)
    wait_until(lambda: handles(serving.pid, signal.SIGHUP), "handler", 30.0)
    serving.process.send_signal(signal.SIGHUP)
    serving.wait_until_ready()
    serving.wait_for_log("config_reloaded")
    assert serving.stop() == 0


@pytest.mark.parametrize("module", ["dscore", "dscore_agent"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_agent_obeys_during_its_start(
    tmp_path: Path, number: signal.Signals, module: str
) -> None:
    words = ["agent"] if module == "dscore" else []
    url = "ws://127.0.0.1:9/deepstream/ws"
    started = Started(tmp_path, *words, "--url", url, module=module)
    started.process.send_signal(signal.SIGUSR1)
    time.sleep(0.1)
    assert started.process.poll() is None
    started.process.send_signal(number)
    code, said = started.ended()
    assert code == 0, said


async def test_one_ctrl_c_that_comes_twice_is_one(serving: Serving) -> None:
    async with agent(serving.ws, "slow") as one:
        for _ in range(3):
            serving.process.send_signal(signal.SIGINT)
        order = await one.recv_type("terminate_app")
        serving.process.send_signal(signal.SIGINT)
        await one.answer(order)
        assert await one.closed() == (1000, "Client terminated")
    assert await asyncio.to_thread(serving.wait) == 0


async def test_a_later_ctrl_c_ends_at_once_with_130(serving: Serving) -> None:
    async with agent(serving.ws, "mute") as one:
        serving.process.send_signal(signal.SIGINT)
        await one.recv_type("terminate_app")
        await asyncio.sleep(0.35)  # later than what counts as the same
        serving.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(serving.wait, 30.0) == 130


@pytest.mark.parametrize("numbers", [ENDING, ENDING[::-1]])
async def test_a_restart_that_is_asked_for_with_an_end_stops_no_application(
    serving: Serving, numbers: list[signal.Signals]
) -> None:
    """`kill -USR1` and `systemctl restart` reach a busy process together: SIGTERM was heard first,
    and stopped the fleet."""
    async with agent(serving.ws, "a-1") as one:
        serving.process.send_signal(signal.SIGSTOP)
        for number in numbers:
            serving.process.send_signal(number)
        serving.process.send_signal(signal.SIGCONT)
        await one.recv_type("server_shutdown")
        assert (await one.closed())[0] == 1001
    assert await asyncio.to_thread(serving.wait) == 0
    assert serving.wait_for_log("drain_started")["intent"] == "restart"


def test_signals_are_taken_by_the_main_thread_alone(serve: Serve, tmp_path: Path) -> None:
    """Two that are taken by two threads are heard in any order: SIGTERM before SIGUSR1."""
    serving = serve("--store", str(tmp_path / "dscore.db"))
    pid = serving.process.pid
    threads = {int(task.name): task for task in Path(f"/proc/{pid}/task").iterdir()}
    assert blocked(threads.pop(pid)) == set()
    # The reactor's, the store's and the log's at least.
    assert len(threads) >= 3
    for thread in threads.values():
        assert {*ENDING, signal.SIGHUP} <= blocked(thread), (thread / "comm").read_text()


async def test_signals_while_draining_change_nothing_and_the_exit_code_stays(
    serve: Serve, tmp_path: Path
) -> None:
    config = tmp_path / "dscore.toml"
    config.write_text('[shutdown]\ntimeout = "5s"\n')
    serving = await asyncio.to_thread(serve, "--config", str(config))
    async with agent(serving.ws, "slow") as one:
        serving.process.send_signal(signal.SIGTERM)
        order = await one.recv_type("terminate_app")
        config.write_text("[shutdown]\ntimeout = [")
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            serving.process.send_signal(number)
        await asyncio.to_thread(serving.wait_for_log, "reload_failed")
        await one.answer(order)
        assert await one.closed() == (1000, "Client terminated")
    # Up to its last moment: a signal that is its own again would take the exit code away.
    while serving.process.poll() is None:
        serving.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0)
    assert serving.process.returncode == 0
    drains = [line for line in serving.log_lines() if line["event"] == "drain_started"]
    assert [line["intent"] for line in drains] == ["terminate"]


@pytest.mark.parametrize(
    "broken", ["[listen]\nbacklog = 'x'\n", "[listen", "\0", None, "directory"]
)
def test_sighup_with_a_broken_configuration_keeps_the_old_one_and_says_so(
    serve: Serve, tmp_path: Path, broken: str | None
) -> None:
    path = tmp_path / "dscore.toml"
    path.write_text('[shutdown]\ntimeout = "5s"\n')
    serving = serve("--config", str(path))
    path.unlink()
    if broken == "directory":
        path.mkdir()
    elif broken is not None:
        path.write_bytes(broken.encode() + b"\xff" * (broken == "\0"))
    serving.process.send_signal(signal.SIGHUP)
    assert serving.wait_for_log("reload_failed")["reason"]
    assert serving.get("/readyz")[0] == 200
    assert serving.stop() == 0


def test_a_closed_standard_output_is_no_file_of_the_servers(tmp_path: Path) -> None:
    # The next file that was opened got its number, and the log was written into it.
    command = f"exec {quote(sys.executable)} -m dscore serve --port 0 --store s.db >&- 2>&- <&-"
    process = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, env=clean_environment({}))
    try:
        wait_until(lambda: (tmp_path / "s.db").exists(), "store", 30.0)
        links = {name: os.readlink(f"/proc/{process.pid}/fd/{name}") for name in ("0", "1", "2")}
        assert set(links.values()) == {os.devnull}
    finally:
        process.terminate()
        assert process.wait(30) == 0


NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_be_first() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0


@pytest.fixture
def first_process(tmp_path: Path) -> Iterator[Callable[[str], psutil.Process]]:
    """Runs a shell command as process 1 of a namespace; gives what that has become."""
    if not can_be_first():
        pytest.skip("needs unshare and the right to make a PID namespace")
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str) -> psutil.Process:
        environ = clean_environment({"XDG_RUNTIME_DIR": str(tmp_path)})
        with (tmp_path / "first.log").open("wb") as log:
            outer = subprocess.Popen(
                [*NAMESPACE, "sh", "-c", command],
                cwd=tmp_path,
                env=environ,
                stdout=log,
                stderr=log,
            )
        started.append(outer)
        parent = psutil.Process(outer.pid)
        (inner,) = wait_until(parent.children, "process 1", 30.0)
        return inner

    yield start
    for outer in started:
        outer.kill()
        outer.wait()


SERVE = f"{quote(sys.executable)} -m dscore serve --port 0"


@pytest.mark.parametrize("after", [0.0, 0.3])
def test_process_1_obeys_sigterm_during_its_start(
    first_process: Callable[[str], psutil.Process], after: float
) -> None:
    process = first_process(f"exec {SERVE}")
    wait_until(lambda: handles(process.pid, signal.SIGTERM), "handler", 30.0)
    time.sleep(after)
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def test_process_1_buries_what_loses_its_parent(
    first_process: Callable[[str], psutil.Process], tmp_path: Path
) -> None:
    # One child of the shell that has become the server, and three whose parent has gone.
    orphans = "sleep 0.1 & (sleep 0.1 & sleep 0.1 & sleep 3 &) ; "
    process = first_process(f"{orphans} exec {SERVE}")
    wait_until(lambda: "serving" in (tmp_path / "first.log").read_text(), "server", 30.0)
    wait_until(lambda: not process.children(), "end of all orphans", 30.0)
    process.send_signal(signal.SIGTERM)
    process.wait(30)


PARENT = """
import subprocess, sys, threading, time
from dscore.cli import main

early = subprocess.Popen(["sh", "-c", "exit 7"])

def later():
    time.sleep(2)
    late = subprocess.Popen(["sh", "-c", "exit 8"])
    time.sleep(4)
    print("codes", early.wait(), late.wait(), flush=True)

threading.Thread(target=later, daemon=True).start()
main(["serve", "--port", "0"])
"""


@pytest.mark.slow
def test_process_1_leaves_to_subprocess_what_subprocess_has_started(
    first_process: Callable[[str], psutil.Process], tmp_path: Path
) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    process = first_process(f"sleep 3 & exec {quote(sys.executable)} parent.py")
    log = tmp_path / "first.log"
    wait_until(lambda: "codes" in log.read_text(), "codes of children", 60.0)
    assert "codes 7 8" in log.read_text()
    wait_until(lambda: not process.children(), "end of the orphan", 30.0)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
