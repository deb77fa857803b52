"""What the rounds came to, kept as JSON after every one of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BASE = "floor"
OURS = "dscore"


@dataclass(frozen=True)
class Metric:
    """One figure of a round, and where it is said what it should be."""

    key: str
    label: str
    digits: int
    aim: str = ""
    """From the budgets of the design: `≤ 1.15 x` is a ratio to the floor."""


# Of each part of an agent's life.
METRICS = {
    "Coming in": [
        Metric("storm_rate", "agents introduced per second", 0),
        Metric("storm_cpu_us", "server CPU per introduction, µs", 1),
        Metric("memory_bytes", "memory per idle agent (PSS), bytes", 0, "≤ 640"),
        Metric("kernel_bytes", "kernel memory per connection and side, bytes", 0),
    ],
    "Heartbeats": [
        Metric("beat_cpu_us", "server CPU per heartbeat, µs", 1),
        Metric("beat_p50_ms", "heartbeat answered, p50, ms", 3),
        Metric("beat_p99_ms", "heartbeat answered, p99, ms", 3),
        Metric("beating_cpu_percent", "server CPU, % of a core", 2, "≤ 1 at 30 s"),
    ],
    "Shutting down": [
        Metric("receipt_p50_ms", "terminate_app received, p50, ms", 1),
        Metric("receipt_p99_ms", "terminate_app received, p99, ms", 1),
        Metric("receipt_last_ms", "terminate_app received, last, ms", 1, "≤ 1.15 x"),
        Metric("closed_last_ms", "all acked and closed, ms", 1),
        Metric("exit_ms", "process exit, ms", 1),
        Metric("drain_cpu_us", "server CPU per agent drained, µs", 1),
    ],
    "Handshakes of TLS": [
        Metric("handshake_rate", "handshakes per second", 0),
        Metric("handshake_cpu_us", "server CPU per handshake, µs", 1, "≤ 1.3 x"),
        Metric("held_bytes", "memory per connection after it (PSS), bytes", 0),
    ],
    "Idle over TLS": [
        Metric("upgraded_bytes", "memory in the reactor per further agent, bytes", 0),
        Metric("fleet_bytes", "on the heap of the loop's thread beside that, bytes", 0),
        Metric("first_bytes", "all of each of the first half, with what they leave, bytes", 0),
    ],
    "Beside a storm": [
        Metric("storm_seconds", "all that come back introduced, s", 2),
        Metric("storm_p50_ms", "heartbeat of the others answered, p50, ms", 2),
        Metric("storm_p99_ms", "heartbeat of the others answered, p99, ms", 2, "≤ 5"),
        Metric("storm_max_ms", "heartbeat of the others answered, max, ms", 2),
    ],
    "What TLS adds to a heartbeat": [
        Metric("plain_beat_us", "server CPU per heartbeat, plain, µs", 2),
        Metric("secure_beat_us", "server CPU per heartbeat, TLS, µs", 2),
        Metric("more_beat_us", "more over TLS, µs", 2, "≤ 1.5"),
    ],
    "Before the deadline": [
        Metric("report_margin_ms", "report written before the deadline, ms", 0, "> 0"),
        Metric("exit_margin_ms", "store flushed, process gone before the deadline, ms", 0, "> 0"),
    ],
    "Liveness": [
        Metric("late_p50_ms", "late after the deadline, p50, ms", 1),
        Metric("late_p99_ms", "late after the deadline, p99, ms", 1),
        Metric("late_max_ms", "late after the deadline, max, ms", 1, "≤ 50"),
        Metric("boot_s", "from the start of the process to ready, s", 2, "≤ 2"),
        Metric("return_s", "all that come back introduced, s", 2),
        Metric("page_ms", "a page of 100 agents, ms", 1, "≤ 50"),
        Metric("slowest_page_ms", "the slowest of pages filtered, sorted or long, ms", 1),
        Metric("absent_bytes", "memory per absent agent (PSS), bytes", 0),
    ],
    "The boundary": [
        Metric("send_p50_us", "agent.send from the loop to the wire, p50, µs", 1),
        Metric("send_p99_us", "agent.send from the loop to the wire, p99, µs", 1, "≤ 100"),
        Metric("seen_p50_us", "agent.send until another process has read it, p50, µs", 1),
        Metric("seen_p99_us", "agent.send until another process has read it, p99, µs", 1),
        Metric("send_call_us", "the call of agent.send itself, µs", 2),
        Metric("event_us", "an event taken in a batch, µs", 2),
        Metric("loop_introduction_us", "Python's thread per introduction, µs", 1),
        Metric("reactor_introduction_us", "the reactor per introduction, µs", 1),
        Metric("loop_drain_us", "Python's thread per agent drained, µs", 1),
        Metric("reactor_drain_us", "the reactor per agent drained, µs", 1),
    ],
}

KEYS = {metric.key: metric for metrics in METRICS.values() for metric in metrics}

Figures = dict[str, float]
Rounds = dict[str, list[Figures]]
"""Contender -> figures, in the order measured."""


@dataclass
class Ledger:
    """All rounds of one file of benches."""

    path: Path
    machine: dict[str, str]
    benches: dict[str, Rounds] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    """Names of the tests that have passed: what a resumed run leaves out."""

    def resume(self) -> bool:
        """Goes on with what is on disk, if it was measured here and of this commit."""
        if not self.path.exists():
            return False
        content = json.loads(self.path.read_text())
        if any(content["machine"].get(key) != self.machine[key] for key in SAME):
            return False
        self.machine["date"] = content["machine"]["date"]
        self.benches, self.done = content["benches"], content["done"]
        return True

    def record(self, bench: str, contender: str, figures: Figures) -> None:
        """Notes one round; kept once its test has passed."""
        self.benches.setdefault(bench, {}).setdefault(contender, []).append(figures)

    def keep(self, test: str) -> None:
        """Writes everything: a run that is cut off has lost one round."""
        self.done.append(test)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {"machine": self.machine, "benches": self.benches, "done": self.done}
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1) + "\n")
        partial.replace(self.path)


SAME = ("processor", "system", "commit")
"""Figures that differ in one of these do not belong into one table."""


def present(rounds: Rounds) -> Iterator[tuple[str, list[Metric]]]:
    """The metrics that every contender has, by part."""
    for part, metrics in METRICS.items():
        have = [
            metric
            for metric in metrics
            if all(metric.key in figures for each in rounds.values() for figures in each)
        ]
        if have:
            yield part, have


def values(rounds: Rounds, contender: str, metric: Metric) -> list[float]:
    """One figure of all rounds."""
    return [figures[metric.key] for figures in rounds[contender]]
