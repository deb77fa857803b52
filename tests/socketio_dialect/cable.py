"""The cable between clients and a server: it can be cut, and an upgrade can be stopped half way.

async with cable_to(port) as cable:
    one = await clients.introduce("js-4", cable.url)
    cable.cut()
    await one.connected()  # again
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK_BYTES = 65_536
# A WebSocket for a session that exists: an upgrade, not a connection by WebSocket alone.
UPGRADE = re.compile(
    rb"GET [^ ]*transport=websocket[^ ]*&sid=|GET [^ ]*&sid=[^ ]*transport=websocket"
)
STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE)


class Cable:
    """A relay on loopback."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        self.port = 0
        self.statuses: list[int] = []
        """Of all HTTP responses that have come through."""
        self.held = 0
        """Upgrades that wait for `release`."""
        self._hold_after: int | None = None
        self._released = asyncio.Event()
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Resets every connection; new ones are let through."""
        for end in self._ends:
            end.transport.abort()

    def hold_upgrades(self, after: int) -> None:
        """Stops what clients send on an upgrade after so many pieces: 0 before its request, 1 after
        its request, 2 after its probe."""
        self._hold_after = after
        self._released.clear()

    def release(self) -> None:
        self._hold_after = None
        self._released.set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = {writer}
        self._ends.add(writer)
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.server_port)
            ends.add(onward)
            self._ends.add(onward)
            answers = asyncio.create_task(self._down(there, writer))
            await self._up(reader, onward)
            await answers
        except OSError:
            pass  # either end may be gone at any moment
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()
            self._tasks.discard(task)

    async def _up(self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
        pieces = 0
        is_upgrade = False
        while piece := await reader.read(CHUNK_BYTES):
            is_upgrade = is_upgrade or UPGRADE.match(piece) is not None
            if is_upgrade and self._hold_after is not None and pieces >= self._hold_after:
                self.held += 1
                await self._released.wait()
                self.held -= 1
            pieces += 1
            onward.write(piece)
            await onward.drain()
        if onward.can_write_eof():
            onward.write_eof()

    async def _down(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await there.read(CHUNK_BYTES):
                self.statuses += map(int, STATUS.findall(piece))
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.transport.abort()

    async def close(self) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def cable_to(server_port: int) -> AsyncIterator[Cable]:
    """A cable that ends at this port, whoever listens there at the moment."""
    cable = Cable(server_port)
    server = await asyncio.start_server(cable.take, "127.0.0.1", 0)
    cable.port = server.sockets[0].getsockname()[1]
    try:
        yield cable
    finally:
        server.close()
        await cable.close()
