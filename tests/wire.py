"""A raw agent for tests: one WebSocket that says exactly what the test tells it to.

async with agent(serving.ws, "a-1") as a:
    order = await a.recv_type("terminate_app")
    await a.answer(order)
    assert await a.closed() == (1000, "Client terminated")
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

# Every wait of a test ends; nothing on loopback takes this long.
DEADLINE_SECONDS = 30.0

Message = dict[str, Any]


class Wire:
    """A connection that speaks the raw dialect.

    What arrives while another type is waited for is kept, in order.
    """

    def __init__(self, socket: ClientConnection, agent_id: str) -> None:
        self.socket = socket
        self.agent_id = agent_id
        self.kept: list[Message] = []

    async def send(self, type_name: str, **fields: object) -> None:
        """Sends one message of this type."""
        await self.socket.send(json.dumps({"type": type_name, **fields}))

    async def send_text(self, text: str) -> None:
        """Sends a text message as it is, sense or nonsense."""
        await self.socket.send(text)

    async def recv(self, seconds: float = DEADLINE_SECONDS) -> Message:
        """The next message, kept ones first."""
        if self.kept:
            return self.kept.pop(0)
        return await self._arrival(seconds)

    async def recv_type(self, type_name: str, seconds: float = DEADLINE_SECONDS) -> Message:
        """The next message of this type."""
        for at, message in enumerate(self.kept):
            if message["type"] == type_name:
                return self.kept.pop(at)
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            left = deadline - asyncio.get_running_loop().time()
            try:
                message = await self._arrival(left)
            except TimeoutError as error:
                raise TimeoutError(f"{self.agent_id}: no {type_name}, but {self.kept}") from error
            if message["type"] == type_name:
                return message
            self.kept.append(message)

    async def _arrival(self, seconds: float) -> Message:
        # asyncio's own TimeoutError is the built-in one from Python 3.11 on only.
        try:
            text = await asyncio.wait_for(self.socket.recv(), seconds)
        except asyncio.TimeoutError:
            raise TimeoutError(f"{self.agent_id}: nothing came in {seconds:.1f} s") from None
        message = json.loads(text)
        assert isinstance(message, dict), text
        return message

    async def introduce(self, **fields: object) -> Message:
        """Sends app_ready and returns its ack."""
        await self.send("app_ready", instance_id=self.agent_id, **fields)
        return await self.recv_type(
            "reconnection_ack" if fields.get("reconnection") else "app_ready_ack"
        )

    async def beat(self, **fields: object) -> Message:
        """Sends a heartbeat and returns its answer."""
        await self.send("heartbeat", clientName=self.agent_id, **fields)
        return await self.recv_type("heartbeat_response")

    async def answer(
        self, order: Mapping[str, Any], status: str = "OK", message: str = "done", **fields: Any
    ) -> None:
        """Sends the app_terminated that belongs to a terminate_app."""
        request_id = order["request_id"]
        await self.send(
            "app_terminated", request_id=request_id, status=status, message=message, **fields
        )

    async def closed(self, seconds: float = DEADLINE_SECONDS) -> tuple[int, str]:
        """Waits for the end and keeps what comes before it.

        Returns:
            Code and reason of the close frame; 1005 when it was empty, 1006 when none came.
        """
        try:
            while True:
                self.kept.append(await self._arrival(seconds))
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")

    async def vanish(self) -> None:
        """Cuts the connection without a close frame."""
        self.socket.transport.abort()
        await self.socket.wait_closed()


@asynccontextmanager
async def agent(
    url: str,
    agent_id: str = "a-1",
    *,
    introduce: bool = True,
    headers: Mapping[str, str] | None = None,
    **fields: object,
) -> AsyncIterator[Wire]:
    """Connects, and introduces the agent with app_ready unless told not to.

    Args:
        introduce: False leaves the connection unintroduced.
        headers: added to the upgrade request.
        fields: added to app_ready.
    """
    # Its own pings are off (a test counts frames), messages may have any size, nothing is
    # compressed or proxied.
    async with connect(
        url,
        additional_headers=headers,
        compression=None,
        ping_interval=None,
        max_size=None,
        close_timeout=2,
        proxy=None,
    ) as socket:
        wire = Wire(socket, agent_id)
        if introduce:
            await wire.introduce(**fields)
        yield wire
