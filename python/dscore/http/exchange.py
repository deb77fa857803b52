"""One request and its answer."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

from dscore.errors import PoolClosedError
from dscore.http.body import Body
from dscore.http.targets import local
from dscore.http.types import (
    ASGI,
    CERTIFICATE_NAMES,
    PROXY,
    App,
    BodyPart,
    Header,
    Message,
    Request,
    Responder,
    Scope,
)
from dscore.log import get_logger

HIGH_WATER = 65_536
"""Bytes of one answer that may wait in the core's outbox before the app is held back."""

_PROBLEM = [
    (b"content-type", b"application/problem+json"),
    (b"cache-control", b"no-store"),
]
_DETAIL = {
    500: ("Internal Server Error", "The server failed to answer this request; its log says why."),
    503: ("Service Unavailable", "The server stopped before this request was answered."),
}
_OF_CONNECTION = frozenset({b"transfer-encoding", b"connection", b"keep-alive"})
_BUSY = ("Service Unavailable", "Too many requests at once; try again in a moment.")
_BUSY_RETRY_AFTER = b"2"

_log = get_logger("dscore.http")


class ClientLeftError(OSError):
    """What `send` raises when the answer has no reader any more (ASGI 2.4)."""


class Exchange:
    """One request and its answer.

    state     | http.response.start | http.response.body     | app returns | app raises | receive
    ----------|---------------------|------------------------|-------------|------------|-----------
    waiting   | started             | error                  | 500         | 500        | waits
    started   | error               | sent: streaming, done  | 500         | 500        | waits
    streaming | error               | sent: streaming, done  | cut         | cut        | waits
    done      | error               | error                  | -           | logged     | disconnect
    gone      | OSError             | OSError                | -           | logged     | disconnect

    The start is held back until the first body, so that most answers are one call and one write;
    that is why `started` can still become a 500. A client that leaves cancels nothing (ASGI 2.4): a
    handler may be in the middle of a transaction. It is told when it asks, or sends. Only the end
    of the server cancels it (`cut`).
    """

    __slots__ = (
        "_answered",
        "_body",
        "_headers",
        "_is_cut",
        "_is_head",
        "_pool",
        "_since",
        "_state",
        "_status",
        "_unsent",
        "_waiter",
        "conn",
        "request",
    )

    def __init__(
        self,
        answered: "Callable[[Exchange], None]",
        pool: Responder,
        request: Request,
        waits: Callable[[Request, bool], None] = lambda request, is_waited_for: None,
    ) -> None:
        """
        Args:
            answered: hears that the answer is complete.
            waits: hears that a part of the body is waited for, and that it has come.
        """
        self._answered = answered
        self._pool = pool
        self.request = request
        self._body = Body(pool, request, waits)
        self._is_head = request.method == "HEAD"
        self._state = "waiting"
        self._status = 0
        self._headers: list[Header] = []
        self._unsent = 0  # bytes handed over since the outbox was last known to be low
        self._waiter: asyncio.Future[None] | None = None
        self._is_cut = False
        self._since = time.monotonic()
        self.conn = request.conn

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
            if self.is_unfinished:
                raise RuntimeError("the app returned without a complete answer")
        except BaseException as error:
            self._failed(error)
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise

    def _failed(self, error: BaseException) -> None:
        if self._is_cut and isinstance(error, asyncio.CancelledError):
            self.give_up(503)
            return
        if self._state == "gone" and comes_of_leaving(error):
            return
        self.report(error)
        self.give_up(500)

    def report(self, error: BaseException) -> None:
        """Says that the app has failed."""
        _log.error(
            "http_request_failed",
            method=self.request.method,
            target=self.request.target,
            exc_info=error,
        )

    @property
    def is_unfinished(self) -> bool:
        """Whether an answer is owed, or a part of one."""
        return self._state not in ("done", "gone")

    def client_left(self) -> None:
        """Tells the app, which goes on: what it is in the middle of is its own business."""
        self._state = "gone"
        self._body.end()
        self.has_room()

    def part(self, event: BodyPart) -> None:
        """The next part of the request's body has come."""
        self._body.push(event.data, more=event.more)

    def cut(self, task: "asyncio.Task[None]", *, is_deaf: bool = False) -> None:
        """Cancels what has gone on for too long, and says so.

        Args:
            is_deaf: it was cancelled before, and went on.
        """
        is_answered = self._state == "done"
        report_cut(self.request, self._since, is_answered=is_answered, is_deaf=is_deaf)
        self._is_cut = True
        task.cancel()

    def has_room(self) -> None:
        self._unsent = 0
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        try:
            return await self._body.receive()
        except PoolClosedError:
            return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._state == "gone":
            raise ClientLeftError("the client has left")
        kind = message["type"]
        if kind == "http.response.start" and self._state == "waiting":
            self._status = message["status"]
            self._headers = _response_headers(message.get("headers", ()))
            self._state = "started"
        elif kind == "http.response.body" and self._state in ("started", "streaming"):
            try:
                await self._send_body(message.get("body", b""), bool(message.get("more_body")))
            except PoolClosedError:
                self._state = "gone"
                raise ClientLeftError("the server has closed its connections") from None
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r} while {self._state}")

    async def _send_body(self, body: bytes, more: bool) -> None:
        # RFC 9110 §9.3.2: no content after HEAD, but the headers that GET would have had.
        if self._is_head:
            body = b""
            if more and self._state == "streaming":
                return
        self._unsent += len(body)
        notify = more and self._unsent > HIGH_WATER
        if notify:
            self._waiter = asyncio.get_running_loop().create_future()
        if self._state == "started":
            self._pool.respond(
                self.conn,
                self._status,
                self._headers,
                bytes(body),
                more=more,
                notify=notify,
            )
        elif body or not more:  # an empty chunk would end a chunked body
            self._pool.respond_more(self.conn, bytes(body), more=more, notify=notify)
        self._state = "streaming" if more else "done"
        if not more:
            self._body.end()
            self._answered(self)
        elif notify and self._waiter is not None:
            await self._waiter
            if self._state == "gone":
                raise ClientLeftError("the client has left")

    def give_up(self, status: int) -> None:
        """Ends what the app left unfinished: with a problem if nothing was sent, else a cut."""
        try:
            if self._state in ("waiting", "started"):
                headers = _response_headers(_PROBLEM)
                document = b"" if self._is_head else _problem(status)
                self._pool.respond(self.conn, status, headers, document)
            elif self._state == "streaming":
                self._pool.abort(self.conn)
        except PoolClosedError:
            self._state = "gone"
        self._body.end()
        self._answered(self)


