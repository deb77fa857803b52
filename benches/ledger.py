"""What the rounds came to: medians, spreads and ratios, as JSON and as Markdown."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

BASE = "floor"
# Rounds in which others used more of the machine than this are told apart in the notes.
DISTURBED = 0.05


@dataclass(frozen=True)
class Metric:
    """One figure of a round, and where it is said what it should be."""

    key: str
    label: str
    digits: int
    aim: str = ""
    """From the budgets of the design: `≤ 1.15 x` is a ratio to the floor."""


METRICS = [
    Metric("storm_rate", "agents introduced per second", 0, "≥ 0.7 x"),
    Metric("storm_cpu_us", "server CPU per introduction, µs", 1),
    Metric("memory_bytes", "memory per idle agent (PSS), bytes", 0, "≤ 1024"),
    Metric("receipt_p50_ms", "terminate_app received, p50, ms", 1),
    Metric("receipt_p99_ms", "terminate_app received, p99, ms", 1),
    Metric("receipt_last_ms", "terminate_app received, last, ms", 1, "≤ 1.15 x"),
    Metric("closed_last_ms", "all acked and closed, ms", 1),
    Metric("exit_ms", "process exit, ms", 1, "≤ 1.25 x"),
    Metric("drain_cpu_us", "server CPU per agent drained, µs", 1),
    Metric("beat_cpu_us", "server CPU per heartbeat, µs", 1, "≤ 1.2 x"),
    Metric("beat_p50_ms", "heartbeat answered, p50, ms", 3),
    Metric("beat_p99_ms", "heartbeat answered, p99, ms", 3),
    Metric("beating_cpu_percent", "server CPU, % of a core", 2, "≤ 1 at 30 s"),
    Metric("late_p50_ms", "late after the deadline, p50, ms", 1),
    Metric("late_p99_ms", "late after the deadline, p99, ms", 1),
    Metric("late_max_ms", "late after the deadline, max, ms", 1, "≤ 50"),
    Metric("boot_s", "from the start of the process to ready, s", 2, "≤ 2"),
    Metric("return_s", "all that come back introduced, s", 2),
    Metric("page_ms", "a page of 100 agents, ms", 1, "≤ 50"),
    Metric("slowest_page_ms", "the slowest of pages filtered, sorted or long, ms", 1),
    Metric("absent_bytes", "memory per absent agent (PSS), bytes", 0),
]

Figures = dict[str, float]


@dataclass
class Ledger:
    """All rounds of one run: bench -> contender -> figures, in the order measured."""

    machine: dict[str, str]
    benches: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)

    def record(self, bench: str, contender: str, figures: Figures) -> None:
        self.benches.setdefault(bench, {}).setdefault(contender, []).append(figures)

    def write(self, directory: Path, name: str) -> Path:
        """Writes `name`.json and `name`.md; returns the latter."""
        directory.mkdir(exist_ok=True)
        content = {"machine": self.machine, "benches": self.benches}
        (directory / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
        table = directory / f"{name}.md"
        table.write_text(self.markdown())
        return table

    def markdown(self) -> str:
        lines = ["Median (least to greatest of the rounds); the ratio is of medians.", ""]
        lines += [f"- {key}: {value}" for key, value in self.machine.items()]
        for bench, contenders in self.benches.items():
            lines += ["", f"## {bench}", "", *_table(contenders), "", _noise(contenders)]
        return "\n".join(lines) + "\n"


def _table(contenders: dict[str, list[Figures]]) -> Iterator[str]:
    others = [name for name in contenders if name != BASE and BASE in contenders]
    ratios = [f"{name} / {BASE}" for name in others]
    yield f"| | {' | '.join([*contenders, *ratios])} | aim |"
    yield "|---" * (2 + len(contenders) + len(ratios)) + "|"
    for metric in METRICS:
        values = {
            name: [figures[metric.key] for figures in rounds if metric.key in figures]
            for name, rounds in contenders.items()
        }
        if not all(values.values()):
            continue
        cells = [_spread(values[name], metric.digits) for name in contenders]
        cells += [_ratio(values[name], values[BASE]) for name in others]
        yield f"| {metric.label} | {' | '.join(cells)} | {metric.aim} |"


def _spread(values: list[float], digits: int) -> str:
    low, middle, high = (f"{v:.{digits}f}" for v in (min(values), median(values), max(values)))
    return f"{middle} ({low} to {high})"


def _ratio(values: list[float], base: list[float]) -> str:
    return f"{median(values) / median(base):.2f}" if median(base) else "-"


def _noise(contenders: dict[str, list[Figures]]) -> str:
    shares = [figures["others"] for rounds in contenders.values() for figures in rounds]
    disturbed = sum(share > DISTURBED for share in shares)
    return (
        f"{len(shares)} rounds. Other programs used {median(shares):.1%} of the machine (median), "
        f"at most {max(shares):.1%}; above {DISTURBED:.0%} in {disturbed} rounds."
    )
