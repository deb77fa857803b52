"""Pages of agents, and the cursors between them; the fleet filters, sorts and cuts.

A cursor names the last agent of its page by (sort value, id), not by position: agents that come and
go between two pages neither repeat nor hide others.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, cast

import orjson
from fastapi import HTTPException

from dscore.filters import ANY, Filter
from dscore.http.ports import AgentView, Fleet

Sort: TypeAlias = Literal[
    "id",
    "-id",
    "status",
    "-status",
    "state",
    "-state",
    "connected_at",
    "-connected_at",
    "last_heartbeat",
    "-last_heartbeat",
    "natural",
    "-natural",
    "problem",
    "-problem",
    "since",
    "-since",
    "rtt",
    "-rtt",
]

MAX_LIMIT = 1000
"""Items of a page."""
_NUMBERS = ("connected_at", "last_heartbeat", "since", "rtt")
"""Orders whose values are numbers."""

Key: TypeAlias = tuple[str | float, str]


FOREIGN_CURSOR = "The cursor is not one that this server gave."


class CursorError(ValueError):
    """The cursor is not one of ours, or belongs to another sort order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which agents, in which order, how many.

    Attributes:
        offset: so many are left out at first.
    """

    filter: Filter = ANY
    sort: str = "id"
    limit: int = 100
    cursor: str | None = None
    offset: int = 0


class Page(NamedTuple):
    """Agents, in order."""

    items: Sequence[AgentView]
    next_cursor: str | None
    total: int
    """All that fit."""


async def page(fleet: Fleet, query: Query) -> Page:
    """One page of the agents that fit.

    Raises:
        CursorError: The cursor does not fit, or stands beside an offset.
    """
    if query.cursor is not None and query.offset:
        raise CursorError("A page begins at a cursor or at an offset, not at both.")
    items, has_more, total = await fleet.read_page(
        query.filter,
        sort=query.sort,
        limit=query.limit,
        after=None if query.cursor is None else _read_cursor(query.cursor, query.sort),
        offset=query.offset,
    )
    if not has_more:
        return Page(items, None, total)
    return Page(items, _write_cursor(query.sort, _key_of(items[-1], query.sort)), total)


def _key_of(agent: AgentView, sort: str) -> Key:
    """What an agent was sorted by."""
    match sort.removeprefix("-"):
        case "id" | "natural":
            return "", agent.id
        case "status":
            return agent.status, agent.id
        case "state" | "problem":
            return agent.state, agent.id
        case "connected_at":
            return agent.connected_at or 0.0, agent.id
        case "since":
            return agent.since, agent.id
        case "rtt":
            return agent.rtt or 0.0, agent.id
    return agent.last_heartbeat or 0.0, agent.id


def _write_cursor(sort: str, key: Key) -> str:
    return urlsafe_b64encode(orjson.dumps([sort, *key])).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str) -> Key:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = orjson.loads(urlsafe_b64decode(padded))
    except ValueError:
        raise CursorError(FOREIGN_CURSOR) from None
    value_type = (int, float) if sort.endswith(_NUMBERS) else str
    match parts:
        case [str(its_sort), value, str(agent_id)] if isinstance(value, value_type):
            if its_sort != sort:
                raise CursorError(f"The cursor belongs to sort={its_sort}, not to sort={sort}.")
            return cast(Key, (value, agent_id))
    raise CursorError(FOREIGN_CURSOR)


def number_of(cursor: str) -> int:
    """The number that a cursor of entries is.

    Raises:
        HTTPException: it is none of ours.
    """
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise HTTPException(400, FOREIGN_CURSOR)
    return int(cursor)
