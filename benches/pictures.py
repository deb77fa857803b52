"""One picture for each question, as SVG, drawn from the ledger."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import median

from benches.ledger import KEYS, OURS, Ledger, Metric, Rounds, values

BY_SERVER = ("side_by_side", "socketio", "pinned")
"""Ledgers with a bar for each server."""
QUESTIONS = {
    "storm_rate": "How many agents does it introduce in a second? (more is better)",
    "storm_cpu_us": "What does it cost the server to introduce an agent? (less is better)",
    "memory_bytes": "How much memory does an idle agent take? (less is better)",
    "beat_cpu_us": "What does a heartbeat cost the server? (less is better)",
    "receipt_last_ms": "How long from SIGTERM until the last agent is told? (less is better)",
    "exit_ms": "How long from SIGTERM until all is over? (less is better)",
    "drain_cpu_us": "What does it cost the server to stop an agent? (less is better)",
}
BY_SIZE = ("storm_cpu_us", "drain_cpu_us", "memory_bytes")

OUR_COLOUR, OTHER_COLOUR = "#2563a8", "#9aa5b1"
COLOURS = ("#9aa5b1", "#2563a8", "#c0392b", "#2e8b57")
LEFT, WIDTH, RIGHT, BAR, GAP, HEAD = 150, 430, 190, 18, 8, 44
PANEL_WIDTH, PANEL_HEIGHT, PANEL_GAP = 220, 180, 70


@dataclass(frozen=True)
class Spread:
    """The rounds of one server in one figure."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        return cls(min(figures), median(figures), max(figures))


def draw(ledger: Ledger) -> list[Path]:
    """Writes the pictures beside the ledger."""
    drawn = {}
    for rounds in ledger.benches.values():
        if ledger.path.stem not in BY_SERVER:
            continue
        for key, question in QUESTIONS.items():
            if all(key in figures for each in rounds.values() for figures in each):
                drawn[key] = "\n".join(_bars(question, KEYS[key], rounds))
    if ledger.path.stem == "scaling":
        question = "Does an agent of a large fleet cost what one of a small fleet costs?"
        drawn["per_agent"] = "\n".join(_panels(question, list(ledger.benches.values())))
    paths = []
    for name, content in drawn.items():
        paths.append(ledger.path.with_name(f"{ledger.path.stem}-{name}.svg"))
        paths[-1].write_text(content + "\n")
    return paths


def _bars(question: str, metric: Metric, rounds: Rounds) -> Iterator[str]:
    """A bar for the median of each server; a thin line from its least to its greatest round."""
    spreads = {name: Spread.of(values(rounds, name, metric)) for name in rounds}
    height = HEAD + len(spreads) * (BAR + GAP) + GAP
    yield from _begin(LEFT + WIDTH + RIGHT, height, question, metric.label)
    # Memory that went down counts as none.
    scale = WIDTH / max(1e-9, *(spread.high for spread in spreads.values()))
    for row, (name, spread) in enumerate(spreads.items()):
        y = HEAD + row * (BAR + GAP)
        middle = y + BAR / 2
        colour = OUR_COLOUR if name.startswith(OURS) else OTHER_COLOUR
        low, high = LEFT + max(0, spread.low) * scale, LEFT + max(0, spread.high) * scale
        figures = "{1:,.{0}f} ({2:,.{0}f} to {3:,.{0}f})".format(
            metric.digits, spread.middle, spread.low, spread.high
        )
        yield _text(LEFT - 8, middle + 4, name, anchor="end")
        width = max(0, spread.middle) * scale
        yield f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
        yield (
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="#222" '
            'stroke-width="2"/>'
        )
        yield _text(max(high, LEFT + width) + 8, middle + 4, figures)
    yield "</svg>"


def _panels(question: str, benches: Sequence[Rounds]) -> Iterator[str]:
    """A panel for each cost: lines over the size of the fleet, whose axes begin at nothing."""
    step = PANEL_WIDTH + PANEL_GAP
    height = HEAD + PANEL_HEIGHT + 70
    yield from _begin(
        len(BY_SIZE) * step + PANEL_GAP, height, question, "over the size of the fleet"
    )
    for index, key in enumerate(BY_SIZE):
        yield from _panel(PANEL_GAP + index * step, KEYS[key], benches)
    yield from _legend(list(benches[0]), HEAD + PANEL_HEIGHT + 54)
    yield "</svg>"


def _panel(left: float, metric: Metric, benches: Sequence[Rounds]) -> Iterator[str]:
    top, bottom = HEAD + 22, HEAD + PANEL_HEIGHT
    names = list(benches[0])
    lines = {
        name: [
            (rounds[name][0]["agents"], Spread.of(values(rounds, name, metric)))
            for rounds in benches
            if name in rounds
        ]
        for name in names
    }
    most = max(agents for points in lines.values() for agents, _ in points)
    highest = max(spread.high for points in lines.values() for _, spread in points)
    yield _text(left, top - 10, metric.label)
    yield f'<path d="M{left} {top}V{bottom}H{left + PANEL_WIDTH}" stroke="#888" fill="none"/>'
    yield _text(left - 6, top + 8, f"{highest:,.{metric.digits}f}", anchor="end")
    yield _text(left - 6, bottom, "0", anchor="end")
    yield _text(left + PANEL_WIDTH, bottom + 16, f"{most:,} agents", anchor="end")
    for (_, points), colour in zip(lines.items(), COLOURS, strict=False):
        placed = [
            (
                left + agents / most * PANEL_WIDTH,
                [
                    bottom - max(0, figure) / highest * (bottom - top)
                    for figure in (spread.low, spread.middle, spread.high)
                ],
            )
            for agents, spread in points
        ]
        path = " ".join(f"{x:.1f},{heights[1]:.1f}" for x, heights in placed)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for x, (low, middle, high) in placed:
            yield f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="3" fill="{colour}"/>'
            yield f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}"/>'


def _legend(names: Sequence[str], y: float) -> Iterator[str]:
    for index, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        x = PANEL_GAP + index * 110
        yield f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>'
        yield _text(x + 18, y, name)


def _begin(width: float, height: float, question: str, unit: str) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="12">'
    )
    yield '<rect width="100%" height="100%" fill="white"/>'
    yield f'<text x="12" y="18" font-size="14" font-weight="bold">{escape(question)}</text>'
    yield _text(12, 34, f"{unit}; median, and least to greatest of the rounds")


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
