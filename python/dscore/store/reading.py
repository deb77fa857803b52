"""The rows of a store as they are read: each is checked, and one that is damaged is left out.

A file may have been edited, restored from a bad disk, or written by another program. One row must
not keep a server from starting, nor every list of agents from being made.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from sys import intern
from typing import Any, Final, NamedTuple, TypeVar, cast, get_args

import orjson

from dscore.agent_ids import MAX_AGENT_ID
from dscore.messages import ReasonCode, Status
from dscore.store.marks import Mark
from dscore.store.rows import (
    SAMPLE,
    AuditRow,
    Entry,
    MessageRow,
    Minute,
    SessionRow,
    StoredAgent,
)

LATEST: Final = 253_402_300_799_999
"""Unix milliseconds of the last moment that can be written down, in the year 9999."""
LARGEST: Final = (1 << 53) - 1
"""What a number in JSON may be."""
TOO_OLD: Final = 10 * 366 * 86_400_000
"""Milliseconds between the last change of an agent and the end of the process: a server of which
nothing came for ten years is a damaged number."""

REASONS: Final = frozenset(get_args(ReasonCode))
STATES: Final = {
    "connected": "online",
    "late": "online",
    "terminating": "online",
    "reconnecting": "online",
    "unknown": "online",
    "offline": "offline",
    "terminated": "offline",
}
"""State -> the status it goes with."""
DIALECTS: Final = frozenset(("raw", "socketio"))

Row = tuple[Any, ...]
T = TypeVar("T")


class DamagedError(Exception):
    """A row is not what this program has written; says how."""


class Damage(NamedTuple):
    """A row that was left out."""

    table: str
    key: object
    """What its first column holds, which may be anything."""
    reason: str


def text(raw: bytes) -> str | bytes:
    """A text of the file; one that is no UTF-8 stays bytes, so that nothing takes it for a text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def checked(
    table: str, rows: Iterable[Row], check: Callable[[Row], T], damages: list[Damage]
) -> Iterator[T]:
    """The rows that are whole."""
    for row in rows:
        try:
            yield check(row)
        except DamagedError as damaged:  # noqa: PERF203 -- one bad row must not lose the rest
            damages.append(Damage(table, row[0], str(damaged)))


def agent(row: Row) -> StoredAgent:
    """Of `agents` and `last_seen`.

    Raises:
        DamagedError: it is damaged.
    """
    agent_id, status, state, reason_code, ip, dialect, generation, introduced_by, *rest = row
    connected_at, changed_at, config, seen_at, heartbeat_at = rest
    _demand(_is_agent_id(agent_id), "agent_id")
    _demand(isinstance(state, str) and STATES.get(state) == status, "status and state")
    _demand(reason_code is None or reason_code in REASONS, "reason_code")
    _demand(isinstance(ip, str), "ip")
    _demand(dialect in DIALECTS, "dialect")
    _demand(_is_whole(generation, LARGEST), "generation")
    _demand(isinstance(introduced_by, str), "introduced_by")
    _demand(_is_whole(connected_at, LATEST), "connected_at")
    _demand(_is_whole(changed_at, LATEST), "changed_at")
    _demand(config is None or _is_object(config), "config")
    # A row brings its own copy of every word; a fleet needs one of each.
    return StoredAgent(
        agent_id,
        cast(Status, intern(status)),
        intern(state),
        cast(ReasonCode, intern(reason_code)) if reason_code else None,
        intern(ip),
        intern(dialect),
        generation,
        intern(introduced_by),
        connected_at,
        changed_at,
        config,
        # In a row of its own: the agent is whole without it.
        seen_at if _is_whole(seen_at, LATEST) else None,
        heartbeat_at if _is_whole(heartbeat_at, LATEST) else None,
    )


def session(known: Container[str], row: Row) -> SessionRow:
    """Of `sessions`, of an agent that is known.

    Raises:
        DamagedError: it is damaged.
    """
    agent_id, last_close, left_at, dropped = row
    _demand(_is_agent_id(agent_id), "agent_id")
    _demand(_is_whole(last_close, 65_535), "last_close")
    _demand(left_at is None or _is_whole(left_at, LATEST), "left_at")
    _demand(_is_whole(dropped, LARGEST), "dropped")
    if agent_id not in known:
        raise DamagedError("its agent is not there")
    return SessionRow(agent_id, last_close, left_at, dropped)


def message(known: Container[str], row: Row) -> MessageRow:
    """Of `outbox`, of a session that is known.

    Raises:
        DamagedError: it is damaged.
    """
    number, agent_id, text = row
    _demand(_is_agent_id(agent_id), "agent_id")
    _demand(_is_json(text), "message")
    if agent_id not in known:
        raise DamagedError("its session is not there")
    return number, agent_id, text


def entry(row: Row) -> Entry:
    """Of `events`.

    Raises:
        DamagedError: it is damaged.
    """
    number, agent_id, at, kind, data = row
    _demand(isinstance(agent_id, str), "agent_id")
    _demand(_is_whole(at, LATEST), "at")
    _demand(isinstance(kind, str), "kind")
    _demand(_is_object(data), "data")
    return Entry(number, agent_id, at, kind, data)


def mark(row: Row) -> Mark:
    """Of `marks`.

    Raises:
        DamagedError: it is damaged.
    """
    number, age = row
    _demand(_is_whole(age, LATEST), "age")
    return number, age


def audit(row: Row) -> AuditRow:
    """Of `audit`.

    Raises:
        DamagedError: it is not what was written.
    """
    number, at, age, refused, data = row
    for column, value in (("at", at), ("age", age)):
        _demand(_is_whole(value, LATEST), column)
    _demand(refused in (0, 1), "refused")
    _demand(_is_object(data), "data")
    return AuditRow(number, at, age, refused, data)


def minute(row: Row) -> Minute:
    """Of `history`.

    Raises:
        DamagedError: it is damaged.
    """
    number, samples = row
    _demand(_is_whole(number, LATEST), "number")
    _demand(type(samples) is bytes and bool(samples), "samples")
    _demand(len(samples) % SAMPLE.size == 0, "samples")
    return Minute(number, samples)


def process(row: Row, agents: Sequence[StoredAgent]) -> tuple[int | None, int | None]:
    """Of `process`: when the last one was alive, and where its age clock stood. What is damaged is
    guessed from the agents, so that none of them is too old at once."""
    alive_at, age = row
    newest = max((agent.changed_at for agent in agents), default=None)
    if not _is_whole(age, LATEST) or (newest is not None and age - newest >= TOO_OLD):
        age = newest
    return (alive_at if _is_whole(alive_at, LATEST) else age), age


def _demand(is_so: bool, column: str) -> None:
    if not is_so:
        raise DamagedError(f"{column} is damaged")


def _is_agent_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value.encode()) <= MAX_AGENT_ID


def _is_whole(value: object, largest: int) -> bool:
    return type(value) is int and 0 <= value <= largest


def _is_object(value: object) -> bool:
    if type(value) is not bytes:
        return False
    # Mostly it is, and it is one of few: of all that is kept, this is what takes long to look at.
    if value == b"{}":
        return True
    try:
        return isinstance(orjson.loads(value), dict)
    except orjson.JSONDecodeError:
        return False


def _is_json(value: object) -> bool:
    if type(value) is not bytes:
        return False
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True
