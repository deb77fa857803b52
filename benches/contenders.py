"""The servers that are measured. Each is a program of its own, started anew for every round."""

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benches.peers import PEERS
from benches.programs import Programs

# Importing takes time on a busy machine; a drain has its own deadlines, well below this one.
READY_SECONDS = 30.0
EXIT_SECONDS = 60.0
# Of a dialect's endpoint (PROTOCOL.md §1), the same on all servers.
PATHS = {"raw": "/deepstream/ws", "socketio": "/socket.io/"}


@dataclass(frozen=True)
class Exit:
    """How a server ended."""

    code: int
    at_ns: int
    """On the monotonic clock."""
    cpu_seconds: float
    """Of its whole life, all threads."""


class Server:
    """One running server."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", port: int, log: Path, dialect: str = "raw"
    ) -> None:
        self.pid = process.pid
        self.dialect = dialect
        self.url = f"ws://127.0.0.1:{port}{PATHS[dialect]}"
        self._process = process
        self._log = log

    @property
    def log(self) -> str:
        """The end of all it has written."""
        return self._log.read_text(errors="replace")[-4000:]

    def cpu_seconds(self) -> float:
        """Processor time so far, all threads, to the nanosecond (/proc counts hundredths)."""
        # clock_getcpuclockid(3), which Python does not have: the id of a process's own clock.
        return time.clock_gettime((~self.pid << 3) | 2)

    def pss_bytes(self) -> int:
        """Its part of the memory in use; socket buffers are the kernel's and not in it."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) * 1024

    def terminate(self) -> int:
        """Sends SIGTERM and returns when that was, on the monotonic clock, in nanoseconds."""
        at = time.monotonic_ns()
        self._process.send_signal(signal.SIGTERM)
        return at

    def wait(self) -> Exit:
        """Waits for its end, without polling: the time of the exit is a figure of the bench.

        Raises:
            TimeoutError: it did not end.
        """
        descriptor = os.pidfd_open(self.pid)
        try:
            ended, _, _ = select.select([descriptor], [], [], EXIT_SECONDS)
            at = time.monotonic_ns()
        finally:
            os.close(descriptor)
        if not ended:
            raise TimeoutError(f"the server did not end:\n{self.log}")
        _, status, usage = os.wait4(self.pid, 0)
        code = self._process.returncode = os.waitstatus_to_exitcode(status)
        return Exit(code, at, usage.ru_utime + usage.ru_stime)

    def close(self) -> None:
        """Ends it, if it still runs. Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def start_floor(programs: Programs, directory: Path) -> Server:
    """The C server that does the exchange and nothing else."""
    port = _free_port()
    return _start([str(programs.floor), str(port)], port, directory, _accepts)


def start_dscore(
    programs: Programs,
    directory: Path,
    store: str | Path = ":memory:",
    *,
    reactors: str = "auto",
    dialect: str = "raw",
) -> Server:
    """`python -m dscore serve` with its defaults, but for the store: a full disk or a slow one is
    not the question, unless it is asked."""
    port = _free_port()
    words = ["--port", str(port), "--store", str(store), "--reactors", reactors]
    command = [sys.executable, "-m", "dscore", "serve", *words]
    return _start(command, port, directory, _is_ready, dialect)


def start_peer(name: str, programs: Programs, directory: Path) -> Server:
    """One of `peers/`."""
    port = _free_port()
    peer = PEERS[name]
    return _start([*map(str, peer.command), str(port)], port, directory, _accepts, peer.dialect)


# A contender needs a function here and a name: everything else is the same for all.
CONTENDERS: dict[str, Callable[[Programs, Path], Server]] = {
    "floor": start_floor,
    "dscore": start_dscore,
    "dscore-1": partial(start_dscore, reactors="1"),
    "dscore-2": partial(start_dscore, reactors="2"),
    "dscore-socketio": partial(start_dscore, dialect="socketio"),
    "dscore-sqlite": partial(start_dscore, store="dscore.db"),
    **{name: partial(start_peer, name) for name in PEERS},
}


def _start(
    command: list[str],
    port: int,
    directory: Path,
    is_ready: Callable[[int], bool],
    dialect: str = "raw",
) -> Server:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DSCORE_")}
    path = directory / "server.log"
    with path.open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=kept, stdout=log, stderr=log)
    server = Server(process, port, path, dialect)
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(port):
        code = process.poll()
        if code is not None or time.monotonic() > deadline:
            server.close()
            raise RuntimeError(f"{command} is not ready (exit code {code}):\n{server.log}")
        time.sleep(0.02)
    return server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
