"""A server and its fleet for the pages: what `dscore.http.ports` asks of both, set by hand."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from dscore.errors import NotConnectedError, UnknownAgentError
from dscore.facets import Facets, LabelFacet
from dscore.filters import Filter
from dscore.history import Sample
from dscore.policy.drain import DrainDetail, DrainLeft
from dscore.server.timeline import Disconnect
from dscore.store import Entry, StoreHealth


@dataclass
class FakeAgent:
    id: str
    status: str = "online"
    state: str = "connected"
    reason_code: str | None = None
    ip: str | None = "10.0.0.1"
    dialect: str = "raw"
    connected: bool = True
    connected_at: float | None = 1_700_000_000.0
    since: float = 1_700_000_000.0
    last_heartbeat: float | None = None
    config: dict[str, Any] | None = None
    undelivered: int = 0
    dropped: int = 0
    rtt: float | None = None
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeCounts:
    total: int
    authenticated: int
    unauthenticated: int


@dataclass
class FakeTermination:
    outcome: str = "acked"
    request_id: str = "6f1c"
    latency_ms: float = 1.5
    complete: bool | None = True
    message: str = ""


@dataclass
class FakeReport:
    intent: str
    total: int
    acked: int
    failed: int = 0
    timed_out: int = 0
    vanished: int = 0
    notified: int = 0
    incomplete: int = 0
    latency_ms: dict[str, float | None] = field(default_factory=dict)
    not_acked: list[str] = field(default_factory=list)
    duration_ms: float = 5.0

    @property
    def exit_code(self) -> int:
        return 3 if self.failed or self.timed_out or self.vanished else 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class FakeStatus:
    intent: str
    total: int
    state: str = "waiting"
    acked: int = 0
    failed: int = 0
    timed_out: int = 0
    vanished: int = 0
    notified: int = 0
    incomplete: int = 0
    pending: int = 0
    started_at: float = 1_700_000_000.0
    report: FakeReport | None = None


class FakeLag:
    last = 0.002
    sum = 0.5

    def buckets(self) -> list[tuple[float, int]]:
        return [(0.001, 3), (1.0, 4), (float("inf"), 5)]


class FakeFleet:
    def __init__(self, *ids: str) -> None:
        self.fleet = self
        self.by_id = {each: FakeAgent(each) for each in ids}
        self.uptime = 12.5
        self.address = ("127.0.0.1", 8765)
        self.is_started = True
        self.is_ready = True
        self.full: str | None = None
        self.is_draining = False
        self.maintenance = False
        self.unauthenticated = 2
        self.sent: list[tuple[str, bytes]] = []
        self.removed: list[str] = []
        self.terminated: list[tuple[str, float | None]] = []
        self.drains: list[tuple[str | None, float | None]] = []
        self.drain_may_end = asyncio.Event()
        self.left: list[DrainLeft] = []
        self.status_latency: dict[str, float | None] = {"p50": None, "p99": None, "max": None}
        self.not_acked: list[str] = []
        self.fails: set[str] = set()
        """Agents that do not stop."""
        self.status: FakeStatus | None = None
        self.outcome = "acked"
        self.mute = 0
        self.incomplete = 0
        self.last_word = ""
        self.store = StoreHealth(is_ok=True)
        self.entries: dict[str, list[Entry]] = {}
        self.ended: Counter[Disconnect] = Counter()
        self.loop_lag = FakeLag()
        self.tls = self
        self.samples: dict[str, list[Sample]] = {"hour": [], "day": []}
        self.stats = {
            "connections": 4,
            "heartbeats_total": 7,
            "bytes_sent_total": 99,
            "outbox_bytes": 3,
        }

    def certificates(self) -> list[tuple[str, int]]:
        return [("server.pem", 1_800_000_000)]

    def dialects(self) -> dict[str, int]:
        spoken = Counter(agent.dialect for agent in self.by_id.values() if agent.connected)
        return {"raw": spoken["raw"], "socketio": spoken["socketio"]}

    def why_full(self) -> str | None:
        return self.full

    def set_maintenance(self, *, enabled: bool) -> None:
        self.maintenance = enabled

    def counts(self) -> FakeCounts:
        known = len(self.connected_ids())
        return FakeCounts(known + self.unauthenticated, known, self.unauthenticated)

    def connected_ids(self) -> list[str]:
        return [agent.id for agent in self.by_id.values() if agent.connected]

    async def read_connected_ids(self) -> list[str]:
        return self.connected_ids()

    def states(self) -> Counter[str]:
        return Counter(agent.state for agent in self.by_id.values())

    async def read_page(self, filter: Filter, **order: Any) -> tuple[list[FakeAgent], bool, int]:
        return paged(list(self.by_id.values()), filter, **order)

    async def read_facets(self, filter: Filter) -> Facets:
        found = fitting(list(self.by_id.values()), filter)
        by_label: dict[str, dict[str, Counter[str]]] = {}
        for agent in found:
            for name, value in agent.labels.items():
                by_label.setdefault(name, {}).setdefault(value, Counter())[agent.state] += 1
        reasons = Counter(agent.reason_code for agent in found if agent.reason_code)
        return Facets(
            dict(Counter(agent.state for agent in found)),
            dict(reasons.most_common()),
            [
                LabelFacet(name, [(v, dict(c)) for v, c in values.items()], 0)
                for name, values in sorted(by_label.items())
            ],
        )

    def history(self, span: str, after: int = 0) -> list[Sample]:
        return [each for each in self.samples[span] if each.at > after]

    def agent(self, agent_id: str) -> FakeAgent | None:
        return self.by_id.get(agent_id)

    def store_health(self) -> StoreHealth:
        return self.store

    def core_stats(self) -> dict[str, int]:
        return self.stats

    async def timeline(
        self, agent_id: str, *, limit: int, before: int | None = None
    ) -> tuple[list[Entry], int | None]:
        self._known(agent_id)
        newest_first = self.entries.get(agent_id, [])[::-1]
        rest = [entry for entry in newest_first if before is None or entry.number < before]
        page = rest[:limit]
        return page, page[-1].number if len(rest) > limit else None

    def disconnects(self) -> list[tuple[Disconnect, int]]:
        return list(self.ended.items())

    async def refresh(self, agent_ids: Sequence[str] | None = None) -> None:
        pass

    async def send_kept(self, agent_id: str, message: bytes) -> bool:
        agent = self._known(agent_id)
        self.sent.append((agent_id, message))
        return agent.connected

    async def terminate(self, agent_id: str, *, timeout: float | None = None) -> FakeTermination:
        if not self._known(agent_id).connected:
            raise NotConnectedError(agent_id)
        self.terminated.append((agent_id, timeout))
        if agent_id in self.fails:
            return FakeTermination(outcome="timed_out", complete=None, message=self.last_word)
        complete = not self.incomplete if self.outcome == "acked" else None
        return FakeTermination(outcome=self.outcome, complete=complete, message=self.last_word)

    async def remove(self, agent_id: str) -> None:
        self._known(agent_id)
        del self.by_id[agent_id]
        self.removed.append(agent_id)

    async def drain(self, *, intent: str | None = None, timeout: float | None = None) -> FakeReport:
        if self.status is None:
            total = len(self.connected_ids())
            self.drains.append((intent, timeout))
            self.is_draining = True
            self.status = FakeStatus(intent or "terminate", total, pending=total)
        await self.drain_may_end.wait()
        if self.status.report is None:
            self.end_drain(self.status)
        assert self.status.report is not None
        return self.status.report

    def end_drain(self, status: FakeStatus) -> None:
        status.acked, status.pending, status.state = status.total - self.mute, 0, "done"
        status.timed_out = self.mute
        status.report = FakeReport(
            status.intent,
            status.total,
            status.acked,
            timed_out=self.mute,
            incomplete=self.incomplete,
            not_acked=self.connected_ids()[: self.mute],
        )

    def drain_detail(self, limit: int) -> DrainDetail | None:
        if self.status is None:
            return None
        return DrainDetail(self.left[:limit], self.status_latency, self.not_acked)

    def drain_status(self) -> FakeStatus | None:
        return self.status

    def _known(self, agent_id: str) -> FakeAgent:
        agent = self.by_id.get(agent_id)
        if agent is None:
            raise UnknownAgentError(agent_id)
        return agent


RANKS = {"offline": 0, "late": 1, "reconnecting": 2, "unknown": 2, "terminating": 3, "connected": 4}


def sort_value(agent: Any, sort: str) -> tuple[Any, ...]:
    """What an agent is sorted by."""
    name = sort.removeprefix("-")
    if name == "id":
        return "", agent.id
    if name in ("natural", "problem"):
        rank = RANKS.get(agent.state, 5) if name == "problem" else ""
        return rank, natural(agent.id), agent.id
    return getattr(agent, name) or 0.0, agent.id


def natural(agent_id: str) -> list[tuple[bytes, int]]:
    """An id as it is read: characters without the case of ASCII, and numbers by their value."""
    key = []
    for piece in re.findall(r"[0-9]+|[^0-9]", agent_id):
        is_number = "0" <= piece[0] <= "9"
        char = piece.lower() if piece.isascii() else piece
        key.append((b"0", int(piece)) if is_number else (char.encode(), 0))
    return key


def paged(
    agents: list[Any],
    filter: Filter,
    *,
    sort: str = "id",
    limit: int = 100,
    after: tuple[Any, str] | None = None,
    offset: int = 0,
) -> tuple[list[Any], bool, int]:
    """A page as it could not be simpler: what the fleet's own is compared with."""
    found = fitting(agents, filter)
    total = len(found)
    descending = sort.startswith("-")
    found.sort(key=lambda agent: sort_value(agent, sort), reverse=descending)
    if after is not None:
        mark = sort_value(FakeAgent(after[1], **_valued(sort, after[0])), sort)
        found = [
            agent
            for agent in found
            if (sort_value(agent, sort) < mark if descending else sort_value(agent, sort) > mark)
        ]
    found = found[offset:]
    return found[:limit], len(found) > limit, total


def _valued(sort: str, value: Any) -> dict[str, Any]:
    name = sort.removeprefix("-")
    if name in ("id", "natural"):
        return {}
    return {"state" if name == "problem" else name: value}


def fitting(agents: list[Any], filter: Filter) -> list[Any]:
    """The agents that fit."""
    status, states, reason, dialect, labels, text = filter
    needle = (text or "").casefold()
    return [
        agent
        for agent in agents
        if status in (None, agent.status)
        and (not states or agent.state in states)
        and reason in (None, agent.reason_code)
        and dialect in (None, agent.dialect)
        and all(
            name in agent.labels if value is None else agent.labels.get(name) == value
            for name, value in labels
        )
        and (needle in agent.id.casefold() or needle in (agent.ip or ""))
    ]
