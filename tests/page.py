"""A page that looks at a fleet from outside: it watches, and reads figures."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from websockets.exceptions import WebSocketException

from serving import Serving
from waiting import wait_until
from wire import agent


class Page:
    """A watcher on a thread of its own, for as long as its processes live and between them."""

    def __init__(self, url: str) -> None:
        self.offline: list[dict[str, Any]] = []
        """Agents that were said to be offline, by a snapshot or by a change."""
        self.snapshots: list[int] = []
        """Agents in each snapshot so far, one for each time it has come."""
        self._url = url
        self._closing = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()))
        self._thread.start()

    async def _watch(self) -> None:
        while not self._closing.is_set():
            with suppress(OSError, WebSocketException):
                async with agent(self._url, "page", introduce=False) as one:
                    await one.send("watch", snapshot=True)
                    self.snapshots.append(0)
                    while not self._closing.is_set():
                        with suppress(TimeoutError):
                            self._note(await one.recv(0.2))
            await asyncio.sleep(0.05)

    def _note(self, message: dict[str, Any]) -> None:
        self.snapshots[-1] += bool(message.get("snapshot"))
        if message.get("status") == "offline":
            self.offline.append(message)

    def listen(self, seconds: float) -> None:
        """Lets time pass, unless an agent is said to be offline."""
        until = time.monotonic() + seconds
        wait_until(lambda: self.offline or time.monotonic() > until, "end", seconds + 10)
        assert self.offline == []

    def close(self) -> None:
        self._closing.set()
        self._thread.join()


@contextmanager
def watching(serving: Serving) -> Iterator[Page]:
    page = Page(serving.ws)
    try:
        yield page
    finally:
        page.close()


def figures(serving: Serving) -> dict[str, int]:
    status, body = serving.get("/api/v1/status")
    assert status == 200
    core: dict[str, int] = json.loads(body)["core"]
    return core


def connected(serving: Serving) -> int:
    """Agents and watchers."""
    _, body = serving.get("/deepstream/health")
    return int(json.loads(body)["websocket"]["authenticated_connections"])
