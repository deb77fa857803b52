"""What a bench is to reach, as a table: the figures as ratios to the floor, beside their aims."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from benches.ledger import BASE, KEYS, Rounds, values

TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True)
class Aim:
    """One row: a figure, and what it should be on some of the servers."""

    key: str
    """Of a metric."""
    label: str
    unit: str
    limits: Mapping[str, float] = field(default_factory=dict)
    """Contender -> the limit: a ratio to the base, or an amount if `absolute`."""
    at_least: bool = False
    """The limit is the least; else it is the most."""
    absolute: bool = False
    base: str = BASE
    """The contender that ratios are of."""

    def is_met(self, contender: str, figure: float, base: float) -> bool:
        """Whether this server reaches it; one without a limit does."""
        if contender not in self.limits:
            return True
        # Rounded as in the table, where a 1.15 that misses 1.15 would be a riddle.
        digits = KEYS[self.key].digits
        reached = round(figure, digits) if self.absolute else round(figure / base, 2)
        limit = self.limits[contender]
        return reached >= limit if self.at_least else reached <= limit


def table(aims: tuple[Aim, ...], rounds: Rounds) -> Iterator[str]:
    """A row for each aim, a column for each server, then one for each server that has aims.

    A figure that misses its aim is bold; an aim that is of another bench is left out.
    """
    have = [aim for aim in aims if _is_measured(aim, rounds)]
    if not have:
        return
    aimed = [name for name in rounds if any(name in aim.limits for aim in have)]
    heads = [*rounds, *(f"aim, {name}" for name in aimed)]
    yield f"| | {' | '.join(heads)} |"
    yield f"|---|{'--:|' * len(heads)}"
    for aim in have:
        medians = {name: median(values(rounds, name, KEYS[aim.key])) for name in rounds}
        cells = [_cell(aim, name, medians) for name in rounds]
        cells += [_limit(aim, name) for name in aimed]
        yield f"| {aim.label} | {' | '.join(cells)} |"


def _is_measured(aim: Aim, rounds: Rounds) -> bool:
    has_figure = all(aim.key in figures for each in rounds.values() for figures in each)
    return has_figure and any(name in aim.limits for name in rounds)


def _cell(aim: Aim, name: str, medians: Mapping[str, float]) -> str:
    figure, base = medians[name], medians.get(aim.base, 0.0)
    amount = f"{figure:,.{KEYS[aim.key].digits}f}{aim.unit}"
    if name == aim.base or not (aim.absolute or base):
        return amount
    text = amount if aim.absolute else f"{figure / base:.2f} {TIMES} ({amount})"
    return text if aim.is_met(name, figure, base) else f"**{text}**"


def _limit(aim: Aim, name: str) -> str:
    if name not in aim.limits:
        return ""
    limit = aim.limits[name]
    amount = f"{limit:,g}{aim.unit}" if aim.absolute else f"{limit:.2f} {TIMES}"
    return f"{'≥' if aim.at_least else '≤'} {amount}"
