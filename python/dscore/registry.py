"""Who is known and who is connected: plain data, no clock, no socket.

An agent is one `AgentRecord`, found by its id for as long as it is remembered; its connection is a
number of the core's. Every open connection, a WebSocket or a Socket.IO session, is in exactly one
of `newcomers` and `introduced`, so total = authenticated + unauthenticated holds in every reading.

Invariant: a record owns the connection `record.conn`, and only that one. Connection numbers are
    never reused, so a stale connection's end is told from its successor's by comparing them;
    `generation` is the same order written as a small number that outlives the process.
"""

import sys
from collections.abc import Iterator
from typing import Literal, NamedTuple, TypeAlias

from dscore.labels import Labels, read_labels
from dscore.messages import ReasonCode, Status, WatchFilter

State: TypeAlias = Literal[
    "connected", "late", "terminating", "reconnecting", "unknown", "offline", "terminated"
]
Dialect: TypeAlias = Literal["raw", "socketio"]

ONLINE_STATES: frozenset[State] = frozenset(
    {"connected", "late", "terminating", "reconnecting", "unknown"}
)
"""What watchers are told is "online"."""

WINDOW = 256
"""Messages a watcher is sent before it must have read them: about 50 KB, far below an outbox's
limit."""
MAX_ABSENT = 100_000
"""Agents remembered without a connection. Ids come from the network: something must bound what they
cost."""


class AgentRecord:
    """One agent. Tens of thousands of these are kept: slots, shared strings, nothing that can be
    worked out."""

    __slots__ = (
        "agent_id",
        "config",
        "conn",
        "connected_at",
        "dialect",
        "generation",
        "grace",
        "introduced_by",
        "ip",
        "labels",
        "last_heartbeat",
        "reason_code",
        "reported_back",
        "rtt_us",
        "state",
    )

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.conn = 0
        """0: not connected."""
        self.generation = 0
        """Counts the connections this agent has had."""
        self.state: State = "offline"
        self.reason_code: ReasonCode | None = None
        """Why it is offline; None while online and before the first introduction."""
        self.ip = ""
        self.dialect: Dialect = "raw"
        self.introduced_by = ""
        """The message that introduced it: app_ready, heartbeat or reconnection_success."""
        self.last_heartbeat: int | None = None
        """Milliseconds of the pool's clock, as last read in bulk."""
        self.connected_at = 0
        """Milliseconds of the pool's clock."""
        self.rtt_us = 0
        """The round trip of the last ping that was answered, as last read in bulk; 0: none yet."""
        self.config: bytes | None = None
        """The `config` of its app_ready, JSON; None when it was empty or never sent."""
        self.labels: Labels = ()
        """What its config calls it."""
        self.grace: int | None = None
        """Key of its grace period on the wheel."""
        self.reported_back = False
        """Whether watchers were told `client_reconnected` for this connection."""

    def configure(self, config: bytes | None) -> None:
        """Takes a config, and what it calls the agent."""
        self.config = config
        self.labels = read_labels(config)

    @property
    def status(self) -> Status:
        return "online" if self.state in ONLINE_STATES else "offline"


class Newcomer:
    """A connection that is nobody yet."""

    __slots__ = ("auth", "dialect", "ip", "is_token_wrong", "token")

    def __init__(self, ip: str, token: str | None, dialect: Dialect) -> None:
        self.ip = ip
        self.token = token
        """What it has shown before it says who it is: the bearer of its upgrade, or the token of
        its Socket.IO CONNECT."""
        self.is_token_wrong = False
        """Whether that of its CONNECT was counted as a wrong one."""
        self.dialect: Dialect = dialect
        self.auth: bytes | None = None
        """The JSON object of its Socket.IO CONNECT, if somebody will ask for it."""


class Watcher:
    """A connection that wants to be told of agents."""

    __slots__ = ("behind", "credit", "filter", "ip", "newcomer", "snapshot", "wants_snapshot")

    def __init__(self, ip: str, filter: WatchFilter, newcomer: Newcomer | None = None) -> None:
        self.ip = ip
        self.filter = filter
        self.newcomer = newcomer
        """Who it still is to the core: it watches until it introduces itself. None: it asked to
        watch, and stays a watcher."""
        self.credit = WINDOW
        """Messages it may be sent before the core must say that it has read them."""
        self.wants_snapshot = False
        self.snapshot: Iterator[bytes] | None = None
        """What is left of the state it starts from."""
        self.behind: dict[str, Change] = {}
        """Agents of which it has something to be told yet, the one that changed last at the end."""

    @property
    def is_behind(self) -> bool:
        return self.wants_snapshot or self.snapshot is not None or bool(self.behind)


