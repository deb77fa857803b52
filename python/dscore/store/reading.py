"""The rows of a store as they are read: each is checked, and one that is damaged is left out.

A file may have been edited, restored from a bad disk, or written by another program. One row must
not keep a server from starting, nor every list of agents from being made.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast, get_args

import orjson

from dscore.agent_ids import MAX_AGENT_ID
from dscore.messages import ReasonCode
from dscore.states import State
from dscore.store.marks import Mark
from dscore.store.rows import SAMPLE, AuditRow, MessageRow, Minute, StoredAgent

LATEST: Final = 253_402_300_799_999
"""Unix milliseconds of the last moment that can be written down, in the year 9999."""
LARGEST: Final = (1 << 53) - 1
"""What a number in JSON may be."""
TOO_OLD: Final = 10 * 366 * 86_400_000
"""Milliseconds between the last change of an agent and the end of the process: a server of which
nothing came for ten years is a damaged number."""

REASONS: Final = frozenset(get_args(ReasonCode))
STATES: Final = frozenset(get_args(State))
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
    """Of `agents`; `with_session` looks at the columns of its session.

    Raises:
        DamagedError: it is damaged.
    """
    stored = StoredAgent(*row)
    _demand(_is_agent_id(stored.agent_id), "agent_id")
    _demand(stored.state in STATES, "state")
    _demand(stored.reason_code is None or stored.reason_code in REASONS, "reason_code")
    _demand(isinstance(stored.ip, str), "ip")
    _demand(stored.dialect in DIALECTS, "dialect")
    _demand(_is_whole(stored.generation, LARGEST), "generation")
    _demand(isinstance(stored.introduced_by, str), "introduced_by")
    _demand(_is_whole(stored.connected_at, LATEST), "connected_at")
    _demand(_is_whole(stored.changed_at, LATEST), "changed_at")
    _demand(stored.config is None or _is_object(stored.config), "config")
    if _is_time(stored.seen_at) and _is_time(stored.heartbeat_at):
        return stored
    # The agent is whole without what only tells when it was heard of.
    return stored._replace(
        seen_at=stored.seen_at if _is_time(stored.seen_at) else None,
        heartbeat_at=stored.heartbeat_at if _is_time(stored.heartbeat_at) else None,
    )


def without_doubles(agents: Sequence[StoredAgent], damages: list[Damage]) -> list[StoredAgent]:
    """Of agents with the same id the one that has changed last; they are given oldest first."""
    newest = {agent.agent_id: agent.number for agent in agents}
    found = []
    for agent in agents:
        if newest[agent.agent_id] == agent.number:
            found.append(agent)
        else:
            damages.append(Damage("agents", agent.number, "a later row has its agent_id"))
    return found


def with_session(stored: StoredAgent, damages: list[Damage]) -> StoredAgent:
    """The same without its session, if that is damaged."""
    last_close = stored.last_close
    if (
        (last_close is None or _is_whole(last_close, 65_535))
        and _is_time(stored.left_at)
        and _is_whole(stored.dropped, LARGEST)
    ):
        return stored
    damages.append(Damage("sessions", stored.number, "its columns are damaged"))
    return stored._replace(last_close=None, left_at=None, dropped=0)


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


def entries(row: Row) -> list[tuple[int, int, str, bytes]]:
    """Of `timelines`: number, time, kind and data of each, newest first.

    Raises:
        DamagedError: it is damaged.
    """
    _, count, text = row
    _demand(type(text) is bytes, "entries")
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise DamagedError("entries is damaged") from None
    _demand(isinstance(found, list) and len(found) == count, "entries")
    return [_entry(one) for one in reversed(found)]


def _entry(entry: object) -> tuple[int, int, str, bytes]:
    _demand(isinstance(entry, list) and len(entry) == 4, "entries")
    number, at, kind, data = cast("list[Any]", entry)
    _demand(_is_whole(number, LARGEST), "number")
    _demand(_is_whole(at, LATEST), "at")
    _demand(isinstance(kind, str), "kind")
    _demand(isinstance(data, dict), "data")
    return number, at, kind, orjson.dumps(data)


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


def _is_time(value: object) -> bool:
    return value is None or _is_whole(value, LATEST)


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
