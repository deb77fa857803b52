"""One WebSocket of the program's own app, from its upgrade to its end."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from dscore.errors import PoolClosedError
from dscore.http.exchange import (
    HIGH_WATER,
    ClientLeftError,
    Exchange,
    comes_of_leaving,
    report_cut,
    scope_of,
)
from dscore.http.types import (
    App,
    BodyPart,
    GuestMessage,
    Header,
    Message,
    Request,
    Responder,
    Scope,
)

MAX_HEADERS = 65_536
"""Bytes of the fields that an app adds to its acceptance; clients take less."""
_GOING_AWAY = 1001
_TOO_MUCH_WAITS = 1013, "too many unfinished messages"
"""What the core closes with whose input is more than fits: see `limits.input_bytes`."""
_ABNORMAL = 1006
"""RFC 6455 §7.4.1: there was no close frame."""
_FRAMING = frozenset(
    (b"connection", b"content-length", b"keep-alive", b"transfer-encoding", b"upgrade")
)

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class WebSocket:
    """An upgrade that the app is asked about, and the WebSocket where it accepts.

    state      | accept | close    | http.response | send  | app returns | app raises | closed
    -----------|--------|----------|---------------|-------|-------------|------------|-------
    connecting | open   | answered | answered      | error | 500         | 500        | gone
    answered   | error  | error    | goes on       | error | -           | as Exchange| gone
    open       | error  | closing  | error         | sent  | close 1000  | close 1011 | gone
    closing    | error  | error    | error         | error | -           | logged     | gone
    gone       | OSError| -        | OSError       | OSError| -          | logged     | gone

    Before it is open it is a request, which any HTTP response answers; a close is 403. What the
    app is sent waits here, as far as the core reads ahead of it: some hundred short messages, or a
    long one. Then the socket is left unread until the app has received them all. Sending waits
    while the client does not read.
    """

    __slots__ = (
        "_accepted",
        "_answer",
        "_answered",
        "_close",
        "_has_connected",
        "_inbox",
        "_is_cut",
        "_is_held",
        "_news",
        "_pool",
        "_room",
        "_since",
        "_state",
        "_unsent",
        "conn",
        "request",
    )

    def __init__(
        self,
        answered: Callable[["WebSocket"], None],
        accepted: Callable[["WebSocket"], None],
        pool: Responder,
        request: Request,
    ) -> None:
        """
        Args:
            answered: hears that there is no more to it than what the app still does.
            accepted: hears that it is no request any more.
        """
        self._answered = answered
        self._accepted = accepted
        self._pool = pool
        self.request = request
        self.conn = request.conn
        self._answer = Exchange(self._refused, pool, request)
        """The response, where it is one."""
        self._state = "connecting"
        self._has_connected = False
        self._inbox: deque[GuestMessage] = deque()
        self._is_held = False
        """The core has stopped reading until the app has received what waits."""
        self._close = (_ABNORMAL, "")
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._unsent = 0  # bytes handed over since the outbox was last known to be low
        self._is_cut = False
        self._since = time.monotonic()

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except BaseException as error:
            self._failed(error)
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise
        else:
            self._returned()
        finally:
            self._inbox.clear()

    async def receive(self) -> Message:
        if not self._has_connected:
            self._has_connected = True
            return {"type": "websocket.connect"}
        while not self._inbox:
            if self._is_over:
                code, reason = self._close
                return {"type": "websocket.disconnect", "code": code, "reason": reason}
            self._news.clear()
            await self._news.wait()
        event = self._inbox.popleft()
        if self._is_held and not self._inbox:
            self._is_held = False
            self._order(self._pool.read_on, self.conn)
        text, data = (None, event.data) if event.binary else (event.data.decode(), None)
        return {"type": "websocket.receive", "text": text, "bytes": data}

    @property
    def _is_over(self) -> bool:
        return self._state == "gone" or (
            self._state == "answered" and not self._answer.is_unfinished
        )

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self._state == "gone":
            if kind == "websocket.close":
                return  # as it is
            raise ClientLeftError("the client has left")
        try:
            await self._send(kind, message)
        except PoolClosedError:
            self.closed(_ABNORMAL, "")
            raise ClientLeftError("the server has closed its connections") from None

    async def _send(self, kind: str, message: Message) -> None:
        state = self._state
        if kind == "websocket.send" and state == "open":
            await self._say(message)
        elif kind == "websocket.accept" and state == "connecting":
            self._accept(message)
        elif kind == "websocket.close" and state == "open":
            code, reason = message.get("code", 1000), message.get("reason") or ""
            self._pool.close_connection(self.conn, code, _fitting(reason))
            self._state = "closing"
        elif kind == "websocket.close" and state == "connecting":
            await self._respond({"type": "http.response.start", "status": 403})
            await self._respond({"type": "http.response.body"})
        elif kind.startswith("websocket.http.response.") and state in ("connecting", "answered"):
            await self._respond({**message, "type": kind.removeprefix("websocket.")})
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r} while {state}")

    def _accept(self, message: Message) -> None:
        offered = self.request.subprotocols or ()
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and subprotocol not in offered:
            raise ValueError(
                f"the client does not speak the subprotocol {subprotocol!r}: choose one of the "
                f"scope's {list(offered)}, or none"
            )
        headers = _accept_headers(message.get("headers", ()))
        self._pool.accept_upgrade(self.conn, subprotocol=subprotocol, headers=headers)
        self._state = "open"
        self._accepted(self)

    async def _respond(self, message: Message) -> None:
        self._state = "answered"
        await self._answer.send(message)

    async def _say(self, message: Message) -> None:
        text = message.get("text")
        data = message.get("bytes") if text is None else text.encode()
        if data is None:
            raise ValueError("websocket.send has neither text nor bytes")
        # Others may have waited for the same room, and have filled it.
        while not self._room.is_set():
            await self._room.wait()
        if self._state != "open":
            raise ClientLeftError("the WebSocket was closed meanwhile")
        self._unsent += len(data)
        is_full = self._unsent > HIGH_WATER
        if text is None:
            self._pool.send_binary(self.conn, bytes(data), notify=is_full)
        else:
            self._pool.send(self.conn, data, notify=is_full)
        if is_full:
            self._room.clear()
            await self._room.wait()

    def message(self, event: GuestMessage) -> None:
        """The client has sent a message."""
        if self._state == "open":
            self._inbox.append(event)
            self._is_held |= event.is_last
            self._news.set()

    def closed(self, code: int, reason: str) -> None:
        """It has ended. What came before is received first, unless the server has turned the client
        away for all that waits: else the app would go on to hold it."""
        if (code, reason) == _TOO_MUCH_WAITS:
            self._inbox.clear()
        self._state = "gone"
        self._close = code, reason
        self._news.set()
        self.has_room()

    def client_left(self) -> None:
        """The client left before it was answered, or the app took too long."""
        if self._state == "answered":
            self._answer.client_left()
        self.closed(_ABNORMAL, "")

    def has_room(self) -> None:
        self._unsent = 0
        self._room.set()
        if self._state == "answered":
            self._answer.has_room()

    def part(self, event: BodyPart) -> None:
        """An upgrade has no body."""

    def close(self) -> None:
        """The server stops. The app hears of it when the WebSocket has ended."""
        if self._state == "open":
            reason = "Server shutting down gracefully"
            self._order(self._pool.close_connection, self.conn, _GOING_AWAY, reason)

    def cut(self, task: "asyncio.Task[None]", *, is_deaf: bool = False) -> None:
        """Cancels an app that goes on for too long, and says so."""
        answered = self._state != "connecting"
        report_cut(self.request, self._since, is_answered=answered, is_deaf=is_deaf)
        self._is_cut = True
        task.cancel()

    def _refused(self, answer: Exchange) -> None:
        """The response is complete."""
        self._close = (_ABNORMAL, "")
        self._state = "answered"
        self._news.set()
        self._answered(self)

    def _returned(self) -> None:
        if self._state == "open":
            self._say_goodbye(1000, "")
        elif self._is_unanswered:
            self._failed(RuntimeError("the app returned without a complete answer"))

    def _failed(self, error: BaseException) -> None:
        is_ours = self._is_cut and isinstance(error, asyncio.CancelledError)
        if not is_ours and not (self._state == "gone" and comes_of_leaving(error)):
            self._answer.report(error)
        if self._state == "open":
            if is_ours:
                self.close()
            else:
                self._say_goodbye(1011, "Internal Server Error")
        elif self._is_unanswered:
            self._answer.give_up(503 if is_ours else 500)

    @property
    def _is_unanswered(self) -> bool:
        return self._state in ("connecting", "answered") and self._answer.is_unfinished

    def _say_goodbye(self, code: int, reason: str) -> None:
        self._state = "closing"
        self._order(self._pool.close_connection, self.conn, code, reason)

    def _order(self, order: Callable[..., None], *arguments: object) -> None:
        try:
            order(*arguments)
        except PoolClosedError:
            self.closed(_ABNORMAL, "")


def websocket_scope(request: Request, server: tuple[str, int], state: dict[str, Any]) -> Scope:
    """The scope of an upgrade."""
    scope = scope_of(request, server, state)
    del scope["method"]
    return {
        **scope,
        "type": "websocket",
        "scheme": "wss" if request.secure else "ws",
        "subprotocols": list(request.subprotocols or ()),
        "extensions": {"websocket.http.response": {}},
    }


def _fitting(reason: str) -> str:
    """As much of a close reason as a close frame holds (RFC 6455 §5.5): 123 bytes."""
    return reason.encode()[:123].decode(errors="ignore")


def _accept_headers(headers: Iterable[Iterable[bytes]]) -> list[Header]:
    """The app's fields for the 101.

    Raises:
        ValueError: one is the handshake's own business, or cannot be sent.
    """
    kept: list[Header] = []
    for name, value in headers:
        name, value = bytes(name).lower(), bytes(value)
        if name in _FRAMING or name.startswith(b"sec-websocket-"):
            raise ValueError(f"the header {name!r} is the handshake's own: leave it out")
        if not _NAME.fullmatch(name) or _CONTROL.search(value):
            raise ValueError(f"the header {name!r} cannot be sent: it holds what no header may")
        kept.append((name, value))
    if sum(len(name) + len(value) for name, value in kept) > MAX_HEADERS:
        raise ValueError(f"the headers of websocket.accept are longer than {MAX_HEADERS} bytes")
    return kept
