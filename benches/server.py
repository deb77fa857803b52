"""One running server of a bench: how it is started, what it uses, how it ends."""

import http.client
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

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
        self,
        process: "subprocess.Popen[bytes]",
        port: int,
        log: Path,
        dialect: str = "raw",
        scheme: str = "ws",
    ) -> None:
        self.pid = process.pid
        self.dialect = dialect
        self.url = f"{scheme}://127.0.0.1:{port}{PATHS[dialect]}"
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

    def heap_bytes(self) -> int:
        """Of that what its first thread has on the heap: of dscore the fleet's rows, and Python."""
        mappings = Path(f"/proc/{self.pid}/smaps").read_text().split("[heap]\n")[1:]
        pss = [re.search(r"^Pss: +(\d+) kB$", one, re.MULTILINE) for one in mappings]
        return sum(int(one[1]) * 1024 for one in pss if one)

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


def start(
    command: Sequence[str | Path],
    port: int,
    directory: Path,
    is_ready: Callable[[int], bool],
    dialect: str = "raw",
    scheme: str = "ws",
) -> Server:
    """Starts a program and waits until it serves.

    Raises:
        RuntimeError: it ended, or is not ready in time; with what it wrote.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DSCORE_")}
    path = directory / "server.log"
    with path.open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=kept, stdout=log, stderr=log)
    server = Server(process, port, path, dialect, scheme)
    deadline = time.monotonic() + READY_SECONDS
    while not is_ready(port):
        code = process.poll()
        if code is not None or time.monotonic() > deadline:
            server.close()
            raise RuntimeError(f"{command} is not ready (exit code {code}):\n{server.log}")
        time.sleep(0.02)
    return server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_ready(port: int) -> bool:
    """dscore says so."""
    return _says_ready(http.client.HTTPConnection("127.0.0.1", port, timeout=5))


def is_ready_securely(port: int) -> bool:
    """The same over TLS; whose certificate it is does not matter here."""
    context = ssl._create_unverified_context()
    return _says_ready(http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context))


def _says_ready(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