class Change(NamedTuple):
    """What a watcher has not been told of an agent."""

    record: AgentRecord
    was_online: bool | None
    """Whether it was online before its status changed; None: the status has not changed."""
    back_at: int | None = None
    """When it came back within its grace period, on the pool's clock; None: it did not."""


class Introduced(NamedTuple):
    record: AgentRecord
    previous: int
    """The connection that was taken over; 0 if there was none."""


class Counts(NamedTuple):
    total: int
    authenticated: int
    unauthenticated: int


class Registry:
    """Agents by id, and who is on each connection."""

    def __init__(self) -> None:
        self.agents: dict[str, AgentRecord] = {}
        self.newcomers: dict[int, Newcomer] = {}
        self.introduced: dict[int, AgentRecord | Watcher] = {}
        """Every introduced connection. After a takeover the old connection still names its agent
        here, until it has closed: compare `record.conn`."""
        self.watchers: dict[int, Watcher] = {}
        """Everyone who is told of changes: connections that only watch, and agents that do so
        besides."""
        self._absent: dict[str, int] = {}
        """Agent id -> when it lost its connection, oldest first."""
        self._absent_configs: dict[str, int] = {}
        """Agent id -> bytes of its config, of those that have one, in the same order."""
        self._absent_config_bytes = 0

    def open(
        self,
        conn: int,
        ip: str,
        bearer: str | None,
        *,
        dialect: Dialect = "raw",
    ) -> None:
        # A fleet behind one address, or one loopback test, keeps one string.
        self.newcomers[conn] = Newcomer(sys.intern(ip), bearer, dialect)

    def newcomer(self, conn: int) -> Newcomer | None:
        """Whoever may introduce itself on this connection; None: somebody did, or it has gone."""
        newcomer = self.newcomers.get(conn)
        if newcomer is None and (watcher := self.watchers.get(conn)) is not None:
            return watcher.newcomer
        return newcomer

    def introduce_agent(self, conn: int, agent_id: str, now: int) -> Introduced:
        """Makes `conn` this agent's connection."""
        newcomer = self._take_newcomer(conn)
        record = self.agents.get(agent_id)
        if record is None:
            record = self.agents[agent_id] = AgentRecord(agent_id)
        else:
            self._be_present(agent_id)
        previous = record.conn
        record.conn = conn
        record.generation += 1
        record.ip = newcomer.ip
        record.dialect = newcomer.dialect
        record.connected_at = now
        record.reported_back = False
        self.introduced[conn] = record
        return Introduced(record, previous)

    def remember(self, record: AgentRecord, left: int) -> None:
        """Takes up an agent of an earlier process; oldest first."""
        self.agents[record.agent_id] = record
        self._be_absent(record, left)

    def watch(self, conn: int, filter: WatchFilter, *, until_introduced: bool = False) -> None:
        """Makes `conn` a watcher: a newcomer becomes one, an agent's connection is one besides, a
        filter is replaced.

        Args:
            until_introduced: a newcomer that has not asked for it, and may still become an agent.
        """
        if (watcher := self.watchers.get(conn)) is not None:
            watcher.filter = filter
            watcher.newcomer = None
            return
        newcomer = self.newcomers.pop(conn, None)
        who = self.introduced.get(conn)
        ip = newcomer.ip if newcomer else who.ip if who else ""
        watcher = Watcher(ip, filter, newcomer if until_introduced else None)
        self.watchers[conn] = watcher
        if type(who) is not AgentRecord:
            self.introduced[conn] = watcher

    def owner(self, conn: int) -> AgentRecord | None:
        """The agent that owns this connection now; None for watchers, newcomers and connections
        taken over."""
        who = self.introduced.get(conn)
        return who if type(who) is AgentRecord and who.conn == conn else None

    def release(self, record: AgentRecord, now: int) -> None:
        """The agent has no connection any more; the connection is counted until it is closed."""
        record.conn = 0
        self._be_absent(record, now)

    def close(self, conn: int) -> None:
        """Forgets a connection, not its agent."""
        if self.newcomers.pop(conn, None) is None:
            self.introduced.pop(conn, None)
            if self.watchers:
                self.watchers.pop(conn, None)

    def forget(self, record: AgentRecord) -> None:
        del self.agents[record.agent_id]
        self._be_present(record.agent_id)

    def forget_absent(self, left_before: int) -> list[str]:
        """Forgets offline agents that left before a time, and the longest gone past `MAX_ABSENT`.

        Returns:
            Their ids.
        """
        excess = len(self._absent) - MAX_ABSENT
        forgotten: list[str] = []
        for agent_id, left in self._absent.items():
            if left >= left_before and len(forgotten) >= excess:
                break
            # One that is still given time to come back is decided soon, and forgotten by a later
            # sweep.
            if self.agents[agent_id].status == "offline":
                forgotten.append(agent_id)
        for agent_id in forgotten:
            self.forget(self.agents[agent_id])
        return forgotten

    def drop_configs(self, max_bytes: int) -> list[AgentRecord]:
        """Takes the configs of those that have been away longest, until all that the absent have
        fit.

        Returns:
            Whose.
        """
        dropped: list[AgentRecord] = []
        while self._absent_config_bytes > max_bytes:
            agent_id = next(iter(self._absent_configs))
            self._absent_config_bytes -= self._absent_configs.pop(agent_id)
            record = self.agents[agent_id]
            record.configure(None)
            dropped.append(record)
        return dropped

    def connected(self) -> list[AgentRecord]:
        """Agents that are connected now, each once."""
        return [
            who
            for conn, who in self.introduced.items()
            if type(who) is AgentRecord and who.conn == conn
        ]

    def conns(self) -> list[int]:
        """Every open connection."""
        return [*self.introduced, *self.newcomers]

    def only_watching(self) -> list[int]:
        """Connections that watch and are no agent's."""
        return [conn for conn, watcher in self.watchers.items() if self.introduced[conn] is watcher]

    def everybody(self, *, strangers: bool) -> list[int]:
        """Every introduced connection.

        Args:
            strangers: Socket.IO connections that are nobody yet too: document B's pages only
                listen.
        """
        return [*self.introduced, *(self._strangers() if strangers else ())]

    def listeners(self) -> list[int]:
        """Connections to which server_shutdown means something even if agents are to stop. Document
        B's agents, and its pages that never introduce themselves, know nothing else."""
        watchers = self.watchers
        introduced = [
            conn
            for conn, who in self.introduced.items()
            if type(who) is not AgentRecord or who.dialect == "socketio" or conn in watchers
        ]
        return introduced + self._strangers()

    def _strangers(self) -> list[int]:
        return [conn for conn, who in self.newcomers.items() if who.dialect == "socketio"]

    def dialects(self) -> dict[Dialect, int]:
        """How many agents are connected over each."""
        counts: dict[Dialect, int] = {"raw": 0, "socketio": 0}
        for record in self.connected():
            counts[record.dialect] += 1
        return counts

    def is_full(self, agent_id: str) -> bool:
        """Whether an agent of this id is one too many, unless another one is forgotten for it."""
        return len(self._absent) >= MAX_ABSENT and agent_id not in self.agents

    def longest_absent(self) -> AgentRecord:
        """Who lost its connection first, of those who have none."""
        return self.agents[next(iter(self._absent))]

    def is_empty(self) -> bool:
        """Whether no connection is open."""
        return not self.introduced and not self.newcomers

    def _be_absent(self, record: AgentRecord, left: int) -> None:
        agent_id, config = record.agent_id, record.config
        if agent_id in self._absent:
            self._be_present(agent_id)
        self._absent[agent_id] = left
        if config is not None:
            size = self._absent_configs[agent_id] = len(config)
            self._absent_config_bytes += size

    def _be_present(self, agent_id: str) -> None:
        if self._absent.pop(agent_id, None) is not None and self._absent_configs:
            self._absent_config_bytes -= self._absent_configs.pop(agent_id, 0)

    def _take_newcomer(self, conn: int) -> Newcomer:
        newcomer = self.newcomers.pop(conn, None)
        if newcomer is None:
            newcomer = self.watchers.pop(conn).newcomer
            if newcomer is None:
                raise KeyError(conn)
        return newcomer

    def counts(self) -> Counts:
        authenticated, unauthenticated = len(self.introduced), len(self.newcomers)
        return Counts(authenticated + unauthenticated, authenticated, unauthenticated)
