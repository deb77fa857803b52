"""The C client under test: built once a run, driven through a pipe or run as its program.

with Driver(build, "url=ws://…", "instance_id=c-1") as agent:
    agent.until_state("ready")
    agent.tell('send {"type": "work"}')
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import pytest

import fake_server
from fake_server import FakeServer, Peer
from serving import clean_environment
from waiting import wait_until

ROOT = Path(__file__).parent.parent
BUILD = Path(os.environ.get("DSCORE_C_BUILD", ROOT / "build" / "c"))
"""Another one has sanitizers in it: scripts/check-c."""
WRAPPER = os.environ.get("DSCORE_C_WRAPPER", "").split()
"""What the processes run under: valgrind."""
SECONDS = 90.0 if WRAPPER else 30.0
if WRAPPER:
    fake_server.SECONDS = SECONDS
FINDINGS = ("Sanitizer:", "runtime error:", "ERROR SUMMARY: ", "CRITICAL **")

Event = dict[str, Any]


def _has_packages() -> bool:
    tools = all(shutil.which(tool) for tool in ("meson", "ninja", "pkg-config"))
    wanted = ["pkg-config", "--exists", "gio-unix-2.0", "json-glib-1.0"]
    return tools and subprocess.run(wanted, check=False).returncode == 0


needs_c = pytest.mark.skipif(
    not _has_packages(), reason="no meson, GLib and json-glib to build clients/c: make setup-c"
)


def build_c() -> Path:
    """The build directory, up to date; one process builds, the others wait."""
    BUILD.parent.mkdir(exist_ok=True)
    with (BUILD.parent / "c.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not (BUILD / "build.ninja").exists():
            _run("meson", "setup", str(BUILD), str(ROOT / "clients" / "c"))
        _run("ninja", "-C", str(BUILD))
    return BUILD


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


class Running:
    """A process whose lines are collected; always ended by its process id."""

    def __init__(self, *command: str | Path, env: dict[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            [*WRAPPER, *(str(word) for word in command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(env or {}),
        )
        pipes = ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        self._readers = [
            threading.Thread(target=self._collect, args=pipe, daemon=True) for pipe in pipes
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _collect(pipe: IO[str], lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.rstrip("\n"))  # noqa: PERF401 - seen as it comes

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def resident_bytes(self) -> int:
        """Of memory; 0 where a sanitizer keeps what was freed."""
        if "DSCORE_C_BUILD" in os.environ or WRAPPER:
            return 0
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4096

    def until_error(self, words: str, seconds: float = SECONDS) -> str:
        """The first line of its standard error with these words."""
        return wait_until(
            lambda: next((line for line in list(self.errors) if words in line), None),
            words,
            seconds,
        )

    def wait(self, seconds: float = SECONDS) -> int:
        """Its exit code."""
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        return code

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.end_well()
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.wait()
            for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            if kind is not None:
                print(*self.lines, *self.errors, sep="\n")

    def end_well(self) -> None:
        """What is left to do, and to look at, where the test went well."""


class Driver(Running):
    """The library at the end of a pipe: clients/c/tests/driver.c. It ends in good form."""

    def __init__(self, build: Path, *settings: str, program: str = "tests/driver") -> None:
        super().__init__(build / program, *settings)

    def __enter__(self) -> "Driver":
        return self

    def end_well(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        code = self.wait()
        found = [line for line in self.errors if any(word in line for word in FINDINGS)]
        assert (code, found) == (0, []), "\n".join(self.errors)

    @property
    def events(self) -> list[Event]:
        """What came out so far."""
        return [json.loads(line) for line in list(self.lines)]

    def tell(self, line: str) -> None:
        """A line in."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def do(self, line: str) -> None:
        """A line in, and it is done."""
        self.tell(line)
        self.status()

    def block(self) -> None:
        """Its main loop stands still, until the next line."""
        since = len(self.lines)
        self.tell("block")
        self.until_event("blocked", since=since)

    def until(
        self, what: str, fits: Callable[[Event], object], seconds: float = SECONDS, since: int = 0
    ) -> Event:
        """The first event that fits, from the `since`-th on."""
        return wait_until(
            lambda: next((one for one in self.events[since:] if fits(one)), None), what, seconds
        )

    def until_event(self, name: str, seconds: float = SECONDS, since: int = 0) -> Event:
        """The first event of that name."""
        return self.until(name, lambda one: one.get("event") == name, seconds, since)

    def until_state(self, state: str, seconds: float = SECONDS, since: int = 0) -> Event:
        """The first status with that state."""
        return self.until(f"state {state}", lambda one: one.get("state") == state, seconds, since)

    def status(self) -> Event:
        """All that can be known of the agent now."""
        since = len(self.lines)
        self.tell("status")
        return self.until_event("status", since=since)

    def until_status(
        self, fits: Callable[[Event], object], what: str, seconds: float = SECONDS
    ) -> Event:
        """Polls until a status fits."""

        def look() -> Event | None:
            status = self.status()
            return status if fits(status) else None

        return wait_until(look, what, seconds)

    def send(self, message: Event) -> bool:
        """Whether the agent took it."""
        since = len(self.lines)
        self.tell("send " + json.dumps(message))
        return bool(self.until("answer", lambda one: "sent" in one, since=since)["sent"])

    def close(self) -> int:
        """Ends the agent and the process, in good form."""
        self.tell("quit")
        return self.wait()


class Program(Running):
    """`dscore-agent-c`."""

    def __init__(self, build: Path, *words: str | Path, env: dict[str, str] | None = None) -> None:
        super().__init__(build / "programs" / "dscore-agent-c", *words, env=env)

    def __enter__(self) -> "Program":
        return self

    def until_said(self, event: str, seconds: float = SECONDS, since: int = 0) -> str:
        """The first line of the log with that event, from the `since`-th on."""
        pattern = re.compile(rf"^\S+ \w+ +{event}\b")
        return wait_until(
            lambda: next((line for line in self.errors[since:] if pattern.match(line)), None),
            f"log line {event}",
            seconds,
        )

    @property
    def log(self) -> str:
        return "\n".join(self.errors)


aside = asyncio.to_thread
"""What waits for a process, beside a server that answers on the loop."""
QUICK = ("max_reconnect_delay_sec=0.01", "server_shutdown_retry_delay_sec=0.01")
EXACT = ("reconnect_jitter_enabled=false",)


def scripted(build: Path, server: FakeServer, *settings: str) -> Driver:
    """An agent of a scripted server."""
    return Driver(build, f"url={server.url}", "instance_id=a-1", *settings)


async def acquainted(
    build: Path, server: FakeServer, *settings: str, **ack: object
) -> tuple[Driver, Peer]:
    """The same, acknowledged."""
    agent = scripted(build, server, *settings)
    peer = await server.acquaint(**ack)
    await aside(agent.until_state, "ready")
    return agent, peer
