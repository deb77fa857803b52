"""The real server as a program of its own, for tests that look at it from outside.

`Serving` starts `python -m dscore serve` on a port that can be taken again, waits until it is
ready, and always ends it by its process id. It asks nothing of the log but that its lines are JSON.
"""

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

import ports
from waiting import wait_until

# A machine with two busy cores takes its time to import FastAPI; nothing else waits this long.
READY_SECONDS = 30.0
PASSING = 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{}'
"""The number of the process is known in it only (sd_listen_fds(3))."""


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would configure the server, plus `extra`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DSCORE_")}
    kept.pop("NOTIFY_SOCKET", None)
    return {**kept, "DSCORE_LOG__FORMAT": "json", **extra}


def dscore_command(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Runs one command of `dscore` to its end, whatever it exits with."""
    return subprocess.run(
        [sys.executable, "-m", "dscore", *words],
        env=clean_environment(environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Serving:
    """One run of the server. Made by the `serve` fixture, which ends all that it started."""

    def __init__(
        self,
        *args: str,
        directory: Path,
        env: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
        port: int | None = None,
        descriptors: tuple[int, int] | None = None,
        program: Sequence[str] = ("-m", "dscore"),
        passed: socket.socket | None = None,
    ) -> None:
        """Starts the program; `wait_until_ready` comes next.

        Args:
            args: added to the command line.
            directory: where it runs and leaves its log.
            env: added to the environment, which has nothing of dscore's but JSON logs.
            port: where it listens; None: on one of its own, 0: on one that the kernel chooses.
            descriptors: its soft and its hard limit, where they are not this process's.
            program: what Python is to run, with `serve` as its first argument.
            passed: a socket that is given to it as a service manager does.
        """
        self.host = host
        if port is None:
            port = ports.lasting() if passed is None else 0
        self.port = port
        self.log_path = directory / "serve.log"
        where = ["--host", host, "--port", str(self.port)]
        command = [sys.executable, "-W", "error", *program, "serve", *where, *args]
        if passed is not None:
            command = ["bash", "-c", PASSING.format(passed.fileno()), "bash", *command]
        with self.log_path.open("wb") as log:
            # A session of its own: what it leaves behind can be found, and a ctrl-C at the tests
            # does not reach it.
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=clean_environment(env or {}),
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=() if passed is None else (passed.fileno(),),
            )
        if descriptors is not None:
            # Long before the program looks: it imports for a second first.
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, descriptors)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        """Base of all HTTP addresses, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws(self) -> str:
        """Where raw agents connect."""
        return f"ws://{self.host}:{self.port}/deepstream/ws"

    @property
    def log(self) -> str:
        """All it has written so far, to stdout and to stderr."""
        return self.log_path.read_text(errors="replace")

    @property
    def token_path(self) -> Path:
        """Where it leaves its operator's token, if none is configured."""
        directory = Path(os.environ["XDG_RUNTIME_DIR"], "dscore")
        return directory / f"operator-{self.host}-{self.port}.token"

    @property
    def power(self) -> dict[str, str]:
        """Headers that POST and DELETE need; none where it left no token."""
        if not self.token_path.exists():
            return {}
        return {"authorization": f"Bearer {self.token_path.read_text().strip()}"}

    def log_lines(self) -> list[dict[str, Any]]:
        """The lines of the log that are JSON objects."""
        return [
            json.loads(line)
            for line in self.log.splitlines()
            if line.startswith("{") and line.endswith("}")
        ]

    def wait_for_log(self, event: str, seconds: float = 30.0) -> dict[str, Any]:
        """The first line with this `event`."""

        def find() -> dict[str, Any] | None:
            return next((line for line in self.log_lines() if line.get("event") == event), None)

        return wait_until(find, f"log line {event}", seconds)

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> "Serving":
        """Waits for `/readyz` to answer 200.

        Raises:
            RuntimeError: the server ended instead; holds its exit code and log.
        """

        def ready() -> bool:
            if (code := self.process.poll()) is not None:
                raise RuntimeError(f"the server ended with {code}:\n{self.log}")
            self.port = self.port or self._listening_port() or 0
            return bool(self.port) and self.get("/readyz")[0] == 200

        wait_until(ready, "ready server", seconds)
        return self

    def _listening_port(self) -> int | None:
        try:
            connections = psutil.Process(self.pid).net_connections("tcp")
        except psutil.Error:
            # It has just ended; the next poll sees that.
            return None
        listening = [one for one in connections if one.status == psutil.CONN_LISTEN]
        ports = [int(one.laddr.port) for one in listening]
        if len(ports) > 1:  # One of them is for TLS alone: only the log tells them apart.
            lines = (line for line in self.log_lines() if line.get("event") == "server_started")
            ports = [int(line["port"]) for line in lines]
        return next(iter(ports), None)

    def get(self, path: str, seconds: float = 30.0) -> tuple[int, bytes]:
        """Status and body; status 0 when no answer comes."""
        return self.request("GET", path, seconds=seconds)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 30.0,
    ) -> tuple[int, bytes]:
        """Sends one request, with a JSON body if there is one; a POST or DELETE with the token that
        the server has left.

        Returns:
            Status and body; status 0 when no answer comes.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        all_headers = {
            **({} if method == "GET" else self.power),
            **({} if body is None else {"content-type": "application/json"}),
            **(headers or {}),
        }
        try:
            connection.request(
                method, path, None if body is None else json.dumps(body), all_headers
            )
            response = connection.getresponse()
            return response.status, response.read()
        except OSError:
            return 0, b""
        finally:
            connection.close()

    def limit_files(self, size: int) -> None:
        """No file of that process may grow past a size: what it meets is a full disk."""
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, hard))

    def wait(self, seconds: float = 20.0) -> int:
        """Waits for its end and returns the exit code (negative: the signal that ended it)."""
        return self.process.wait(seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Signals it, waits, and returns the exit code. Fails when it left a child behind."""
        self.process.send_signal(number)
        code = self.wait(seconds)
        assert not self.leftovers(), f"processes left behind: {self.leftovers()}"
        return code

    def leftovers(self) -> list[int]:
        """Processes of its session that live on."""
        return [pid for pid in psutil.pids() if pid != self.pid and _session(pid) == self.pid]

    def close(self) -> None:
        """Ends what is left, by process id. Idempotent."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.leftovers():
            os.kill(pid, signal.SIGKILL)

    def __enter__(self) -> "Serving":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
