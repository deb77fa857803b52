"""Pages of agents, and the cursors between them; the fleet filters, sorts and cuts.

A cursor names the last agent of its page by (sort value, id), not by position: agents that come and
go between two pages neither repeat nor hide others.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import orjson

from dscore.http.ports import AgentView, Fleet
from dscore.messages import Dialect, ReasonCode, Status
from dscore.states import State

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
]

MAX_LIMIT = 1000
"""Items of a page."""

Key: TypeAlias = tuple[str | float, str]


FOREIGN_CURSOR = "The cursor is not one that this server gave."


class CursorError(ValueError):
    """The cursor is not one of ours, or belongs to another sort order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which agents, in which order, how many.

    Attributes:
        reason: The reason_code.
        labels: Each with its value, or with None where any value fits.
        q: Part of the id or of the address, in any case.
    """

    status: Status | None = None
    state: State | None = None
    reason: ReasonCode | None = None
    dialect: Dialect | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    q: str | None = None
    sort: str = "id"
    limit: int = 100
    cursor: str | None = None


def parse_labels(wanted: Iterable[str]) -> tuple[tuple[str, str | None], ...]:
    """Labels as they are asked for: `name=value`, or `name`."""
    parts = (each.partition("=") for each in wanted)
    return tuple((name, value if sign else None) for name, sign, value in parts)


def page(fleet: Fleet, query: Query) -> tuple[Sequence[AgentView], str | None]:
    """One page of the agents that fit, and the cursor of the next.

    Raises:
        CursorError: The cursor does not fit.
    """
    items, has_more = fleet.page(
        status=query.status,
        state=query.state,
        reason=query.reason,
        dialect=query.dialect,
        labels=query.labels,
        text=query.q,
        sort=query.sort,
        limit=query.limit,
        after=None if query.cursor is None else _read_cursor(query.cursor, query.sort),
    )
    if not has_more:
        return items, None
    return items, _write_cursor(query.sort, _key_of(items[-1], query.sort))


def _key_of(agent: AgentView, sort: str) -> Key:
    """What an agent was sorted by."""
    match sort.removeprefix("-"):
        case "id":
            return "", agent.id
        case "status":
            return agent.status, agent.id
        case "state":
            return agent.state, agent.id
        case "connected_at":
            return agent.connected_at or 0.0, agent.id
    return agent.last_heartbeat or 0.0, agent.id


def _write_cursor(sort: str, key: Key) -> str:
    return urlsafe_b64encode(orjson.dumps([sort, *key])).decode().rstrip("=")


def _read_cursor(cursor: str, sort: str) -> Key:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = orjson.loads(urlsafe_b64decode(padded))
    except ValueError:
        raise CursorError(FOREIGN_CURSOR) from None
    value_type = (int, float) if sort.endswith(("connected_at", "last_heartbeat")) else str
    match parts:
        case [str(its_sort), value, str(agent_id)] if isinstance(value, value_type):
            if its_sort != sort:
                raise CursorError(f"The cursor belongs to sort={its_sort}, not to sort={sort}.")
            return cast(Key, (value, agent_id))
    raise CursorError(FOREIGN_CURSOR)
