"""What agents and watchers say, as far as Python reads it (PROTOCOL.md §2).

`parse` makes a frozen dataclass of the text, or raises `Refusal`. Nothing from a peer is trusted:
every type is checked and every length bounded. In a field that may be left out, null says the
same as leaving it out. Fields we do not know are passed over, so that newer clients work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import orjson

from dscore.agent_ids import MAX_AGENT_ID, has_control, trimmed
from dscore.messages.outbound import RefusalCode, Status
from dscore.peer_json import loads

MAX_TEXT = 256
"""Bytes of UTF-8 in any other text: an address, a timestamp, a search."""
MAX_TOKEN = 1024
MAX_CONFIG = 65_536
"""Bytes of JSON in an agent's `config`: it is kept of every agent, long after it has gone."""


class Refusal(Exception):
    """A message that is not accepted; its connection lives on (PROTOCOL.md §10).

    Attributes:
        code: for the peer's program.
        message: for its programmer.
        request_type: the `type` of the message, if it has one.
    """

    def __init__(self, code: RefusalCode, message: str, request_type: str | None = None) -> None:
        super().__init__(message)
        self.code: RefusalCode = code
        self.message = message
        self.request_type = request_type


class AppReady(NamedTuple):
    """Introduces an agent (the DeepStream contract)."""

    agent_id: str
    """`instance_id` on the wire."""
    reconnection: bool = False
    last_close_code: int = 0
    config: bytes | None = None
    """The agent's settings: a JSON object, as bytes because 18,000 are kept; None when empty."""
    token: str | None = None


class Heartbeat(NamedTuple):
    """A sign of life; it introduces an agent of the Socket.IO contract."""

    agent_id: str
    """`clientName` on the wire."""
    ip_address: str | None = None
    timestamp: str | int | float | None = None
    """The agent's own clock, in its own form."""


class ReconnectionSuccess(NamedTuple):
    """An agent of the Socket.IO contract has come back."""

    agent_id: str


class ClientStatusRequest(NamedTuple):
    """Asks about the server and one agent."""

    agent_id: str


class WatchFilter(NamedTuple):
    """Which agents a watcher wants to hear of."""

    status: Status | None = None
    q: str | None = None
    """Part of an agent id, in any case."""

    def fits(self, agent_id: str, status: Status) -> bool:
        """Whether an agent in this state passes."""
        if self.status is not None and status != self.status:
            return False
        return self.q is None or self.q.casefold() in agent_id.casefold()


class Watch(NamedTuple):
    """Makes its connection a watcher."""

    filter: WatchFilter = WatchFilter()
    snapshot: bool = False
    token: str | None = None


Inbound: TypeAlias = AppReady | Heartbeat | ReconnectionSuccess | Watch | ClientStatusRequest


def parse(kind: str, text: bytes) -> Inbound:
    """The message of a type that is ours.

    Args:
        kind: its `type`, as the core has read it.
        text: the whole message, one JSON object.

    Raises:
        Refusal: it is not what the protocol asks for.
        KeyError: `kind` is none of ours; such a message is for `parse_object`.
    """
    read = _READERS[kind]
    return read(_Fields(kind, parse_object(text, kind)))


def parse_object(text: bytes, kind: str | None = None) -> dict[str, Any]:
    """The JSON object of a message of any type.

    Raises:
        Refusal: `bad_json`.
    """
    try:
        value = loads(text)
    except orjson.JSONDecodeError:
        raise Refusal("bad_json", "the message is not valid JSON", kind) from None
    if not isinstance(value, dict):
        raise Refusal("bad_json", "the message is not a JSON object", kind)
    return value


class _Fields:
    """Checked reading of one message."""

    __slots__ = ("_kind", "_values")

    def __init__(self, kind: str, values: dict[str, Any]) -> None:
        self._kind = kind
        self._values = values

    def agent_id(self, name: str) -> str:
        value = self._values.get(name, "")
        agent_id = trimmed(value) if isinstance(value, str) else value
        if agent_id == "":
            raise Refusal("missing_field", f"{name} is missing", self._kind)
        text = self._text(name, agent_id, MAX_AGENT_ID)
        if has_control(text):
            raise self._bad(name, "holds a control character")
        return text

    def text(self, name: str, limit: int = MAX_TEXT) -> str | None:
        value = self._values.get(name)
        return None if value is None or value == "" else self._text(name, value, limit)

    def flag(self, name: str) -> bool:
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self._bad(name, "must be true or false")

    def whole(self, name: str, high: int) -> int:
        value = self._values.get(name)
        if value is None:
            return 0
        if type(value) is int and 0 <= value <= high:  # True is an int too
            return value
        raise self._bad(name, f"must be a whole number between 0 and {high}")

    def table(self, name: str) -> dict[str, Any]:
        value = self._values.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        raise self._bad(name, "must be an object")

    def json(self, name: str) -> bytes | None:
        """An object as compact JSON; None when it is empty."""
        value = self.table(name)
        try:
            text = orjson.dumps(value) if value else None
        except orjson.JSONEncodeError:  # orjson reads deeper nesting than it writes
            raise self._bad(name, "is nested too deeply") from None
        if text is not None and len(text) > MAX_CONFIG:
            raise self._bad(name, f"is longer than {MAX_CONFIG} bytes")
        return text

    def moment(self, name: str) -> str | int | float | None:
        value = self._values.get(name)
        if type(value) in (int, float):
            return value
        return self.text(name)

    def status(self, name: str) -> Status | None:
        value = self._values.get(name)
        if value is None or value == "online" or value == "offline":
            return value
        raise self._bad(name, 'must be "online" or "offline"')

    def inner(self, name: str) -> _Fields:
        return _Fields(self._kind, self.table(name))

    def _text(self, name: str, value: object, limit: int) -> str:
        if not isinstance(value, str):
            raise self._bad(name, "must be a string")
        # A character is at most four bytes: most texts need not be encoded to be measured.
        if len(value) * 4 > limit and len(value.encode()) > limit:
            raise self._bad(name, f"is longer than {limit} bytes")
        return value

    def _bad(self, name: str, sentence: str) -> Refusal:
        return Refusal("bad_field", f"{name} {sentence}", self._kind)


def _app_ready(fields: _Fields) -> AppReady:
    return AppReady(
        fields.agent_id("instance_id"),
        fields.flag("reconnection"),
        fields.whole("last_close_code", 65_535),
        fields.json("config"),
        fields.text("token", MAX_TOKEN),
    )


def _heartbeat(fields: _Fields) -> Heartbeat:
    return Heartbeat(
        fields.agent_id("clientName"),
        fields.text("ip_address"),
        fields.moment("timestamp"),
    )


def _reconnection_success(fields: _Fields) -> ReconnectionSuccess:
    return ReconnectionSuccess(fields.agent_id("clientName"))


def _client_status_request(fields: _Fields) -> ClientStatusRequest:
    return ClientStatusRequest(fields.agent_id("clientName"))


def _watch(fields: _Fields) -> Watch:
    wanted = fields.inner("filter")
    return Watch(
        WatchFilter(wanted.status("status"), wanted.text("q")),
        fields.flag("snapshot"),
        fields.text("token", MAX_TOKEN),
    )


_READERS: dict[str, Callable[[_Fields], Inbound]] = {
    "app_ready": _app_ready,
    "heartbeat": _heartbeat,
    "reconnection_success": _reconnection_success,
    "client_status_request": _client_status_request,
    "watch": _watch,
}
