"""What is said to agents and watchers on a program's behalf."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args
from uuid import uuid4

import orjson

from dscore.arguments import one_of
from dscore.errors import NotConnectedError, NotKeptError
from dscore.messages import detach
from dscore.server.live import Live
from dscore.server.watchers import Watchers

if TYPE_CHECKING:
    from dscore._core import AgentRow

Message: TypeAlias = Mapping[str, Any] | bytes
"""An object with a string `type`, or its JSON text."""
Audience: TypeAlias = Literal["agents", "watchers", "all"]

SHAPE = "a message is an object with a string 'type'"


class Outgoing:
    """Finds out which dialect can take what; the core writes it down."""

    def __init__(self, live: Live, watchers: Watchers) -> None:
        self._live = live
        self._watchers = watchers

    def send(self, record: "AgentRow", message: Message, namespace: str) -> bool:
        """Sends a message, or keeps it for when the agent is back.

        Returns:
            Whether it is on its way now.

        Raises:
            NotConnectedError: the agent is away, and the message cannot wait.
            ValueError: it is no message, or none for the agent's dialect.
        """
        text = self._send_now(record, message, namespace)
        if text is None:
            return True
        self._queue(record, text)
        return False

    async def send_kept(self, record: "AgentRow", message: Message, namespace: str) -> bool:
        """The same; what is kept is on the disk when this returns.

        Returns:
            Whether it is on its way now.

        Raises:
            NotConnectedError: the agent is away, and the message cannot wait.
            NotKeptError: the store takes nothing now; the message is not kept.
            ValueError: it is no message, or none for the agent's dialect.
        """
        text = self._send_now(record, message, namespace)
        if text is None:
            return True
        number = self._queue(record, text)
        try:
            # One that is cancelled leaves the message where it is: it may be written by now.
            await self._live.store.written()
        except NotKeptError:
            # Of one that went on its way meanwhile there is nothing to take back.
            if self._live.fleet.withdraw(record, number):
                raise
        return False

    def _queue(self, record: "AgentRow", text: bytes) -> int:
        """Puts a message into the outbox; its number."""
        live = self._live
        number = live.fleet.queue(record, identified(text))
        if number is None:
            raise NotConnectedError(record.agent_id)
        live.count_drops()
        live.store.changed(urgent=True)
        return number

    def _send_now(self, record: "AgentRow", message: Message, namespace: str) -> bytes | None:
        """Sends what can be sent; the text of a message that must wait, else None."""
        live = self._live
        text, is_whole = _dump(message)
        if not is_whole or namespace != "/":
            self._send_event(record, message, namespace)
            return None
        if record.conn and not live.fleet.is_behind(record):
            live.pool.send(record.conn, text)
            return None
        can_wait = live.config.session.outbox_limit > 0
        if not can_wait or not live.fleet.has_session(record):
            raise NotConnectedError(record.agent_id)
        return text

    def broadcast(self, message: Message, to: Audience) -> int:
        """Sends a message to many.

        Returns:
            To how many.

        Raises:
            ValueError: it is no message, or has attachments; `to` is another word.
        """
        one_of("to", to, get_args(Audience))
        live = self._live
        text, is_whole = _dump(message)
        if not is_whole:
            raise ValueError("a broadcast carries no bytes: not every dialect can")
        if to == "agents":
            conns = [record.conn for record in live.fleet.connected()]
        else:
            self._watchers.flush()
            conns = list(self._watchers.by_conn) if to == "watchers" else live.all_connections()
        live.pool.send_many(conns, text)
        return len(conns)

    def _send_event(self, record: "AgentRow", message: Message, namespace: str) -> None:
        """What only a Socket.IO connection can take."""
        if not record.conn or (namespace == "/" and self._live.fleet.is_deaf(record)):
            raise NotConnectedError(record.agent_id)
        if record.dialect != "socketio":
            raise ValueError(
                f"agent {record.agent_id!r} speaks the raw dialect, which has neither attachments "
                "nor namespaces: leave out what is bytes, or write it as text"
            )
        fields = _loads(message) if isinstance(message, bytes) else dict(message)
        data, attachments = detach([fields.pop("type"), fields])
        self._live.pool.send_event(record.conn, data, namespace=namespace, attachments=attachments)


def identified(text: bytes) -> bytes:
    """The text of a message that is kept, with a `message_id`: after a crash it may come twice, and
    that tells (PROTOCOL.md §7).

    Raises:
        ValueError: it is no message.
    """
    message = _loads(text)
    if message.get("message_id") is not None:
        return text
    name = b'"message_id":"%b"' % str(uuid4()).encode()
    if "message_id" in message:
        del message["message_id"]
        text = orjson.dumps(message)
    # Not written anew: the text stays the caller's, byte for byte.
    return b"".join((b"{", name, b",", text.lstrip()[1:]))


def _dump(message: Message) -> tuple[bytes, bool]:
    """The JSON text of a message, and whether that is all of it: nothing in it is bytes."""
    if isinstance(message, bytes):
        return message, True
    if not isinstance(message.get("type"), str):
        raise ValueError(SHAPE)
    text, attachments = detach(message)
    return text, not attachments


def _loads(text: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{SHAPE}, as JSON: {error}") from None
    if isinstance(message, dict) and isinstance(message.get("type"), str):
        return message
    raise ValueError(SHAPE)
