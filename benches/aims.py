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
    """Contender -> the limit: a ratio to the floor, or an amount if `absolute`."""
    at_least: bool = False
    """The limit is the least; else it is the most."""
    absolute: bool = False

    def is_met(self, contender: str, figure: float, base: float) -> bool:
        """Whether this server reaches it; one without a limit does."""
        if contender not in self.limits:
            return True
        # Rounded as in the table, where a 1.15 that misses 1.15 would be a riddle.
        reached = round(figure) if self.absolute else round(figure / base, 2)
        limit = self.limits[contender]
        return reached >= limit if self.at_least else reached <= limit


def table(aims: tuple[Aim, ...], rounds: Rounds) -> Iterator[str]:
    """A row for each aim, a column for each server, then one for each server that has aims.

    A figure that misses its aim is bold.
    """
    aimed = [name for name in rounds if any(name in aim.limits for aim in aims)]
    heads = [*rounds, *(f"aim, {name}" for name in aimed)]
    yield f"| | {' | '.join(heads)} |"
    yield f"|---|{'--:|' * len(heads)}"
    for aim in aims:
        medians = {name: median(values(rounds, name, KEYS[aim.key])) for name in rounds}
        cells = [_cell(aim, name, medians) for name in rounds]
        cells += [_limit(aim, name) for name in aimed]
        yield f"| {aim.label} | {' | '.join(cells)} |"


def _cell(aim: Aim, name: str, medians: Mapping[str, float]) -> str:
    figure, base = medians[name], medians.get(BASE, 0.0)
    amount = f"{figure:,.{KEYS[aim.key].digits}f}{aim.unit}"
    if name == BASE or not (aim.absolute or base):
        return amount
    text = amount if aim.absolute else f"{figure / base:.2f} {TIMES} ({amount})"
    return text if aim.is_met(name, figure, base) else f"**{text}**"


def _limit(aim: Aim, name: str) -> str:
    if name not in aim.limits:
        return ""
    limit = aim.limits[name]
    amount = f"{limit:,.0f}{aim.unit}" if aim.absolute else f"{limit:.2f} {TIMES}"
    return f"{'≥' if aim.at_least else '≤'} {amount}"
