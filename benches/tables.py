"""The ledger as Markdown. Few servers stand side by side, more below each other."""

from collections.abc import Iterator
from statistics import median

from benches.aims import Aim, table
from benches.ledger import BASE, OURS, Ledger, Rounds, present, values

# Rounds in which others used more of the machine than this are told apart in the notes.
DISTURBED = 0.05
SIDE_BY_SIDE = 3


def markdown(ledger: Ledger, aims: tuple[Aim, ...] = ()) -> str:
    """All rounds of a file; `aims` are the rows of a table that stands before the figures."""
    lines = ["Median (least to greatest of the rounds); ratios are of medians.", ""]
    lines += [f"- {key}: {value}" for key, value in ledger.machine.items()]
    for bench, rounds in ledger.benches.items():
        wide = len(rounds) > SIDE_BY_SIDE or (len(rounds) > 1 and BASE not in rounds)
        tables = _rows(rounds) if wide else _columns(rounds)
        lines += ["", f"## {bench}", ""]
        if aims:
            lines += [*table(aims, rounds), ""]
        lines += [*tables, "", _noise(rounds)]
    return "\n".join(lines) + "\n"


def _columns(rounds: Rounds) -> Iterator[str]:
    """A row for each figure."""
    others = [name for name in rounds if name != BASE and BASE in rounds]
    ratios = [f"{name} / {BASE}" for name in others]
    yield f"| | {' | '.join([*rounds, *ratios])} | aim |"
    yield "|---" * (2 + len(rounds) + len(ratios)) + "|"
    for _, metrics in present(rounds):
        for metric in metrics:
            figures = {name: values(rounds, name, metric) for name in rounds}
            cells = [_spread(each, metric.digits) for each in figures.values()]
            cells += [_ratio(figures[name], figures[BASE]) for name in others]
            yield f"| {metric.label} | {' | '.join(cells)} | {metric.aim} |"


def _rows(rounds: Rounds) -> Iterator[str]:
    """A table for each part of an agent's life, a row for each server."""
    for part, metrics in present(rounds):
        yield from (f"### {part}", "")
        yield f"| | {' | '.join(metric.label for metric in metrics)} |"
        yield "|---" * (1 + len(metrics)) + "|"
        for name in rounds:
            cells = [_spread(values(rounds, name, metric), metric.digits) for metric in metrics]
            yield f"| {name} | {' | '.join(cells)} |"
        for base in (BASE, OURS):
            if base in rounds:
                yield from _ratios(part, rounds, base)
        yield ""


def _ratios(part: str, rounds: Rounds, base: str) -> Iterator[str]:
    metrics = dict(present(rounds))[part]
    yield from ("", f"As a multiple of {base}:", "")
    yield f"| | {' | '.join(metric.label for metric in metrics)} |"
    yield "|---" * (1 + len(metrics)) + "|"
    for name in rounds:
        pairs = ((values(rounds, name, m), values(rounds, base, m)) for m in metrics)
        yield f"| {name} | {' | '.join(_ratio(*pair) for pair in pairs)} |"


def _spread(figures: list[float], digits: int) -> str:
    low, middle, high = (
        f"{figure:,.{digits}f}" for figure in (min(figures), median(figures), max(figures))
    )
    return f"{middle} ({low} to {high})"


def _ratio(figures: list[float], base: list[float]) -> str:
    return f"{median(figures) / median(base):.2f}" if median(base) else "-"


def _noise(rounds: Rounds) -> str:
    shares = [figures["others"] for each in rounds.values() for figures in each]
    disturbed = sum(share > DISTURBED for share in shares)
    return (
        f"{len(shares)} rounds. Other programs used {median(shares):.1%} of the machine (median), "
        f"at most {max(shares):.1%}; above {DISTURBED:.0%} in {disturbed} rounds."
    )
