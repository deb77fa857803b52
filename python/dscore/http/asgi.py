"""The bridge: a complete request of the core to an ASGI app, and the app's answer back.

One task for each request, none for a connection. The core reads the next request of a connection
only after the answer to this one, so an exchange owns its `conn` from its start to the last byte of
its answer; what the app does after that (background tasks) no longer belongs to the connection, and
its client's going does not cancel it.

All methods are called on the event loop's thread.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from email.utils import formatdate
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

import orjson

from dscore.errors import PoolClosedError
from dscore.log import get_logger

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

HIGH_WATER = 65_536
"""Bytes of one answer that may wait in the core's outbox before the app is held back."""

_ASGI = {"version": "3.0", "spec_version": "2.4"}
_PROBLEM = [(b"content-type", b"application/problem+json")]
_DETAIL = {
    500: ("Internal Server Error", "The server failed to answer this request; its log says why."),
    503: ("Service Unavailable", "The server stopped before this request was answered."),
}

_log = get_logger("dscore.http")


class Responder(Protocol):
    """The part of `_core.ReactorPool` that answers requests."""

    def respond(
        self,
        conn: int,
        status: int,
        headers: Sequence[Header],
        body: bytes,
        *,
        more: bool = False,
        notify: bool = False,
    ) -> None: ...
    def respond_more(self, conn: int, body: bytes, *, more: bool, notify: bool = False) -> None: ...
    def abort(self, conn: int) -> None: ...
    def address(self) -> tuple[str, int]: ...


class Request(Protocol):
    """What the bridge reads of `_core.HttpRequest`."""

    conn: int
    method: str
    target: str
    version: str
    headers: list[Header]
    body: bytes
    peer: str
    peer_port: int


class OfConnection(Protocol):
    """What the bridge reads of `_core.HttpGone` and `_core.Drained`."""

    conn: int


class LifespanError(Exception):
    """The app said that it cannot start."""


