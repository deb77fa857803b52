"""A simulated fleet for tests that need thousands of agents: `dscore-load` of `benches/load`.

    fleet = start_fleet(serving.ws, agents=1000, mute="5%")
    fleet.wait_until_introduced()
    fleet.trigger()
    serving.stop()
    assert fleet.report()["terminate"]["acked"] == 950

It is a program, so that a busy fleet takes nothing from the loop of the test. Options are those of
its command line, commands those of its stdin (`dscore-load --help`).
"""

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from waiting import wait_until

ROOT = Path(__file__).parent.parent

Event = dict[str, Any]


def build_load() -> Path:
    """Builds `dscore-load`, which takes no time when it is up to date, and says where it is."""
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "dscore-load"]
    built = subprocess.run(
        [*command, "--message-format", "json"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    artifacts = map(json.loads, built.stdout.splitlines())
    return next(Path(one["executable"]) for one in artifacts if one.get("executable"))


class Fleet:
    """One run of `dscore-load`. Made by the `start_fleet` fixture, which ends what it started."""

    def __init__(
        self,
        program: Path,
        url: str,
        directory: Path,
        *,
        within: Sequence[str | Path] = (),
        **options: object,
    ) -> None:
        """Starts to connect at once.

        Args:
            program: what `build_load` gave.
            url: `Serving.ws`.
            directory: where what it says is kept.
            within: what runs it elsewhere, before its own words.
            options: `agents=1000` is `--agents 1000`, `connect_rate=50` is `--connect-rate 50`.
        """
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.said_path = directory / "fleet.jsonl"
        with self.said_path.open("wb") as said:
            self.process = subprocess.Popen(
                [*within, program, f"--url={url}", *words],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
            )

    @property
    def said(self) -> str:
        """All it has said so far."""
        return self.said_path.read_text()

    def event(self, name: str) -> Event | None:
        """The last event of this name, if there was one yet."""
        lines = (line for line in reversed(self.said.splitlines()) if line.startswith("{"))
        events = (json.loads(line) for line in lines if line.endswith("}"))
        return next((event for event in events if event["event"] == name), None)

    def wait_for_event(self, name: str, seconds: float) -> Event:
        """Waits for an event.

        Raises:
            RuntimeError: the fleet has ended without it; holds all it said.
        """

        def arrived() -> Event | None:
            # In this order: what is said last must not be missed.
            ended = self.process.poll() is not None
            event = self.event(name)
            if ended and not event:
                raise RuntimeError(f"the fleet ended without {name}:\n{self.said}")
            return event

        return wait_until(arrived, f"{name} of the fleet", seconds)

    def wait_until_introduced(self, seconds: float = 60.0) -> Event:
        """Waits until every agent has tried; `count` of them were let in."""
        return self.wait_for_event("introduced", seconds)

    def command(self, *words: object) -> None:
        """Sends a line to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")
        self.process.stdin.flush()

    def trigger(self) -> None:
        """Now is the moment from which receipts are counted."""
        self.command("trigger", time.monotonic_ns())

    def report(self, seconds: float = 60.0) -> Event:
        """Waits for its end, which comes with the last connection's, and returns its report."""
        report = self.wait_for_event("report", seconds)
        self.process.wait(seconds)
        return report

    def stop(self) -> Event:
        """Ends the run early and returns its report."""
        self.command("stop")
        return self.report()

    def close(self) -> None:
        """Ends it by its process id, if it still runs. Idempotent."""
        assert self.process.stdin is not None
        # The processes of a fleet end with their stdin.
        self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
