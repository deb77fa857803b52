"""A policy alone: its hooks, called in the order and with the arguments in which a server calls
them. There is no server, no socket and no clock; what a hook raises is the test's to see."""

import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import orjson

from dscore.errors import AdmissionError, NoAcksError, NotConnectedError, UnknownAgentError
from dscore.labels import Labels
from dscore.messages import Dialect, ReasonCode, Status
from dscore.policy import Candidate, Policy
from dscore.policy.agent import Agent, Outbox, Termination
from dscore.server.policy_check import check_policy

if TYPE_CHECKING:
    from dscore._core import AgentRow
    from dscore.states import State


@dataclass(eq=False)
class _Row:
    """What a handle reads of its agent, as the fleet's table has it."""

    agent_id: str
    ip: str
    dialect: Dialect
    config: bytes | None
    labels: Labels
    conn: int = 0
    generation: int = 0
    state: "State" = "connected"
    status: Status = "online"
    reason_code: ReasonCode | None = None
    last_heartbeat: int | None = None
    connected_at: int = 0
    changed_at: int = 0
    rtt_us: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    closes: list[tuple[int, str]] = field(default_factory=list)


class _Rows:
    """The fleet that handles ask: everything that is sent is kept, for the test to see."""

    def __init__(self) -> None:
        self.by_id: dict[str, _Row] = {}
        self.acks: dict[str, Any] = {}

    def row(self, agent_id: str) -> _Row:
        try:
            return self.by_id[agent_id]
        except KeyError:
            raise UnknownAgentError(agent_id) from None

    def unix_time(self, pool_ms: int) -> float:
        return pool_ms / 1000

    def outbox(self, agent_id: str) -> Outbox:
        return Outbox(len(self.row(agent_id).waiting), 0)

    def send_message(
        self, agent_id: str, message: Mapping[str, Any] | bytes, *, namespace: str
    ) -> bool:
        row = self.row(agent_id)
        whole = orjson.loads(message) if isinstance(message, bytes) else dict(message)
        if not isinstance(whole.get("type"), str):
            raise ValueError(f"no message, it has no type: {whole!r}")
        (row.sent if row.conn else row.waiting).append(whole)
        return bool(row.conn)

    async def send_kept(
        self, agent_id: str, message: Mapping[str, Any] | bytes, *, namespace: str
    ) -> bool:
        return self.send_message(agent_id, message, namespace=namespace)

    async def request(
        self, agent_id: str, event: str, data: Any, *, namespace: str, timeout: float | None
    ) -> Any:
        row = self.row(agent_id)
        if not row.conn:
            raise NotConnectedError(agent_id)
        if row.dialect == "raw":
            raise NoAcksError(agent_id)
        row.sent.append({"type": event, "data": data})
        return self.acks.get(event)

    async def terminate(self, agent_id: str, *, timeout: float | None) -> Termination:
        row = self.row(agent_id)
        if not row.conn:
            raise NotConnectedError(agent_id)
        row.state, row.status, row.reason_code = "terminated", "offline", "terminated"
        return Termination("acked", str(uuid4()), 0.0)

    def close_connection(self, conn: int, code: int, reason: str) -> None:
        for row in self.by_id.values():
            if conn and row.conn == conn:
                row.closes.append((code, reason))


