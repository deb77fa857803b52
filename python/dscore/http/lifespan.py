"""The ASGI lifespan protocol, for apps that have it."""

import asyncio
from typing import Any

from dscore.http.types import ASGI, App, Message
from dscore.log import get_logger

_log = get_logger("dscore.http")


class LifespanError(Exception):
    """The app said that it cannot start."""


class Lifespan:
    """One app's start and stop, in a task that lives as long as the app."""

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
        scope = {"type": "lifespan", "asgi": ASGI, "state": self.state}
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
