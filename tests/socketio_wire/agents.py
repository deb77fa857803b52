"""Agents that speak Socket.IO packet by packet, whatever carries them.

async with agent(here, "polling", "b-1") as one:
    await one.beat()
    assert await one.closed() == GRACEFUL
    assert not one.sent_away
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from protocol.support import Running
from socketio_wire.support import Here, Session, Socket, split_payload
from wire import DEADLINE_SECONDS, Message, Wire

PATH = "/socket.io/"
SID_UNKNOWN = 1
CARRIERS = ("websocket", "polling", "upgraded")
each_carrier = pytest.mark.parametrize("carrier", CARRIERS)
# Polling knows no codes: an Engine.IO close packet is all that can be said.
NO_CODE = (0, "")

Closing = tuple[int, str]


class SocketioWire(Wire):
    """What `Wire` is for the raw dialect. `sent_away` once a DISCONNECT of "/" has come."""

    def __init__(self, carrier: Socket | Session, agent_id: str) -> None:
        # The socket of the base class is used here alone.
        self.agent_id = agent_id
        self.kept: list[Message] = []
        self.carrier = carrier
        self.arrived: list[str | bytes] = []
        self.acks: dict[int, list[Any]] = {}
        self.sent_away = False

    @property
    def has_codes(self) -> bool:
        return isinstance(self.carrier, Socket)

    async def send(self, type_name: str, **fields: object) -> None:
        await self.packet("42" + json.dumps([type_name, fields]))

    async def send_text(self, text: str) -> None:
        """What stands behind `42`, sense or nonsense."""
        await self.packet("42" + text)

    async def packet(self, *packets: str | bytes) -> None:
        """Sends Engine.IO packets as they are."""
        if isinstance(self.carrier, Socket):
            await self.carrier.send(*packets)
        else:
            await self.carrier.post("\x1e".join(map(str, packets)))

    async def join(self, auth: str = "") -> None:
        """Joins "/"."""
        await self.packet(f"40{auth}")
        while not str(packet := await self._packet(DEADLINE_SECONDS)).startswith("40"):
            assert packet in ("2", "6"), packet

    async def refusal(self) -> str:
        """The next connect error, as it came."""
        while not str(packet := await self._packet(DEADLINE_SECONDS)).startswith("44"):
            assert packet in ("2", "6"), packet
        return str(packet)

    async def acked(self, ack: int, text: str) -> list[Any]:
        """Sends an event that asks for an ack, and returns the ack's arguments."""
        await self.packet(f"42{ack}{text}")
        while ack not in self.acks:
            self.kept.append(await self._arrival(DEADLINE_SECONDS, ack=ack))
        return self.acks.pop(ack)

    async def _arrival(self, seconds: float, ack: int | None = None) -> Message:
        while True:
            packet = str(await self._packet(seconds))
            if packet.startswith("42"):
                name, *args = json.loads(packet[2:])
                [fields] = args or [{}]
                return {"type": name, **fields}
            if packet.startswith("43"):
                number, _, data = packet[2:].partition("[")
                self.acks[int(number)] = json.loads("[" + data)
                if int(number) == ack:
                    return {"type": "ack"}
            elif packet == "41":
                self.sent_away = True
            else:
                assert packet in ("2", "6"), packet

    async def _packet(self, seconds: float) -> str | bytes:
        if not self.arrived:
            self.arrived += await asyncio.wait_for(self._next(), seconds)
        packet = self.arrived.pop(0)
        if packet == "2":
            await self.packet("3")
        if packet == "1":
            raise ConnectionClosedOK(None, None)
        return packet

    async def _next(self) -> list[str | bytes]:
        if isinstance(self.carrier, Socket):
            return [await self.carrier.socket.recv()]
        answer = await self.carrier.poll()
        if answer.status == 400 and answer.code == SID_UNKNOWN:
            raise ConnectionClosedOK(None, None)  # it has ended: no frame could tell
        assert answer.status == 200, answer
        return list(split_payload(answer.text, self.carrier.eio))

    async def closed(self, seconds: float = DEADLINE_SECONDS) -> Closing:
        """Waits for the end and keeps what comes before it.

        Returns:
            Code and reason of the close frame; `NO_CODE` over polling.
        """
        try:
            while True:
                self.kept.append(await self._arrival(seconds))
        except ConnectionClosed as end:
            if not self.has_codes:
                return NO_CODE
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")

    async def closes(self, code: int, reason: str, *, sent_away: bool) -> None:
        """Fails unless it ends like this; over polling the code is not to be seen."""
        assert await self.closed() == ((code, reason) if self.has_codes else NO_CODE)
        assert self.sent_away is sent_away

    async def vanish(self) -> None:
        assert isinstance(self.carrier, Socket)
        self.carrier.socket.transport.abort()
        await self.carrier.socket.wait_closed()


@asynccontextmanager
async def carried(
    here: Running, carrier: str, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Socket | Session]:
    """An Engine.IO session on a server's `/socket.io/`."""
    there = Here(here.port, PATH, None)
    if carrier == "websocket":
        async with there.socket(headers=headers) as one:
            yield one
    elif carrier == "polling":
        session = await there.open(**(headers or {}))
        yield session
        # One left behind with no poll to answer would hold the server's end up for close_timeout.
        with suppress(OSError, asyncio.IncompleteReadError):  # the server may have ended before
            await session.post("1")
    else:
        session = await there.open(**(headers or {}))
        async with there.upgraded(session) as one:
            yield one


@asynccontextmanager
async def agent(
    here: Running,
    carrier: str,
    agent_id: str = "b-1",
    *,
    introduce: str = "heartbeat",
    auth: str = "",
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[SocketioWire]:
    """Joins "/", and introduces itself by `heartbeat` or `app_ready`; "" is no introduction."""
    async with carried(here, carrier, headers) as session:
        one = SocketioWire(session, agent_id)
        await one.join(auth)
        if introduce == "heartbeat":
            await one.beat()
        elif introduce == "app_ready":
            await one.introduce()
        yield one


@asynccontextmanager
async def one_by_each_carrier(here: Running, **options: Any) -> AsyncIterator[list[SocketioWire]]:
    """Three agents, named by what carries them."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(agent(here, carrier, carrier, **options))
            for carrier in CARRIERS
        ]
