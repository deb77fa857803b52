"""The agent's command as a program of its own, for tests that look at it from outside."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving import clean_environment
from waiting import wait_until

DSCORE = ("dscore", "agent")
ALONE = ("dscore_agent",)

SERVER_ONLY = ("dscore", "fastapi", "httpx", "pydantic", "psutil", "rich", "structlog", "typer")
"""Packages of which a machine with an agent has none."""


def without_server(directory: Path) -> str:
    """A folder for PYTHONPATH behind which none of the server's packages can be imported."""
    directory.mkdir(exist_ok=True)
    for name in SERVER_ONLY:
        text = f"raise ModuleNotFoundError('No module named {name!r}: the agent is alone here')\n"
        (directory / f"{name}.py").write_text(text)
    return str(directory)


class Program:
    """One run of the command: `python -m dscore agent`, or another spelling of it."""

    def __init__(
        self, log_path: Path, *arguments: str, module: Sequence[str] = DSCORE, **environ: str
    ) -> None:
        self._log_path = log_path
        with log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", *module, *arguments],
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
def programs(directory: Path, *, alone: bool = False) -> Iterator[Callable[..., Program]]:
    """Starts the program, as often as called; all are ended afterwards.

    Args:
        directory: For their logs.
        alone: They run as `python -m dscore_agent`, and cannot import the server's packages.
    """
    started: list[Program] = []
    module = ALONE if alone else DSCORE
    shadows = [without_server(directory / "shadows")] if alone else []

    def start(*arguments: str, **environ: str) -> Program:
        log = directory / f"agent-{len(started)}.log"
        if paths := [*filter(None, [environ.get("PYTHONPATH")]), *shadows]:
            environ["PYTHONPATH"] = ":".join(paths)
        started.append(Program(log, *arguments, module=module, **environ))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.close()
