"""The bridge: a complete request of the core to an ASGI app, and the app's answer back.

One task for each request, none for a connection. The core reads the next request of a connection
only after the answer to this one, so an exchange owns its `conn` from its start to the last byte of
its answer; what the app does after that (background tasks) no longer belongs to the connection, and
its client's going does not cancel it.

All methods are called on the event loop's thread.
"""

import asyncio

from dscore.http.exchange import HIGH_WATER, Exchange, scope_of
from dscore.http.lifespan import Lifespan, LifespanError
from dscore.http.types import App, OfConnection, Request, Responder

__all__ = ["HIGH_WATER", "App", "Bridge", "LifespanError"]


class Bridge:
    """Runs an ASGI app over the core.

    Call `startup` before the first request and `shutdown` after `drain_requests`.
    """

    def __init__(self, pool: Responder, app: App, *, shutdown_timeout: float = 5.0) -> None:
        self._pool = pool
        self._app = app
        self._server = pool.address()
        self._exchanges: dict[int, Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lifespan = Lifespan(app, shutdown_timeout)

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
        exchange = Exchange(self._answered, self._pool, request)
        self._exchanges[request.conn] = exchange
        scope = scope_of(request, self._server, self._lifespan.state)
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

    def _answered(self, exchange: Exchange) -> None:
        if self._exchanges.get(exchange.conn) is exchange:
            del self._exchanges[exchange.conn]
