"""Pages of agents: filter, sort, cut.

A cursor names the last agent of its page by (sort value, id), not by position: agents that come and
go between two pages neither repeat nor hide others.
"""

import heapq
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

import orjson

from dscore.http.ports import AgentView

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

    status: str | None = None
    state: str | None = None
    reason: str | None = None
    dialect: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    q: str | None = None
    sort: str = "id"
    limit: int = 100
    cursor: str | None = None


def parse_labels(wanted: Iterable[str]) -> tuple[tuple[str, str | None], ...]:
    """Labels as they are asked for: `name=value`, or `name`."""
    parts = (each.partition("=") for each in wanted)
    return tuple((name, value if sign else None) for name, sign, value in parts)


def page(agents: Iterable[AgentView], query: Query) -> tuple[list[AgentView], str | None]:
    """One page of the agents that fit, and the cursor of the next.

    Raises:
        CursorError: The cursor does not fit.
    """
    key = _key_of(query.sort)
    after = None if query.cursor is None else _read_cursor(query.cursor, query.sort)
    descending = query.sort.startswith("-")
    rest = _after(_fitting(agents, query), key, after, descending=descending)
    cut = heapq.nlargest if descending else heapq.nsmallest
    found = cut(query.limit + 1, rest, key=key)
    items = found[: query.limit]
    if len(found) == len(items):
        return items, None
    return items, _write_cursor(query.sort, key(items[-1]))


def _fitting(agents: Iterable[AgentView], query: Query) -> Iterator[AgentView]:
    needle = query.q.casefold() if query.q else None
    for agent in agents:
        if query.status is not None and agent.status != query.status:
            continue
        if query.state is not None and agent.state != query.state:
            continue
        if query.reason is not None and agent.reason_code != query.reason:
            continue
        if query.dialect is not None and agent.dialect != query.dialect:
            continue
        if query.labels and not _has_labels(agent.labels, query.labels):
            continue
        if needle is None or needle in agent.id.casefold() or needle in (agent.ip or ""):
            yield agent


def _has_labels(labels: Mapping[str, str], wanted: Iterable[tuple[str, str | None]]) -> bool:
    return all(
        name in labels if value is None else labels.get(name) == value for name, value in wanted
    )


def _after(
    agents: Iterable[AgentView],
    key: Callable[[AgentView], Key],
    after: Key | None,
    *,
    descending: bool,
) -> Iterable[AgentView]:
    if after is None:
        return agents
    if descending:
        return (agent for agent in agents if key(agent) < after)
    return (agent for agent in agents if key(agent) > after)


def _key_of(sort: str) -> Callable[[AgentView], Key]:
    name = sort.removeprefix("-")
    if name == "id":
        return lambda agent: ("", agent.id)
    if name == "status":
        return lambda agent: (agent.status, agent.id)
    if name == "state":
        return lambda agent: (agent.state, agent.id)
    if name == "connected_at":
        return lambda agent: (agent.connected_at or 0.0, agent.id)
    return lambda agent: (agent.last_heartbeat or 0.0, agent.id)


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
