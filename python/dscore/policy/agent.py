"""The public handle of one agent, and what it needs of the fleet."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

from dscore.labels import as_dict
from dscore.messages import Dialect, ReasonCode, Status

if TYPE_CHECKING:
    from dscore._core import AgentRow
    from dscore.states import OutcomeName, State


class Termination(NamedTuple):
    """How one terminate_app ended."""

    outcome: "OutcomeName"
    request_id: str
    latency_ms: float
    complete: bool | None = None
    """False: it stopped as asked, but a stream did not reach its end; a recording may lack its
    index. None: it has not said that it stopped."""
    message: str = ""
    """The agent's last word, or why it could not be asked; else ""."""


class Outbox(NamedTuple):
    """What waits for an agent that is away."""

    waiting: int
    dropped: int


class AgentFleet(Protocol):
    """What the handles of a fleet's agents ask of it; `dscore.server.fleet.Fleet` fits."""

    def unix_time(self, pool_ms: int) -> float: ...
    def outbox(self, agent_id: str) -> Outbox: ...
    def send_message(
        self, agent_id: str, message: Mapping[str, Any] | bytes, *, namespace: str
    ) -> bool: ...
    async def send_kept(
        self, agent_id: str, message: Mapping[str, Any] | bytes, *, namespace: str
    ) -> bool: ...
    async def request(
        self, agent_id: str, event: str, data: Any, *, namespace: str, timeout: float | None
    ) -> Any: ...
    async def terminate(self, agent_id: str, *, timeout: float | None) -> Termination: ...
    def close_connection(self, conn: int, code: int, reason: str) -> None: ...


class Agent:
    """One agent, as long as it is known. Made on demand and cheap: two handles of the same agent
    are equal."""

    __slots__ = ("_fleet", "_record")

    def __init__(self, fleet: AgentFleet, record: "AgentRow") -> None:
        self._fleet = fleet
        self._record = record

    @property
    def id(self) -> str:
        return self._record.agent_id

    @property
    def status(self) -> Status:
        """What watchers are told: an agent that is given time to come back is still online."""
        return self._record.status

    @property
    def state(self) -> "State":
        """connected; late (it misses heartbeats); terminating (it was asked to stop); reconnecting
        (it has time to come back); unknown (so it has after a start of the server); offline (it may
        still be `connected`: then it sends no heartbeats); terminated (it stopped when asked)."""
        return self._record.state

    @property
    def reason_code(self) -> ReasonCode | None:
        """Why it is offline."""
        return self._record.reason_code

    @property
    def connected(self) -> bool:
        return self._record.conn != 0

    @property
    def ip(self) -> str:
        return self._record.ip

    @property
    def dialect(self) -> Dialect:
        """Of its connection, or of the last one."""
        return self._record.dialect

    @property
    def connected_at(self) -> float | None:
        """When its last connection was introduced, in Unix seconds."""
        record = self._record
        return self._fleet.unix_time(record.connected_at) if record.generation else None

    @property
    def last_heartbeat(self) -> float | None:
        """Unix seconds, as last read from the core: every `monitoring.process_check_interval`, and
        by `Fleet.refresh`."""
        last = self._record.last_heartbeat
        return None if last is None else self._fleet.unix_time(last)

    @property
    def since(self) -> float:
        """When its state became what it is, in Unix seconds."""
        return self._fleet.unix_time(self._record.changed_at)

    @property
    def rtt(self) -> float | None:
        """Seconds that a ping and its pong took, as last read; None before the first pong."""
        return self._record.rtt_us / 1_000_000 or None

    @property
    def labels(self) -> Mapping[str, str]:
        """The `labels` of its config: see `dscore.labels`."""
        return as_dict(self._record.labels)

    @property
    def config(self) -> Mapping[str, Any] | None:
        """The `config` of its app_ready."""
        config = self._record.config
        return None if config is None else orjson.loads(config)

    @property
    def undelivered(self) -> int:
        """Messages that wait for it in its outbox."""
        return self._fleet.outbox(self.id).waiting

    @property
    def dropped(self) -> int:
        """Messages that its outbox had no room for, in this session."""
        return self._fleet.outbox(self.id).dropped

    def send(self, message: Mapping[str, Any] | bytes, *, namespace: str = "/") -> bool:
        """Sends a message; while the agent is away it waits in its outbox, with a `message_id` if
        it has none. It is on the disk a moment later, of which no promise is made: see `send_kept`.

        `bytes` anywhere in it are attachments. Those, and what is meant for another namespace, only
        a Socket.IO connection can take, and they do not wait.

        Args:
            message: an object with a string `type`, or its JSON text, which is not looked at.
            namespace: of Socket.IO; what is sent in one that the agent has not joined is dropped.

        Returns:
            Whether it is on its way now.

        Raises:
            UnknownAgentError: it is not known any more.
            NotConnectedError: it is away, and no session of it is left that could keep the message,
                or the message has `bytes` in it or is for another namespace.
            ValueError: it is no message, or none for the raw dialect.
        """
        return self._fleet.send_message(self.id, message, namespace=namespace)

    async def send_kept(self, message: Mapping[str, Any] | bytes, *, namespace: str = "/") -> bool:
        """`send`, with a promise: a message that has to wait is where it outlives the process, a
        kill -9 too, when this returns. After that it may come twice, and never not at all; its
        `message_id`, a UUID unless it has one, tells.

        Args:
            message: as in `send`.
            namespace: as in `send`.

        Returns:
            Whether it was handed to the agent's socket; no more is promised of that.

        Raises:
            NotKeptError: the store takes nothing now; the message is not kept.
            UnknownAgentError: as in `send`.
            NotConnectedError: as in `send`.
            ValueError: as in `send`.
        """
        return await self._fleet.send_kept(self.id, message, namespace=namespace)

    async def request(
        self, event: str, data: Any = None, *, namespace: str = "/", timeout: float | None = None
    ) -> Any:
        """Sends an event over Socket.IO, and waits until the agent acks it.

        Args:
            event: its name.
            data: its argument: JSON, with `bytes` anywhere in it. None: it has none.
            namespace: in one that the agent has not joined there is no ack.
            timeout: seconds; 30 if left out.

        Returns:
            What the agent acks with: None for nothing, a list for several arguments.

        Raises:
            UnknownAgentError: it is not known any more.
            NotConnectedError: it has no connection now.
            NoAcksError: its connection speaks the raw dialect.
            RequestTimeoutError: it has not acked in time.
            ConnectionLostError: its connection ended before it has.
            TooManyRequestsError: a thousand wait for its acks already.
            RequestError: the base of these four; itself: the ack cannot be read.
            ValueError: `data` is no JSON.
            TypeError: `event` is no text.
        """
        return await self._fleet.request(self.id, event, data, namespace=namespace, timeout=timeout)

    async def terminate(self, *, timeout: float | None = None) -> Termination:
        """Asks the agent to stop its application, and waits for the outcome.

        Raises:
            NotConnectedError: it has no connection now.
        """
        return await self._fleet.terminate(self.id, timeout=timeout)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begins the closing handshake of its connection, if it has one. The agent may come back.

        Raises:
            ValueError: this code may not be sent.
        """
        # Of one that is away too: the core looks at the code first, and no connection has number 0.
        self._fleet.close_connection(self._record.conn, code, reason)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Agent) and other._record == self._record

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Agent({self.id!r}, {self.state})"
