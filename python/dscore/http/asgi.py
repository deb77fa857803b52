"""The bridge: a request of the core to an ASGI app, and the app's answer back.

One task for each request, none for a connection. The core reads the next request of a connection
only after the answer to this one, so an exchange owns its `conn` from its start to the last byte of
its answer; what the app does after that (background tasks) no longer belongs to the connection. A
client's going cancels nothing: the app is told (`http.disconnect`), and may be in the middle of
something that has to be ended well.

All methods are called on the event loop's thread.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import TypeAlias

from dscore.errors import PoolClosedError
from dscore.http.exchange import HIGH_WATER, Exchange, refuse_busy, scope_of
from dscore.http.lanes import Counts, Lanes
from dscore.http.lifespan import Lifespan
from dscore.http.targets import path_of
from dscore.http.types import (
    STEPS_ASIDE,
    App,
    BodyPart,
    GuestClosed,
    GuestMessage,
    OfConnection,
    Request,
    Responder,
)
from dscore.http.websocket import WebSocket, websocket_scope
from dscore.patience import DEAF_AFTER, Wait, wait

__all__ = ["HIGH_WATER", "App", "Bridge"]

Served: TypeAlias = Exchange | WebSocket


class Bridge:
    """Runs an ASGI app over the core.

    Call `startup` before the first request and `shutdown` after `drain_requests`.
    """

    def __init__(
        self,
        pool: Responder,
        app: App,
        wait: Wait = wait,
        is_ours: Callable[[str], bool] = lambda path: True,
    ) -> None:
        """
        Args:
            wait: for requests, and for the app's end.
            is_ours: whether a path, as it was sent, is a page of dscore and not the program's app.
        """
        self._wait_for = wait
        self._pool = pool
        self._app = app
        self._server = pool.address()
        # Then each connection has come in on an address of its own.
        self._listens_everywhere = ip_address(self._server[0]).is_unspecified
        self._exchanges: dict[int, Served] = {}
        self._is_ours = is_ours
        self._lanes = Lanes(self._start, self._refuse, is_ours)
        self._tasks: dict[asyncio.Task[None], Served] = {}
        self._lifespan = Lifespan(app, self._wait_for)

    async def startup(self) -> None:
        """Starts the app (ASGI lifespan). An app without a lifespan is fine.

        Raises:
            LifespanError: The app said that it cannot start.
        """
        await self._lifespan.startup()

    async def shutdown(self, timeout: float) -> None:
        """Stops the app; what takes longer than `timeout` seconds is cancelled. Never raises: what
        goes wrong is logged."""
        await self._lifespan.shutdown(timeout)

    def handle(self, request: Request) -> None:
        """Starts the exchange of a request, as soon as it is its turn."""
        self._lanes.submit(request)

    def counts(self) -> Counts:
        """How many requests run and wait, and how many there was no room for."""
        return self._lanes.counts()

    def _start(self, request: Request) -> None:
        server = self._server
        if self._listens_everywhere:
            server = (request.local, request.local_port)
        state = self._lifespan.state
        exchange: Served
        # Our own pages have none: they are asked as if nothing was said of a WebSocket.
        if request.subprotocols is None or self._is_ours(path_of(request.target)):
            waits = self._lanes.waits
            exchange = Exchange(self._answered, self._pool, request, waits)
            scope = scope_of(request, server, state)
        else:
            exchange = WebSocket(self._answered, self._accepted, self._pool, request)
            scope = websocket_scope(request, server, state)
        self._exchanges[request.conn] = exchange
        scope[STEPS_ASIDE] = partial(self._lanes.ended, request)
        task = asyncio.get_running_loop().create_task(exchange.run(self._app, scope))
        self._tasks[task] = exchange
        task.add_done_callback(self._ended)

    def _refuse(self, request: Request) -> None:
        with suppress(PoolClosedError):
            refuse_busy(self._pool, request)

    def gone(self, event: OfConnection) -> None:
        """The client left: its exchange, if it is not answered yet, is told."""
        self._lanes.left(event.conn)
        exchange = self._exchanges.pop(event.conn, None)
        if exchange is not None:
            exchange.client_left()

    def part(self, event: BodyPart) -> None:
        """The part of a body has come that was asked for."""
        exchange = self._exchanges.get(event.conn)
        if exchange is not None:
            exchange.part(event)

    def message(self, event: GuestMessage) -> None:
        """A client has sent a message on a WebSocket of the app's."""
        socket = self._exchanges.get(event.conn)
        if isinstance(socket, WebSocket):
            socket.message(event)

    def closed(self, event: GuestClosed) -> None:
        """A WebSocket of the app's has ended."""
        socket = self._exchanges.pop(event.conn, None)
        if isinstance(socket, WebSocket):
            socket.closed(event.code, event.reason)

    def drained(self, event: OfConnection) -> None:
        """The outbox has room again: the app may go on. Events of agents are ignored."""
        exchange = self._exchanges.get(event.conn)
        if exchange is not None:
            exchange.has_room()

    async def drain_requests(self, timeout: float) -> int:
        """Closes WebSockets, and waits for them and for the requests that are in progress,
        background tasks included. What takes longer than `timeout` seconds is cancelled, and named
        in the log.

        Returns:
            How many had to be cancelled.
        """
        self._lanes.refuse_waiting()
        for socket in list(self._exchanges.values()):
            if isinstance(socket, WebSocket):
                socket.close()
        late = await self._wait(set(self._tasks), timeout)
        for task in late:
            self._tasks[task].cut(task)
        # An app may be deaf to its cancellation.
        for task in await self._wait(late, DEAF_AFTER):
            self._tasks[task].cut(task, is_deaf=True)
        return len(late)

    async def _wait(
        self, tasks: set["asyncio.Task[None]"], timeout: float
    ) -> set["asyncio.Task[None]"]:
        """Those that have not ended in time."""
        # A handler may be what closes the server: it cannot wait for itself.
        tasks = {task for task in tasks if task is not asyncio.current_task()}
        if not tasks:
            return tasks
        late = await self._wait_for(tasks, timeout)
        return late & self._tasks.keys()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._lanes.ended(self._tasks.pop(task).request)
        if not task.cancelled():
            task.exception()  # it was logged, and what ends a program was raised by the loop

    def _accepted(self, socket: WebSocket) -> None:
        # How long it stays is no business of the requests that wait.
        self._lanes.ended(socket.request)

    def _answered(self, exchange: Served) -> None:
        if self._exchanges.get(exchange.conn) is exchange:
            del self._exchanges[exchange.conn]
            self._lanes.ended(exchange.request)