def report_cut(request: Request, since: float, *, is_answered: bool, is_deaf: bool) -> None:
    """Says that an app is cancelled, or goes on though it was."""
    say = _log.error if is_deaf else _log.warning
    say(
        "http_request_stuck" if is_deaf else "http_request_cut",
        method=request.method,
        path=request.target.partition("?")[0],
        seconds=round(time.monotonic() - since, 3),
        answered=is_answered,
    )


def comes_of_leaving(error: BaseException) -> bool:
    """Whether an app has let our own error through, or raised one of its own because of it:
    Starlette makes a ClientDisconnect of it, a task group an exception group."""
    rest, seen = [error], set[int]()
    while rest:
        one = rest.pop()
        if isinstance(one, ClientLeftError | ClientDisconnect | WebSocketDisconnect):
            return True
        if id(one) not in seen:
            seen.add(id(one))
            causes = (one.__cause__, one.__context__, *getattr(one, "exceptions", ()))
            rest.extend(cause for cause in causes if isinstance(cause, BaseException))
    return False


def refuse_busy(pool: Responder, request: Request) -> None:
    """Answers a request for which there is no room.

    Raises:
        PoolClosedError: there is none to answer any more.
    """
    headers = _response_headers([*_PROBLEM, (b"retry-after", _BUSY_RETRY_AFTER)])
    document = b"" if request.method == "HEAD" else _document(503, *_BUSY)
    pool.respond(request.conn, 503, headers, document)


def scope_of(request: Request, server: tuple[str, int], state: dict[str, Any]) -> Scope:
    path, _, query = local(request.target).partition("?")
    return {
        "type": "http",
        "asgi": ASGI,
        "http_version": request.version,
        "method": request.method,
        "scheme": "https" if request.secure else "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": request.headers,
        "client": (request.peer, request.peer_port),
        "server": server,
        "state": state.copy(),
        "extensions": {},
        PROXY: request.proxy,
        CERTIFICATE_NAMES: request.certificate_names,
    }


def _response_headers(headers: Iterable[Iterable[bytes]]) -> list[Header]:
    """The app's headers less those that are the connection's own business, plus our name unless the
    app has another. What else every answer says is the core's to add: the date, and what guards its
    reader."""
    kept = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    kept = [header for header in kept if header[0] not in _OF_CONNECTION]
    if not any(name == b"server" for name, _ in kept):
        kept.append((b"server", b"dscore"))
    return kept


def _problem(status: int) -> bytes:
    return _document(status, *_DETAIL[status])


def _document(status: int, title: str, detail: str) -> bytes:
    return orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})
