"""The fleet on the other side: one run of `dscore-load`, driven by lines."""

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

Event = dict[str, Any]

# The run ends by itself after this, so that no read of its events can wait forever.
MAX_SECONDS = 90
NICENESS = 10


class Fleet:
    """A fleet that begins to connect at once."""

    def __init__(self, program: Path, url: str, **options: object) -> None:
        """Starts it.

        Args:
            options: `agents=1000` is `--agents=1000`, `heartbeat_interval="5s"` likewise.
        """
        options.setdefault("max_seconds", MAX_SECONDS)
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self._process = subprocess.Popen(
            [program, f"--url={url}", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, name: str) -> Event:
        """Reads on to the next event of this name.

        Raises:
            RuntimeError: it ended without one.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event: Event = json.loads(line)
            if event["event"] == name:
                return event
        raise RuntimeError(f"the fleet ended without {name}")

    def command(self, *words: object) -> None:
        """Sends one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def be_nice(self) -> None:
        """Lets the others of its processor go first."""
        os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)

    def close(self) -> None:
        """Ends it, if it still runs. Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                # A word that came too late for it waits there still.
                with suppress(BrokenPipeError):
                    pipe.close()
