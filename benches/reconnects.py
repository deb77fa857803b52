"""How hard do 10,000 agents knock after a restart? With hints, with jitter alone, with neither.

    python -m benches.reconnects            # the table; --picture docs/reconnects.svg draws it too

The agents' real machine (`dscore_agent.reconnect`) on a fake clock: nothing connects or waits.
Every connection closes at second 0; the server is back after some seconds, and an
earlier attempt is refused. An attempt is one health check with, if that is well, one upgrade.
"""

import argparse
import heapq
import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dscore_agent.reconnect import Reconnector, ReconnectPolicy

AGENTS = 10_000
SEED = 1
LIVED = 3600.0
HINT_BASE = 5.0
"""Seconds of the server's hint before the first slot (PROTOCOL §3)."""


@dataclass(frozen=True)
class Scenario:
    """One way of losing every connection at once."""

    name: str
    code: int
    down: float
    hints: bool
    jitter: bool


@dataclass(frozen=True)
class Outcome:
    """What the server would have felt.

    Attributes:
        attempts: Moments of all attempts, in seconds, sorted.
        returns: Moments at which agents came back, sorted.
    """

    attempts: Sequence[float]
    returns: Sequence[float]


SCENARIOS = [
    Scenario(f"{name}, back after {down:g} s", code, down, hints, jitter)
    for down in (3.0, 20.0)
    for name, code, hints, jitter in (
        ("restart drain (1001), hints", 1001, True, True),
        ("restart drain (1001), jitter alone", 1001, False, True),
        ("restart drain (1001), neither", 1001, False, False),
        ("killed (1006), jitter alone", 1006, False, True),
        ("killed (1006), neither", 1006, False, False),
    )
]


def window(agents: int) -> float:
    """Seconds over which the server spreads its hints (`shutdown.reconnect_window`)."""
    return max(5.0, agents / 1000)


def simulate(scenario: Scenario, agents: int = AGENTS, seed: int = SEED) -> Outcome:
    """Lets a fleet come back."""
    chance = random.Random(seed)
    policy = ReconnectPolicy(jitter=scenario.jitter)
    fleet = [Reconnector(policy, chance.random) for _ in range(agents)]
    due: list[tuple[float, int]] = []
    for number, one in enumerate(fleet):
        one.begin()
        one.opened(-LIVED)
        if scenario.hints:
            one.hinted(HINT_BASE + window(agents) * number / agents)
        wait = one.closed(scenario.code, "", 0.0)
        assert wait is not None
        due.append((wait, number))
    heapq.heapify(due)
    attempts, returns = [], []
    while due:
        now, number = heapq.heappop(due)
        fleet[number].due()
        attempts.append(now)
        if now >= scenario.down:
            fleet[number].opened(now)
            returns.append(now)
        else:
            heapq.heappush(due, (now + fleet[number].refused(), number))
    return Outcome(attempts, returns)


def peak(moments: Sequence[float]) -> int:
    """The most of them within any one second."""
    ends = (bisect_left(moments, moment + 1.0) for moment in moments)
    return max((end - start for start, end in enumerate(ends)), default=0)


def report(outcomes: Sequence[tuple[Scenario, Outcome]]) -> str:
    """A table in Markdown."""
    rows = [
        "| scenario | attempts | peak attempts/s | peak returns/s | half back | all back |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for scenario, outcome in outcomes:
        back = outcome.returns
        rows.append(
            f"| {scenario.name} | {len(outcome.attempts):,} | {peak(outcome.attempts):,} "
            f"| {peak(back):,} | {back[len(back) // 2]:.1f} s | {back[-1]:.1f} s |"
        )
    return "\n".join(rows)


WIDTH, HEIGHT, GAP, LEFT, SECONDS, BIN = 760, 64, 26, 16, 80, 0.25


def picture(outcomes: Sequence[tuple[Scenario, Outcome]]) -> str:
    """An SVG with one strip for each scenario: attempts per second over time.

    Each strip has its own height, which it names: the peaks differ by a factor of ten.
    """
    total = len(outcomes) * (HEIGHT + GAP) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * LEFT} {total}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    scale = WIDTH / SECONDS
    for index, (scenario, outcome) in enumerate(outcomes):
        floor = (index + 1) * (HEIGHT + GAP)
        bins = [0] * int(SECONDS / BIN)
        for moment in outcome.attempts:
            bins[min(int(moment / BIN), len(bins) - 1)] += 1
        highest = max(bins)
        parts += [
            f'<rect x="{LEFT + number * BIN * scale:.1f}" width="{BIN * scale:.1f}" '
            f'y="{floor - HEIGHT * count / highest:.1f}" '
            f'height="{HEIGHT * count / highest:.1f}" fill="#2563a8"/>'
            for number, count in enumerate(bins)
            if count
        ]
        back = LEFT + scenario.down * scale
        parts += [
            f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{floor}" y2="{floor}" stroke="#888"/>',
            f'<line x1="{back}" x2="{back}" y1="{floor - HEIGHT}" y2="{floor}" '
            'stroke="#c0392b" stroke-dasharray="3"/>',
            f'<text x="{LEFT + WIDTH}" y="{floor - HEIGHT + 10}" text-anchor="end">'
            f"{scenario.name}: peak {peak(outcome.attempts):,}/s</text>",
        ]
    foot = len(outcomes) * (HEIGHT + GAP) + 15
    for second in range(0, SECONDS + 1, 10):
        x = LEFT + second * scale
        parts.append(f'<text x="{x}" y="{foot}" text-anchor="middle">{second} s</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it as an SVG")
    options = parser.parse_args()
    outcomes = [(scenario, simulate(scenario)) for scenario in SCENARIOS]
    print(report(outcomes))
    if options.picture:
        options.picture.write_text(picture(outcomes))


if __name__ == "__main__":
    main()
