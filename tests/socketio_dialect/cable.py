"""The cable between clients and a server: it can be cut, and an upgrade can be stopped half way.

async with cable_to(port) as cable:
    one = await clients.introduce("js-4", cable.url)
    cable.cut()
    await one.connected()  # again
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from protocol.support import eventually
from stream_server import stream_server

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
        self.close_codes: list[int] = []
        """Of all close frames from the server; 1005 for one without a code."""
        self.held: list[int] = []
        """Of each upgrade that is stopped: after how many pieces."""
        self._hold_after: int | None = None
        self._changed = asyncio.Event()
        self._ends: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Resets every connection; new ones are let through."""
        for end in self._ends:
            end.transport.abort()

    async def brings_close(self, code: int, count: int = 1) -> None:
        """Waits until so many WebSockets were closed by the server with this code."""

        async def it_has() -> bool:
            return self.close_codes.count(code) == count

        try:
            await eventually(it_has)
        except AssertionError as error:
            raise AssertionError(f"not {count} of {code}, but {self.close_codes}") from error

    def hold_upgrades(self, after: int) -> None:
        """Stops what clients send on an upgrade after so many pieces: 0 before its request, 1 after
        its request, 2 after its probe. Lets those go on that were stopped before that."""
        self._let_go(after)

    def release(self) -> None:
        """Lets every upgrade go on."""
        self._let_go(None)

    def _let_go(self, after: int | None) -> None:
        self._hold_after = after
        self._changed.set()
        self._changed = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        ends = {writer}
        self._ends.add(writer)
        answers: asyncio.Task[None] | None = None
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.server_port)
            ends.add(onward)
            self._ends.add(onward)
            answers = asyncio.create_task(self._down(there, writer))
            await self._up(reader, onward)
            await answers
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()
            if answers is not None:
                await asyncio.wait({answers})

    async def _up(self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter) -> None:
        pieces = 0
        is_upgrade = False
        while piece := await reader.read(CHUNK_BYTES):
            if not is_upgrade and UPGRADE.match(piece):
                # Maybe on a connection that has brought other requests before.
                is_upgrade, pieces = True, 0
            while is_upgrade and self._hold_after is not None and pieces >= self._hold_after:
                self.held.append(pieces)
                await self._changed.wait()
                self.held.remove(pieces)
            pieces += 1
            onward.write(piece)
            await onward.drain()
        if onward.can_write_eof():
            onward.write_eof()

    async def _down(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames: bytearray | None = None
        try:
            while piece := await there.read(CHUNK_BYTES):
                if frames is None:
                    statuses = [int(status) for status in STATUS.findall(piece)]
                    self.statuses += statuses
                    if 101 in statuses:
                        frames = bytearray(piece.partition(b"\r\n\r\n")[2])
                else:
                    frames += piece
                if frames is not None:
                    self.close_codes += close_codes(frames)
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.transport.abort()


def close_codes(frames: bytearray) -> Iterator[int]:
    """Takes away the whole frames of a server (RFC 6455 §5.2), and tells of those that close."""
    while len(frames) >= 2:
        opcode, size, begin = frames[0] & 0x0F, frames[1], 2
        if size >= 126:
            begin = 4 if size == 126 else 10
            size = int.from_bytes(frames[2:begin], "big")
        if len(frames) < begin or len(frames) < begin + size:
            return
        if opcode == 8:
            yield int.from_bytes(frames[begin : begin + 2], "big") if size else 1005
        del frames[: begin + size]


@asynccontextmanager
async def cable_to(server_port: int) -> AsyncIterator[Cable]:
    """A cable that ends at this port, whatever listens there at the moment."""
    cable = Cable(server_port)
    async with stream_server(cable.take) as cable.port:
        yield cable
