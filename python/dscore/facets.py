"""How many agents there are of each kind, as the fleet's table has counted them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dscore.messages import ReasonCode
from dscore.states import State

if TYPE_CHECKING:
    from dscore._core import CountedFacets


class LabelFacet(NamedTuple):
    """One label."""

    name: str
    values: list[tuple[str, dict[State, int]]]
    """With how many agents in each state; those of most agents first, at most 50."""
    more: int
    """Values that are not told."""


class Facets(NamedTuple):
    """How many agents there are of each kind."""

    states: dict[State, int]
    reasons: dict[ReasonCode, int]
    """Of those offline, the most frequent first."""
    labels: list[LabelFacet]
    """By name."""

    @classmethod
    def of(cls, counted: "CountedFacets") -> "Facets":
        states, reasons, labels = counted
        names = [state for state, _ in states]
        return cls(
            {state: count for state, count in states if count},
            dict(reasons),
            [
                LabelFacet(
                    name, [(value, _present(names, counts)) for value, counts in values], more
                )
                for name, values, more in labels
            ],
        )


def _present(names: Sequence[State], counts: Sequence[int]) -> dict[State, int]:
    return {name: count for name, count in zip(names, counts, strict=True) if count}