class Rehearsal:
    """Calls the hooks of a policy as a server does, one thing after the other.

    Attributes:
        acks: event -> what agents of the socketio dialect ack `agent.request` with.
    """

    def __init__(self, policy: Policy) -> None:
        """Looks at the policy as a server does at its start.

        Raises:
            PolicyError: One of its hooks is none, or cannot be called so.
        """
        check_policy(policy)
        self._policy = policy
        self._rows = _Rows()
        self._conns = 0
        self.acks = self._rows.acks

    def agent(self, agent_id: str) -> Agent:
        """The handle that hooks are given.

        Raises:
            UnknownAgentError: It was not introduced.
        """
        return Agent(self._rows, cast("AgentRow", self._rows.row(agent_id)))

    def sent(self, agent_id: str) -> list[dict[str, Any]]:
        """What the policy has sent to an agent, the oldest first; while it is away, nothing is."""
        return self._rows.row(agent_id).sent

    def closes(self, agent_id: str) -> list[tuple[int, str]]:
        """Code and reason of each `agent.close` of the policy."""
        return self._rows.row(agent_id).closes

    async def introduce(
        self,
        agent_id: str,
        *,
        ip: str = "127.0.0.1",
        dialect: Dialect = "raw",
        config: Mapping[str, Any] | None = None,
        reconnection: bool = False,
        **candidate: Any,
    ) -> Agent:
        """An agent connects and introduces itself: `authenticate`, then `on_connect`. What waited
        for it is sent.

        Args:
            agent_id: Its id.
            ip: Its address.
            dialect: What it speaks.
            config: Of its `app_ready`.
            reconnection: Of its `app_ready`.
            candidate: Further fields of the `Candidate`: token, auth, claims, …

        Raises:
            AdmissionError: The policy did not let it in.
        """
        shown: dict[str, Any] = {"token": None, "introduced_by": "app_ready", **candidate}
        who = Candidate(role="agent", agent_id=agent_id, ip=ip, reconnection=reconnection, **shown)
        if not await _result(self._policy.authenticate(who)):
            raise AdmissionError(agent_id)
        row = self._rows.by_id.get(agent_id)
        if row is None:
            row = self._rows.by_id[agent_id] = _Row(agent_id, ip, dialect, None, ())
        self._conns += 1
        row.conn, row.generation = self._conns, row.generation + 1
        row.connected_at = row.changed_at = time.time_ns() // 1_000_000
        row.state, row.ip, row.dialect, row.reason_code = "connected", ip, dialect, None
        row.config = orjson.dumps(config) if config else None
        labels = (config or {}).get("labels", {})
        row.labels = tuple(sorted(f"{name}={value}" for name, value in labels.items()))
        agent, was = self.agent(agent_id), row.status
        row.status = "online"
        await _result(self._policy.on_connect(agent))
        if was == "offline":
            await _result(self._policy.on_status_change(agent, "online", None))
        waited, row.waiting = row.waiting, []
        row.sent += waited
        return agent

    async def watch(self, *, ip: str = "127.0.0.1", token: str | None = None) -> bool:
        """A page or a tool asks to watch; whether the policy lets it."""
        who = Candidate(
            role="operator",
            agent_id="",
            ip=ip,
            token=token,
            introduced_by="watch",
            reconnection=False,
        )
        return bool(await _result(self._policy.authenticate(who)))

    async def message(self, agent_id: str, kind: str, namespace: str = "/", **fields: Any) -> Any:
        """An agent says something of a type that is not dscore's.

        Returns:
            What the hook returned: the argument of the ack, if the agent asked for one.

        Raises:
            NotConnectedError: It has no connection: it cannot say anything.
        """
        row, agent = self._rows.row(agent_id), self.agent(agent_id)
        if not row.conn:
            raise NotConnectedError(agent_id)
        whole = {"type": kind, **fields}
        if namespace == "/":
            return await _result(self._policy.on_message(agent, kind, whole))
        if namespace not in self._policy.namespaces:
            raise ValueError(f"{namespace} is none of the policy's: {self._policy.namespaces}")
        return await _result(self._policy.on_namespace_message(agent, namespace, kind, whole))

    async def disconnect(self, agent_id: str, close_code: int = 1006, reason: str = "") -> None:
        """The connection of an agent ends; it has time to come back, and is online still."""
        row = self._rows.row(agent_id)
        row.conn, row.state = 0, "reconnecting"
        await _result(self._policy.on_disconnect(self.agent(agent_id), close_code, reason))

    async def offline(self, agent_id: str, reason_code: ReasonCode = "reconnect_timeout") -> None:
        """Its time is over: watchers are told that it is offline."""
        row = self._rows.row(agent_id)
        row.state, row.status, row.reason_code = "offline", "offline", reason_code
        agent = self.agent(agent_id)
        await _result(self._policy.on_status_change(agent, "offline", reason_code))

    async def drain(self, intent: str = "terminate") -> None:
        """A drain begins."""
        await _result(self._policy.on_drain(intent))


async def _result(answer: Any) -> Any:
    """What a hook answers, plain or async."""
    return await answer if inspect.isawaitable(answer) else answer