class Bridge:
    """Runs an ASGI app over the core.

    Call `startup` before the first request and `shutdown` after `drain_requests`.
    """

    def __init__(self, pool: Responder, app: App, *, shutdown_timeout: float = 5.0) -> None:
        self._pool = pool
        self._app = app
        self._server = pool.address()
        self._exchanges: dict[int, _Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lifespan = _Lifespan(app, shutdown_timeout)

    async def startup(self) -> None:
        """Starts the app (ASGI lifespan). An app without a lifespan is fine.

        Raises:
            LifespanError: The app said that it cannot start.
        """
        await self._lifespan.startup()

    async def shutdown(self) -> None:
        """Stops the app. Never raises: what goes wrong is logged."""
        await self._lifespan.shutdown()

    def handle(self, request: Request) -> None:
        """Starts the exchange of a request."""
        exchange = _Exchange(self, self._pool, request)
        self._exchanges[request.conn] = exchange
        scope = _scope(request, self._server, self._lifespan.state)
        task = asyncio.get_running_loop().create_task(exchange.run(self._app, scope))
        exchange.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def gone(self, event: OfConnection) -> None:
        """The client left: its exchange, if it is not answered yet, is cancelled."""
        exchange = self._exchanges.pop(event.conn, None)
        if exchange is not None:
            exchange.client_left()

    def drained(self, event: OfConnection) -> None:
        """The outbox has room again: the app may go on. Events of WebSockets are ignored."""
        exchange = self._exchanges.get(event.conn)
        if exchange is not None:
            exchange.has_room()

    async def drain_requests(self, timeout: float) -> int:
        """Waits for the requests that are being answered; cancels those that take longer.

        Returns:
            How many had to be cancelled.
        """
        tasks = set(self._tasks)
        if not tasks:
            return 0
        _, late = await asyncio.wait(tasks, timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1.0)  # an app may be deaf to its cancellation
        return len(late)

    def _answered(self, exchange: "_Exchange") -> None:
        if self._exchanges.get(exchange.conn) is exchange:
            del self._exchanges[exchange.conn]


class _Exchange:
    """One request and its answer.

    state     | http.response.start | http.response.body     | app returns | app raises
    ----------|---------------------|------------------------|-------------|-----------
    waiting   | started             | error                  | 500         | 500
    started   | error               | sent: streaming, done  | 500         | 500
    streaming | error               | sent: streaming, done  | cut         | cut
    done      | error               | error                  | -           | logged
    gone      | OSError             | OSError                | -           | -

    The start is held back until the first body, so that most answers are one call and one write;
    that is why `started` can still become a 500.
    """

    __slots__ = (
        "_body",
        "_bridge",
        "_headers",
        "_is_head",
        "_pool",
        "_request",
        "_state",
        "_status",
        "_unsent",
        "_waiter",
        "conn",
        "task",
    )

    def __init__(self, bridge: Bridge, pool: Responder, request: Request) -> None:
        self._bridge = bridge
        self._pool = pool
        self._request = request
        self._body: bytes | None = request.body
        self._is_head = request.method == "HEAD"
        self._state = "waiting"
        self._status = 0
        self._headers: list[Header] = []
        self._unsent = 0  # bytes handed over since the outbox was last known to be low
        self._waiter: asyncio.Future[None] | None = None
        self.conn = request.conn
        self.task: asyncio.Task[None] | None = None

    async def run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
            if self._state not in ("done", "gone"):
                raise RuntimeError("the app returned without a complete answer")
        except asyncio.CancelledError:
            self._give_up(503)
        except Exception as error:
            if self._state == "gone" and isinstance(error, OSError):
                return  # the app let our own "the client has left" through
            _log.error(
                "http_request_failed",
                method=self._request.method,
                target=self._request.target,
                exc_info=error,
            )
            self._give_up(500)

    def client_left(self) -> None:
        self._state = "gone"
        if self.task is not None:
            self.task.cancel()

    def has_room(self) -> None:
        self._unsent = 0
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._state not in ("done", "gone"):
            # There is nothing to come but the client's going, which cancels this task.
            await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self._state == "gone":
            raise OSError("the client has left")
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
                raise OSError("the server has closed its connections") from None
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
            self._bridge._answered(self)
        elif notify and self._waiter is not None:
            await self._waiter

    def _give_up(self, status: int) -> None:
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
        self._bridge._answered(self)


class _Lifespan:
    """The ASGI lifespan protocol, for apps that have it."""

    def __init__(self, app: App, shutdown_timeout: float) -> None:
        self._app = app
        self._shutdown_timeout = shutdown_timeout
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[str | None] | None = None
        self._stopped = asyncio.Event()
        self.state: dict[str, Any] = {}

    async def startup(self) -> None:
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = loop.create_task(self._run())
        failure = await self._ready
        if failure is not None:
            await asyncio.wait({self._task}, timeout=1.0)
            raise LifespanError(failure or "the app gave no reason")

    async def shutdown(self) -> None:
        if self._task is None or self._task.done():
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        try:
            await asyncio.wait_for(self._stopped.wait(), self._shutdown_timeout)
        except asyncio.TimeoutError:
            _log.warning("http_lifespan_timeout", timeout=self._shutdown_timeout)
        # An app that has said it is complete returns by itself; cancelling that would be noise.
        _, running = await asyncio.wait({self._task}, timeout=0.1)
        for task in running:
            task.cancel()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": _ASGI, "state": self.state}
        try:
            await self._app(scope, self._inbox.get, self._send)
        except Exception as error:
            # ASGI: an app that raises at once has no lifespan. One that raises later is broken.
            if self._ready is not None and self._ready.done():
                _log.error("http_lifespan_failed", exc_info=error)
        finally:
            self._settle(None)
            self._stopped.set()

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._settle(None)
        elif kind == "lifespan.startup.failed":
            self._settle(str(message.get("message", "")))
        elif kind == "lifespan.shutdown.complete":
            self._stopped.set()
        elif kind == "lifespan.shutdown.failed":
            _log.error("http_lifespan_failed", reason=str(message.get("message", "")))
            self._stopped.set()

    def _settle(self, failure: str | None) -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_result(failure)


def _scope(request: Request, server: tuple[str, int], state: dict[str, Any]) -> Scope:
    target = request.target
    # RFC 9112 §3.2.2: a server must take the absolute form too.
    if not target.startswith("/") and "://" in target:
        parts = urlsplit(target)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": request.version,
        "method": request.method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": request.headers,
        "client": (request.peer, request.peer_port),
        "server": server,
        "state": state.copy(),
        "extensions": {},
    }


def _response_headers(headers: Iterable[Iterable[bytes]]) -> list[Header]:
    """The app's headers less those that are the connection's own business, plus Server and Date."""
    kept: list[Header] = []
    names = set()
    for name, value in headers:
        name = bytes(name).lower()
        if name not in (b"transfer-encoding", b"connection", b"keep-alive"):
            kept.append((name, bytes(value)))
            names.add(name)
    if b"server" not in names:
        kept.append((b"server", b"dscore"))
    if b"date" not in names:
        kept.append((b"date", _date()))
    return kept


def _problem(status: int) -> bytes:
    title, detail = _DETAIL[status]
    return orjson.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail})


_date_of: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """The Date header, made once a second."""
    global _date_of
    now = int(time.time())
    if _date_of[0] != now:
        _date_of = (now, formatdate(now, usegmt=True).encode())
    return _date_of[1]
