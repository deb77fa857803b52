"""A real server and real agents of the raw dialect, for a test: they introduce themselves, say what
the test tells them to, and answer `terminate_app`."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import orjson

from dscore.config import Config
from dscore.policy import Policy
from dscore.policy.drain import DrainReport
from dscore.server import Server
from dscore_agent.config import AgentConfig
from dscore_agent.dial import DIRECT, Dialer
from dscore_agent.wire import CloseInfo, Connection, open_connection

if TYPE_CHECKING:
    from dscore.http.asgi import App

SECONDS = 30.0
"""Every wait ends; nothing on loopback takes this long."""

Message = dict[str, Any]


class FleetAgent:
    """One agent. Made by `fleet`, or by `Fleet.connect`.

    Attributes:
        id: its agent id.
        answers: what it answers `terminate_app` with: "OK" stops, another word fails; None is mute.
        received: every message that came, the oldest first.
        ended: how its last connection ended; None while it is open.
    """

    def __init__(self, agent_id: str, url: str, token: str | None = None) -> None:
        """Connects to nothing yet."""
        self.id = agent_id
        self.answers: str | None = "OK"
        self.received: list[Message] = []
        self.ended: CloseInfo | None = None
        self._config = AgentConfig(url=url, instance_id=agent_id, proxy=DIRECT)
        self._token = token
        self._connection: Connection | None = None
        self._unread: list[Message] = []
        self._changed = asyncio.Event()

    async def connect(self, *, reconnection: bool = False, **fields: object) -> Message:
        """Opens a connection and introduces itself.

        Args:
            reconnection: Take up the session of before.
            fields: Further ones of its `app_ready`, such as `config`.

        Returns:
            The server's acknowledgement.

        Raises:
            ConnectionError: The server closed the connection instead; says how.
        """
        dialer = Dialer(DIRECT)
        try:
            connection = await open_connection(
                self._config, None, dialer, on_message=self._hear, on_writable=lambda: None
            )
        finally:
            dialer.close()
        self._connection, self.ended = connection, None
        connection.ended.add_done_callback(self._closed)
        connection.begin()
        if self._token is not None:
            fields = {"token": self._token, **fields}
        await self.send("app_ready", instance_id=self.id, reconnection=reconnection, **fields)
        return await self.expect("reconnection_ack" if reconnection else "app_ready_ack")

    async def send(self, kind: str, **fields: object) -> None:
        """Sends one message, and lets the server's loop have a turn.

        Raises:
            ConnectionError: It is not connected.
        """
        if self._connection is None or not self._connection.is_open:
            raise ConnectionError(f"{self.id} is not connected: {self.ended}")
        self._connection.send(orjson.dumps({"type": kind, **fields}))
        await asyncio.sleep(0)

    async def beat(self) -> Message:
        """Sends a heartbeat; the server's answer."""
        await self.send("heartbeat", clientName=self.id)
        return await self.expect("heartbeat_response")

    async def expect(self, kind: str, seconds: float = SECONDS) -> Message:
        """The first message of a type that was not expected before. Others stay.

        Raises:
            TimeoutError: None came in time; says what did.
            ConnectionError: The connection ended first; says how.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            for at, message in enumerate(self._unread):
                if message["type"] == kind:
                    return self._unread.pop(at)
            if self.ended is not None:
                raise ConnectionError(f"{self.id}: closed {self.ended}, and no {kind} before")
            await self._wait(deadline, f"no {kind}")

    async def closed(self, seconds: float = SECONDS) -> CloseInfo:
        """Waits for the end of its connection.

        Raises:
            TimeoutError: It is still open.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while self.ended is None:
            await self._wait(deadline, "its connection is still open")
        return self.ended

    async def leave(self, code: int = 1000, reason: str = "") -> CloseInfo:
        """Closes its connection."""
        if self._connection is not None:
            self._connection.close(code, reason)
        return await self.closed()

    async def vanish(self) -> None:
        """Cuts its connection without a close frame, as a power cut does."""
        if self._connection is not None:
            self._connection.abort("vanished")
        await self.closed()

    async def _wait(self, deadline: float, missing: str) -> None:
        self._changed.clear()
        left = deadline - asyncio.get_running_loop().time()
        try:
            await asyncio.wait_for(self._changed.wait(), max(0.0, left))
        except asyncio.TimeoutError:
            kinds = ", ".join(message["type"] for message in self._unread) or "nothing"
            raise TimeoutError(f"{self.id}: {missing}; it has had {kinds}") from None

    def _hear(self, text: bytes) -> None:
        message: Message = orjson.loads(text)
        self.received.append(message)
        self._unread.append(message)
        if message["type"] == "terminate_app" and self.answers is not None and self._connection:
            answer = {"request_id": message["request_id"], "status": self.answers, "message": ""}
            self._connection.send(orjson.dumps({"type": "app_terminated", **answer}))
        self._changed.set()

    def _closed(self, ended: "asyncio.Future[CloseInfo]") -> None:
        self.ended = ended.result()
        self._changed.set()


class Fleet(Mapping[str, FleetAgent]):
    """A server with its agents, by id.

    Attributes:
        server: The `dscore.Server`.
        url: Where it listens, `http://…`.
    """

    def __init__(self, server: Server) -> None:
        """The server must have been started."""
        self.server = server
        host, port = server.address
        self.url = f"http://{host}:{port}"
        self._agents: dict[str, FleetAgent] = {}

    def __getitem__(self, agent_id: str) -> FleetAgent:
        return self._agents[agent_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._agents)

    def __len__(self) -> int:
        return len(self._agents)

    async def connect(
        self, agent_id: str, *, token: str | None = None, **fields: object
    ) -> FleetAgent:
        """Adds an agent, connected and introduced. See `FleetAgent.connect`."""
        agent = FleetAgent(agent_id, self.url.replace("http", "ws", 1), token)
        await agent.connect(**fields)  # type: ignore[arg-type]
        self._agents[agent_id] = agent
        return agent

    async def drain(self, intent: Literal["terminate", "restart"] | None = None) -> DrainReport:
        """Shuts the server down as a signal would; the report."""
        return await self.server.drain(intent=intent)

    async def close(self) -> None:
        """Closes what is open, the server last."""
        for agent in self._agents.values():
            if agent.ended is None:
                await agent.vanish()
        await self.server.close()


@asynccontextmanager
async def fleet(
    *ids: str,
    config: Config | Mapping[str, Any] | None = None,
    policy: Policy | None = None,
    app: "App | None" = None,
) -> AsyncIterator[Fleet]:
    """A started server, and an agent for each id, connected and introduced.

    Args:
        ids: Of the agents.
        config: Settings, as an object or as sections; the port is a free one and the store is in
            memory, unless they say otherwise.
        policy: The program's.
        app: The program's.
    """
    given = config.model_dump(exclude_unset=True) if isinstance(config, Config) else config or {}
    usual: dict[str, dict[str, Any]] = {"listen": {"port": 0}, "store": {"path": ":memory:"}}
    sections = {name: {**usual.get(name, {}), **given.get(name, {})} for name in {*usual, *given}}
    server = Server(Config.model_validate(sections), policy=policy, app=app)
    await server.start()
    running = Fleet(server)
    try:
        for agent_id in ids:
            await running.connect(agent_id)
        yield running
    finally:
        await running.close()
