"""How a message looks inside a WebSocket text message, in both dialects of the wire contract.

Bytes in, packets out: nothing here has a state or a socket.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import orjson

SHAPE = "a message is an object with a string 'type'"


class Packet(NamedTuple):
    """What a text message of the server asks for."""

    message: dict[str, Any] | None = None
    """The message for the agent."""
    reply: bytes | None = None
    """What the dialect itself answers, at once."""
    begins: bool = False
    """The server is ready for the introduction."""
    ends: str | None = None
    """The server ends this connection; its words."""


class Dialect(Protocol):
    """An encoding of messages."""

    begins_at_once: bool
    """The introduction waits for no packet of the server."""

    def encode(self, message: Mapping[str, Any]) -> bytes:
        """Bytes of a message.

        Raises:
            ValueError: It is none: no object with a string `type`, or not JSON.
        """

    def decode(self, text: bytes) -> Packet:
        """What these bytes ask for.

        Raises:
            ValueError: They make no sense.
        """


class RawDialect:
    """Each text message is one JSON object with a string `type`."""

    begins_at_once = True

    def encode(self, message: Mapping[str, Any]) -> bytes:
        _type_of(message)
        return _dump(dict(message))

    def decode(self, text: bytes) -> Packet:
        message = orjson.loads(text)
        _type_of(message)
        return Packet(message)


class SocketIoDialect:
    """Engine.IO v4 and Socket.IO v5 over a WebSocket: `type` is the event, the rest its argument.

    No polling: only browsers have a reason to begin with it. Pings are the server's; namespaces,
    acks and binary packets are not used.
    """

    begins_at_once = False

    def __init__(self, token: Callable[[], str | None] = lambda: None) -> None:
        """Sends nothing yet.

        Args:
            token: The token of the moment, shown when it connects, where servers look for it before
                any event.
        """
        self._token = token

    def encode(self, message: Mapping[str, Any]) -> bytes:
        kind = _type_of(message)
        rest = {name: value for name, value in message.items() if name != "type"}
        return b"42" + _dump([kind, rest])

    def decode(self, text: bytes) -> Packet:
        kind, content = text[:1], text[1:]
        if kind == b"4":
            return self._decode_socket(content[:1], content[1:])
        if kind == b"0":  # open
            token = self._token()
            return Packet(reply=b"40" + (b"" if token is None else orjson.dumps({"token": token})))
        if kind == b"1":  # close
            return Packet(ends="the server closes")
        if kind == b"2":  # ping; a pong carries what the ping did
            return Packet(reply=b"3" + content)
        if kind == b"6":  # noop
            return Packet()
        raise ValueError("no Engine.IO packet for a client")

    def _decode_socket(self, kind: bytes, content: bytes) -> Packet:
        if kind == b"0":  # connect
            return Packet(begins=True)
        if kind == b"1":  # disconnect
            return Packet(ends="the server disconnects")
        if kind == b"2":  # event
            return Packet(_event(content.lstrip(b"0123456789")))
        if kind == b"4":  # connect error
            return Packet(ends=f"the server refuses: {content.decode(errors='replace')}")
        raise ValueError("no Socket.IO packet for this client")


def _event(content: bytes) -> dict[str, Any]:
    event = orjson.loads(content)
    if not isinstance(event, list) or not event or not isinstance(event[0], str):
        raise ValueError("an event is an array that begins with its name")
    argument = event[1] if len(event) == 2 else {}
    if len(event) > 2 or not isinstance(argument, dict):
        raise ValueError("an event has one object as its argument")
    return {**argument, "type": event[0]}


def _type_of(message: Any) -> str:
    if isinstance(message, Mapping) and isinstance(kind := message.get("type"), str):
        return kind
    raise ValueError(SHAPE)


def _dump(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise ValueError(f"a message must be JSON: {error}") from None
