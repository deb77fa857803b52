"""The ASGI lifespan protocol, for apps that have it."""

import asyncio
from typing import Any

from dscore.errors import LifespanError
from dscore.http.types import ASGI, App, Message
from dscore.log import get_logger
from dscore.patience import DEAF_AFTER, Wait

_log = get_logger("dscore.http")


class Lifespan:
    """One app's start and stop, in a task that lives as long as the app."""

    def __init__(self, app: App, wait: Wait) -> None:
        self._app = app
        self._wait = wait
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[str | None] | None = None
        self._stopped = asyncio.Event()
        self._is_cut = False
        self.state: dict[str, Any] = {}

    async def startup(self) -> None:
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = loop.create_task(self._run())
        self._task.add_done_callback(_take_exception)
        try:
            failure = await self._ready
        except asyncio.CancelledError:
            # It has not come up: there is nothing that it could be told to stop.
            self._cut(self._task)
            raise
        if failure is not None:
            await self._end(self._task)
            raise LifespanError(failure or "the app gave no reason")

    async def shutdown(self, timeout: float) -> None:
        """Tells the app to stop; what is not done after `timeout` seconds is cancelled."""
        task = self._task
        if task is None or task.done():
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        stopped = asyncio.create_task(self._stopped.wait())
        if await self._wait({stopped}, timeout):
            stopped.cancel()
            _log.warning("http_lifespan_cut", seconds=timeout)
            self._cut(task)
        await self._end(task)

    async def _end(self, task: "asyncio.Task[None]") -> None:
        """Sees to it that the app has returned."""
        # One that has said it is complete returns by itself; cancelling that would be noise.
        running = await self._wait({task}, DEAF_AFTER)
        if running:
            self._cut(task)
            running = await self._wait({task}, DEAF_AFTER)
        if running:
            _log.error("http_lifespan_stuck")

    def _cut(self, task: "asyncio.Task[None]") -> None:
        self._is_cut = True
        task.cancel()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": ASGI, "state": self.state}
        try:
            await self._app(scope, self._inbox.get, self._send)
        except BaseException as error:
            if self._is_cut and isinstance(error, asyncio.CancelledError):
                pass  # as it should
            elif self._ready is not None and self._ready.done():
                _log.error("http_lifespan_failed", exc_info=error)
            else:
                # ASGI: an app that raises at once has no lifespan.
                _log.info("http_no_lifespan", reason=repr(error))
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise
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


def _take_exception(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()  # it was logged, and what ends a program was raised by the loop
