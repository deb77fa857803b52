"""One round of `dscore bench`: a fresh server, a fresh fleet, its introduction and its drain."""

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import orjson
import psutil

# The server's own deadlines for a drain are shorter.
PATIENCE = 60.0

Progress = Callable[[int, int], None]
"""So many introduced, so many ended, of all agents."""


class BenchError(Exception):
    """A round came to nothing, or was wrong: no figure of it counts."""


@dataclass(frozen=True)
class Figures:
    """What one round has shown. Times in milliseconds from SIGTERM, as the agents saw them."""

    introduced_per_second: float
    memory_bytes_per_agent: float
    told_p50_ms: float
    told_p99_ms: float
    told_last_ms: float
    closed_last_ms: float
    exit_ms: float
    cpu_us_per_agent: float
    """Server's processor time from SIGTERM to the exit."""


def measure(agents: int, processes: int, progress: Progress) -> Figures:
    """Plays one round.

    Raises:
        BenchError: An agent was missed, told twice or cut off, or one side did not work.
    """
    with ExitStack() as stack:
        server = stack.enter_context(_server())
        memory = server.process.memory_full_info().pss
        fleet = stack.enter_context(_Fleet(server.port, agents, processes).running(progress))
        introduced = fleet.wait_for("introduced")
        grown = server.process.memory_full_info().pss - memory
        cpu = _cpu_seconds(server.process)
        trigger = time.monotonic_ns()
        server.popen.send_signal(signal.SIGTERM)
        exited, used, code = server.wait()
        reports = fleet.wait_for("report")
    if code != 0:
        raise BenchError(f"the server ended with code {code}")
    receipts = sorted(at for report in reports for at in report["receipts_ns"])
    _check(reports, receipts, agents)
    spent = max(one["ended_ns"] for one in introduced) - min(one["began_ns"] for one in introduced)

    def since(moment: int) -> float:
        return (moment - trigger) / 1e6

    return Figures(
        introduced_per_second=agents / spent * 1e9,
        memory_bytes_per_agent=grown / agents,
        told_p50_ms=since(receipts[agents // 2]),
        told_p99_ms=since(receipts[agents * 99 // 100]),
        told_last_ms=since(receipts[-1]),
        closed_last_ms=since(max(report["closed_ns"] for report in reports)),
        exit_ms=since(exited),
        cpu_us_per_agent=(used - cpu) / agents * 1e6,
    )


def _check(reports: list[dict[str, Any]], receipts: list[int], agents: int) -> None:
    acked = sum(report["acked"] for report in reports)
    distinct = sum(report["request_ids"] for report in reports)
    normal = sum(report["close_codes"].get("1000", 0) for report in reports)
    if not len(receipts) == acked == distinct == normal == agents:
        raise BenchError(
            f"of {agents} agents {len(receipts)} were told, with {distinct} request ids; "
            f"{acked} answered and {normal} were closed 1000"
        )


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


class _Server:
    """`python -m dscore serve`, in a process of its own."""

    def __init__(self, popen: "subprocess.Popen[bytes]", port: int) -> None:
        self.popen = popen
        self.port = port
        self.process = psutil.Process(popen.pid)

    def wait(self) -> tuple[int, float, int]:
        """When it ended, its processor time in seconds, its exit code.

        Raises:
            BenchError: It did not end.
        """
        # A descriptor tells the moment of the end; polling would be late.
        descriptor = os.pidfd_open(self.popen.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(descriptor, selectors.EVENT_READ)
                ended = selector.select(PATIENCE)
            at = time.monotonic_ns()
        finally:
            os.close(descriptor)
        if not ended:
            raise BenchError("the server did not end")
        _, status, usage = os.wait4(self.popen.pid, 0)
        code = self.popen.returncode = os.waitstatus_to_exitcode(status)
        return at, usage.ru_utime + usage.ru_stime, code


@contextmanager
def _server() -> Iterator[_Server]:
    words = [sys.executable, "-m", "dscore", "serve", "--port", "0", "--store", ":memory:"]
    # The machine is measured, not the settings of its user.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DSCORE_")}
    with tempfile.TemporaryDirectory(prefix="dscore-bench-") as directory:
        log = Path(directory) / "server.log"
        with log.open("wb") as file:
            popen = subprocess.Popen(
                words,
                cwd=directory,
                env={**kept, "DSCORE_LOG__FORMAT": "json"},
                stdout=file,
                stderr=file,
            )
        try:
            yield _Server(popen, _port(popen, log))
        finally:
            if popen.poll() is None:
                popen.kill()
                popen.wait()


def _port(popen: "subprocess.Popen[bytes]", log: Path) -> int:
    """The port that the kernel chose, from the log's line about it."""
    deadline = time.monotonic() + PATIENCE
    while popen.poll() is None and time.monotonic() < deadline:
        for line in log.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n") and b'"serving"' in line:
                url: str = orjson.loads(line)["url"]
                return urlsplit(url).port or 0
        time.sleep(0.02)
    raise BenchError(f"the server did not start: {log.read_text(errors='replace')[-500:]}")


class _Fleet:
    """Several processes of agents, heard together."""

    def __init__(self, port: int, agents: int, processes: int) -> None:
        self._agents = agents
        self._heard: dict[int, dict[str, dict[str, Any]]] = {}
        self._progress: Progress = lambda introduced, ended: None
        bounds = [agents * part // processes for part in range(processes + 1)]
        self._words = [
            [sys.executable, "-m", "dscore.bench.fleet", str(port), str(low), str(high - low)]
            for low, high in pairwise(bounds)
        ]

    @contextmanager
    def running(self, progress: Progress) -> Iterator["_Fleet"]:
        self._progress = progress
        running: list[subprocess.Popen[bytes]] = []
        with selectors.DefaultSelector() as self._selector:
            try:
                for number, words in enumerate(self._words):
                    running.append(subprocess.Popen(words, stdout=subprocess.PIPE))
                    self._selector.register(running[-1].stdout, selectors.EVENT_READ, number)  # type: ignore[arg-type]
                    self._heard[number] = {}
                yield self
            finally:
                for popen in running:
                    popen.kill()
                    popen.communicate()

    def wait_for(self, name: str) -> list[dict[str, Any]]:
        """The event of this name of every process.

        Raises:
            BenchError: One ended without it, or nothing came.
        """
        while not all(name in heard for heard in self._heard.values()):
            ready = self._selector.select(PATIENCE)
            if not ready:
                raise BenchError(f"the fleet told nothing for {PATIENCE:.0f} s")
            for key, _ in ready:
                self._read(key.fileobj, self._heard[key.data])  # type: ignore[arg-type]
        return [heard[name] for heard in self._heard.values()]

    def _read(self, pipe: BinaryIO, heard: dict[str, dict[str, Any]]) -> None:
        line = pipe.readline()
        if not line:
            self._selector.unregister(pipe)
            if "report" not in heard:
                raise BenchError("a process of the fleet has failed")
            return
        event = orjson.loads(line)
        heard[event["event"]] = event
        progress = [each.get("progress", {}) for each in self._heard.values()]
        introduced, ended = (
            sum(one.get(what, 0) for one in progress) for what in ("introduced", "ended")
        )
        self._progress(introduced, ended)
