"""One round: a server, its fleet, what they used, and the checks that every round must pass."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from benches.contenders import CONTENDERS
from benches.cores import Cores, on
from benches.fleet import Event, Fleet
from benches.ledger import Figures
from benches.noise import Busy, slab_bytes
from benches.programs import Programs
from benches.server import Exit

QUIET_SECONDS = 0.5
"""A server that used a fiftieth of this time, or less, while it passed, is at rest."""
MAX_REST_SECONDS = 5.0


class Round:
    """A fresh server with its fleet introduced, ready to be measured; close it in any case."""

    def __init__(
        self,
        programs: Programs,
        contender: str,
        directory: Path,
        cores: Cores | None = None,
        *,
        agents: int,
        **options: object,
    ) -> None:
        """Starts both and measures the connect storm and the memory.

        Args:
            cores: where each of them runs; None: where the kernel likes.
            options: of the fleet, beside the number of agents.
        """
        self.agents = agents
        self.figures: Figures = {"agents": agents}
        self.beside_cpu = 0.0
        """Seconds of what a bench started beside server and fleet."""
        self._busy = Busy()
        self._own_cpu = time.process_time()
        with on(cores and cores.server):
            self.server = CONTENDERS[contender](programs, directory)
        try:
            memory, cpu = self.server.pss_bytes(), self.server.cpu_seconds()
            kernel = slab_bytes()
            options.setdefault("dialect", self.server.dialect)
            with on(cores and cores.fleet):
                self.fleet = Fleet(programs.load, self.server.url, agents=agents, **options)
            self._storm(memory, cpu)
            self.figures["kernel_bytes"] = (slab_bytes() - kernel) / agents / 2
        except BaseException:
            self.close()
            raise

    def rest(self) -> None:
        """Waits until the server has done what it does behind the last agent, and measures anew."""
        before, end = self.server.cpu_seconds(), time.monotonic() + MAX_REST_SECONDS
        while time.monotonic() < end:
            time.sleep(QUIET_SECONDS)
            now = self.server.cpu_seconds()
            if now - before <= QUIET_SECONDS / 50:
                break
            before = now
        self._note_storm()

    def leave(self) -> Figures:
        """Lets the fleet go without a drain, and returns the figures."""
        self.fleet.command("stop")
        report = self.fleet.wait_for("report")
        assert report["valid"], f"{report}\n{self.server.log}"
        own = time.process_time() - self._own_cpu
        used = self.server.cpu_seconds() + report["cpu_seconds"] + own + self.beside_cpu
        self.figures["others"] = self._busy.share_of_others(used)
        return self.figures

    def _storm(self, memory: int, cpu: float) -> None:
        introduced = self.fleet.wait_for("introduced")
        assert introduced["count"] == self.agents, f"{introduced}\n{self.server.log}"
        self.figures["storm_rate"] = self.agents / introduced["seconds"]
        self._memory_before, self._cpu_before = memory, cpu
        self._note_storm()

    def _note_storm(self) -> None:
        used = self.server.cpu_seconds() - self._cpu_before
        self.figures["storm_cpu_us"] = used / self.agents * 1e6
        self.figures["memory_bytes"] = (self.server.pss_bytes() - self._memory_before) / self.agents

    def heartbeats(self, seconds: float) -> None:
        """Lets the fleet beat for this long and measures what that costs the server."""
        with self.beating():
            time.sleep(seconds)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Lets the fleet beat meanwhile, and returns when all are answered."""
        cpu, start = self.server.cpu_seconds(), time.monotonic()
        self.fleet.command("heartbeats", "on")
        yield
        self.fleet.command("heartbeats", "off")
        self._beat_cpu = self.server.cpu_seconds() - cpu
        self.figures["beating_cpu_percent"] = self._beat_cpu / (time.monotonic() - start) * 100
        self._settle()

    def _settle(self) -> None:
        """Waits until the fleet sends no more heartbeats and has all their answers."""
        before, now = self.fleet.wait_for("progress"), self.fleet.wait_for("progress")
        while not before["heartbeats_sent"] == now["heartbeats_sent"] == now["heartbeats_answered"]:
            before, now = now, self.fleet.wait_for("progress")

    def drain(self) -> None:
        """Triggers the drain and waits for the server's exit: what a benchmark may time."""
        self._cpu = self.server.cpu_seconds()
        self._trigger = self.server.terminate()
        self.fleet.command("trigger", self._trigger)
        self._exit = self.server.wait()

    def finish(self) -> Figures:
        """Hears the fleet's report, checks it, and returns all figures of the round."""
        report = self.fleet.wait_for("report")
        self._check(report, self._exit)
        self._note_drain(report)
        if report["heartbeats"]["answered"]:
            self._note_heartbeats(report["heartbeats"])
        own = time.process_time() - self._own_cpu
        ours = self._exit.cpu_seconds + report["cpu_seconds"] + own + self.beside_cpu
        self.figures["others"] = self._busy.share_of_others(ours)
        return self.figures

    def _check(self, report: Event, ended: Exit) -> None:
        """Speed counts for nothing if one agent was missed, told twice or cut off."""
        story = f"{report}\n{self.server.log}"
        told = report["terminate"]
        assert report["valid"], story
        assert told["agents_told_1"] == told["distinct_request_ids"] == self.agents, story
        assert told["acked"] == self.agents, story
        if self.server.dialect == "raw":
            assert report["closes"]["codes"] == {"1000": self.agents}, story
        else:
            # Socket.IO has a farewell of its own; the code below it is not a program's to choose.
            assert report["disconnects_received"] == self.agents, story
            assert set(report["closes"]["codes"]) <= {"1000", "1005"}, story
        assert report["heartbeats"]["answered"] == report["heartbeats"]["sent"], story
        assert ended.code == 0, story

    def _note_drain(self, report: Event) -> None:
        receipt = report["terminate"]["receipt"]
        for moment in ("p50", "p99", "last"):
            self.figures[f"receipt_{moment}_ms"] = receipt[f"{moment}_ms"]
        self.figures["closed_last_ms"] = report["closes"]["moment"]["last_ms"]
        self.figures["exit_ms"] = (self._exit.at_ns - self._trigger) / 1e6
        used = self._exit.cpu_seconds - self._cpu
        self.figures["drain_cpu_us"] = used / self.agents * 1e6

    def _note_heartbeats(self, heartbeats: Event) -> None:
        self.figures["beat_cpu_us"] = self._beat_cpu / heartbeats["answered"] * 1e6
        self.figures["beat_p50_ms"] = heartbeats["latency_ms"]["p50"]
        self.figures["beat_p99_ms"] = heartbeats["latency_ms"]["p99"]
        self.figures["beat_max_ms"] = heartbeats["latency_ms"]["max"]

    def close(self) -> None:
        """Ends what still runs. Idempotent."""
        if fleet := getattr(self, "fleet", None):
            fleet.close()
        self.server.close()


def whole_life(
    benchmark: BenchmarkFixture, start: Callable[..., Round], interval: str, seconds: float
) -> Figures:
    """A connect storm, some seconds of heartbeats and the drain: one start for all figures."""
    one = start(heartbeat_interval=interval, heartbeats="off")
    # What is written of an introduction behind its ack is no heartbeat's cost.
    one.rest()
    one.heartbeats(seconds)
    benchmark.group = f"drain of {one.agents} agents"
    # pytest-benchmark has no types. It is one round of its own: the servers take turns.
    benchmark.pedantic(one.drain, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    figures = one.finish()
    # A share of a core has a meaning at the interval of a real fleet: test_heartbeat.py.
    del figures["beating_cpu_percent"]
    return figures
