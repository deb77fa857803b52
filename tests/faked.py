"""A server on the fake core, and the few steps most of its tests begin with."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import fake_core
from dscore.config import Config
from dscore.policy import Policy
from dscore.server import Server
from dscore.store import Store
from fake_core import ReactorPool, introduction


class FakeServer(Server):
    _core = sys.modules["fake_core"]

    @property
    def pool(self) -> ReactorPool:
        return cast(ReactorPool, self._running.live.pool)

    async def happen(self, *events: object) -> None:
        """Lets things happen, until the server has dealt with them and with what they set off."""
        self.pool.push(*events)
        await eventually(lambda: self.pool.is_idle and not self._running.loop)
        for _ in range(5):
            await asyncio.sleep(0)

    async def introduce(self, conn: int, agent_id: str, **fields: object) -> None:
        """An agent connects and says app_ready."""
        ready = introduction(conn, "app_ready", instance_id=agent_id, **fields)
        await self.happen(fake_core.Opened(conn), ready)

    async def join(self, conn: int, auth: bytes = b"{}") -> None:
        """A Socket.IO client connects to "/"."""
        opened = fake_core.Opened(conn, endpoint="socketio", path="/socket.io/")
        await self.happen(opened, fake_core.Connected(conn, "/", auth))

    async def watch(self, conn: int, **fields: object) -> None:
        await self.happen(fake_core.Opened(conn), introduction(conn, "watch", **fields))

    def told(self, conn: int, kind: str | None = None) -> list[dict[str, Any]]:
        """What a connection was sent, of one type if named; what is held back of a storm too."""
        if self._parts is not None:
            self._parts.watchers.flush()
        return [one for one in self.pool.told(conn) if kind is None or one["type"] == kind]


@asynccontextmanager
async def running(
    settings: dict[str, Any] | None = None,
    *,
    policy: Policy | None = None,
    store: Store | None = None,
) -> AsyncIterator[FakeServer]:
    """A started server with these settings, closed afterwards."""
    config = Config.model_validate(settings or {})
    async with FakeServer(config, policy=policy, store=store) as server:
        assert isinstance(server, FakeServer)
        yield server


async def eventually(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Turns the loop until a condition holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError("what was waited for has not happened")
        await asyncio.sleep(0.001)
