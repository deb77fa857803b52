"""`python -m dscore agent` as a program of its own, for tests that look at it from outside."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving import clean_environment
from waiting import wait_until


class Program:
    """One run of `python -m dscore agent`."""

    def __init__(self, log_path: Path, *arguments: str, **environ: str) -> None:
        self._log_path = log_path
        with log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "dscore", "agent", *arguments],
                env=clean_environment(environ),
                stdout=log,
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    def said(self, event: str, count: int = 1) -> dict[str, Any]:
        """Waits for the line with this event."""

        def find() -> list[dict[str, Any]]:
            lines = [json.loads(line) for line in self.log.splitlines() if line.endswith("}")]
            found = [line for line in lines if line["event"] == event]
            return found[count - 1 :]

        return wait_until(find, f"{event} of the agent", 30.0)[0]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(20.0)

    def close(self) -> None:
        """Ends it if it lives, by its process id."""
        self.process.kill()
        self.process.wait()


@contextmanager
def programs(directory: Path) -> Iterator[Callable[..., Program]]:
    """Starts the program, as often as called; all are ended afterwards."""
    started: list[Program] = []

    def start(*arguments: str, **environ: str) -> Program:
        started.append(Program(directory / f"agent-{len(started)}.log", *arguments, **environ))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.close()
