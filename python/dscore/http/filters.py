"""Which agents a request is about: the same words in every query."""

from collections.abc import Iterable
from typing import Annotated, TypeAlias

from fastapi import Depends
from fastapi import Query as QueryParam

from dscore.filters import Filter
from dscore.messages import Dialect, ReasonCode, Status
from dscore.states import State

MAX_WORDS = 16
"""Of states and labels in one query."""
MAX_TEXT = 128


def parse_labels(wanted: Iterable[str]) -> tuple[tuple[str, str | None], ...]:
    """Labels as they are asked for: `name=value`, or `name`."""
    parts = (each.partition("=") for each in wanted)
    return tuple((name, value if sign else None) for name, sign, value in parts)


async def _filter(
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
