"""Which agents a request is about: the same words in every query."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias

from fastapi import Depends
from fastapi import Query as QueryParam

from dscore.messages import Dialect, ReasonCode, Status
from dscore.states import State

MAX_WORDS = 16
"""Of states and labels in one query."""
MAX_TEXT = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """None and nothing fit any agent.

    Attributes:
        states: any of these.
        reason: the reason_code.
        labels: each with its value, or with None where any value fits; all must.
        text: part of the id or of the address, in any case.
    """

    status: Status | None = None
    states: tuple[State, ...] = ()
    reason: ReasonCode | None = None
    dialect: Dialect | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    text: str | None = None

    def arguments(self) -> dict[str, Any]:
        """As `dscore.http.ports.Fleet` takes it."""
        return {
            "status": self.status,
            "states": self.states,
            "reason": self.reason,
            "dialect": self.dialect,
            "labels": self.labels,
            "text": self.text,
        }


ANY: Final = Filter()


def parse_labels(wanted: Iterable[str]) -> tuple[tuple[str, str | None], ...]:
    """Labels as they are asked for: `name=value`, or `name`."""
    parts = (each.partition("=") for each in wanted)
    return tuple((name, value if sign else None) for name, sign, value in parts)


def _filter(
    status: Status | None = None,
    state: Annotated[
        list[State], QueryParam(max_length=MAX_WORDS, description="Any of those given fits.")
    ] = [],  # noqa: B006 -- FastAPI copies it
    reason: Annotated[ReasonCode | None, QueryParam(description="The reason_code.")] = None,
    dialect: Dialect | None = None,
    label: Annotated[
        list[str],
        QueryParam(
            max_length=MAX_WORDS,
            description="`name=value`, or `name` for any value; all that are given must fit.",
        ),
    ] = [],  # noqa: B006 -- FastAPI copies it
    q: Annotated[
        str | None, QueryParam(max_length=MAX_TEXT, description="Part of the id or the address.")
    ] = None,
) -> Filter:
    return Filter(
        status=status,
        states=tuple(state),
        reason=reason,
        dialect=dialect,
        labels=parse_labels(label),
        text=q,
    )


FilterOf: TypeAlias = Annotated[Filter, Depends(_filter)]
"""What the query of a request chooses."""
