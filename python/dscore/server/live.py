"""What the parts of one server share."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from dscore.arguments import number
from dscore.clock import Seconds, WallClock, wall
from dscore.policy.admission import is_asked
from dscore.policy.agent import Agent, AgentFleet
from dscore.policy.deadline import Deadline
from dscore.policy.drain import MAX_TIMEOUT
from dscore.server.audit_trail import AuditTrail
from dscore.server.clock import Clock
from dscore.server.deliveries import Deliveries
from dscore.server.drops import Drops
from dscore.server.fleet_settings import admit
from dscore.server.gaps import Gaps
from dscore.server.log_limit import LogLimit
from dscore.server.readings import Readings
from dscore.server.timeline import Timeline
from dscore.server.wrong_tokens import WrongTokens

if TYPE_CHECKING:
    from dscore._core import AgentRow, Fleet, ReactorPool, ServingState
    from dscore.auth import Keyring
    from dscore.config import Config
    from dscore.server.hooks import Hooks
    from dscore.server.tasks import Tasks
    from dscore.store.behind import Behind

REFUSAL_REASONS: dict[Literal["draining", "maintenance"], str] = {
    "draining": "Server shutting down",
    "maintenance": "Server temporarily unavailable",
}


@dataclass(slots=True)
class Counters:
    """What the core cannot count: decisions. Read as metrics, so the names end in `_total`."""

    takeovers_total: int = 0
    sessions_restored_total: int = 0
    authentication_failures_total: int = 0
    outbox_dropped_total: int = 0
    agents_evicted_total: int = 0
    configs_dropped_total: int = 0
    clock_steps_total: int = 0
    tls_reload_failures_total: int = 0


@dataclass(slots=True)
class Live:
    """One server's parts and its present settings. `config` and the tokens change on a reload: read
    them here."""

    handles: AgentFleet
    config: "Config"
    pool: "ReactorPool"
    fleet: "Fleet"
    store: "Behind"
    hooks: "Hooks"
    tasks: "Tasks"
    keyring: "Keyring"
    reactors: int
    wall: Seconds = wall
    """Unix seconds: asked by the clock alone."""
    serving: "ServingState" = "open"
    started_at: float | None = None
    """When the start was complete, in seconds of the monotonic clock."""
    stopping_since: float | None = None
    """When the drain, or the close, began: seconds of `clock`."""
    deadline: Deadline = field(default_factory=lambda: Deadline(0, None))
    """By when it is to be over; made when it begins."""
    sent_away: frozenset[int] = frozenset()
    """Connections that maintenance has begun to close; numbers are never used again."""
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last connection has closed."""
    counters: Counters = field(default_factory=Counters)
    wrong_tokens: WrongTokens = field(default_factory=WrongTokens)
    gaps: Gaps = field(default_factory=Gaps)
    log_limit: LogLimit = field(default_factory=LogLimit)
    clock: Clock = field(init=False)
    times: WallClock = field(init=False)
    timeline: Timeline = field(init=False)
    audit_trail: AuditTrail = field(init=False)
    deliveries: Deliveries = field(init=False)
    drops: Drops = field(init=False)
    readings: Readings = field(init=False)

    def __post_init__(self) -> None:
        pool, fleet, store = self.pool, self.fleet, self.store
        self.clock = Clock(pool, asyncio.get_running_loop(), self.skip)
        self.times = WallClock(pool.now_ms, self.wall)
        self.timeline = Timeline(fleet, self.times.unix_ms)
        self.audit_trail = AuditTrail(store, pool.now_ms, self.times.unix_ms)
        self.deliveries = Deliveries(pool, fleet, store)
        self.drops = Drops(fleet)
        self.readings = Readings(pool, fleet, self.reactors)
        self.take_over_settings()

    def skip(self, seconds: float) -> None:
        """The loop did not turn for so long, until now."""
        now, length = self.pool.now_ms(), round(seconds * 1000)
        self.fleet.skip(now, length)
        self.store.clock.skip(seconds)
        self.gaps.count(now - length, now, "loop")

    def take_over_settings(self) -> None:
        """Tells the fleet and the store what `config` has for them."""
        limits, most = self.config.limits, self.config.session.outbox_limit
        self.fleet.bound_outboxes(most, limits.outbox_bytes, limits.absent_bytes)
        self.store.bound(history=limits.history_bytes)
        self._admit()

    @property
    def uptime(self) -> float:
        """Seconds since the start was complete."""
        return 0.0 if self.started_at is None else time.monotonic() - self.started_at

    def termination_timeout(self, seconds: float | None) -> float:
        """How long an agent has to answer terminate_app; `shutdown.timeout` if it is None.

        Raises:
            ValueError: it is no number, negative, or longer than a day.
        """
        if seconds is None:
            return self.config.shutdown.timeout
        return number("timeout", seconds, 0.0, MAX_TIMEOUT)

    @property
    def portion_bytes(self) -> int:
        """Of what waited for an agent, handed out at once: half of what its connection queues."""
        return self.config.limits.outbox_bytes // 2

    def unix(self, now: int) -> float:
        """A time of the pool's clock in Unix seconds."""
        return self.times.unix_ms(now) / 1000

    def age(self) -> int:
        """Milliseconds of the clock on which what is kept grows old."""
        return self.store.clock.now()

    def count_drops(self) -> None:
        self.counters.outbox_dropped_total += self.drops.take()

    def serve(self, state: "ServingState") -> None:
        """Says what is done with new connections from here on."""
        self.serving = state
        self._admit()
        self.pool.set_serving_state(state)

    def _admit(self) -> None:
        config = self.config
        is_judged = is_asked(config) or self.hooks.authenticate is not None
        admit(self.fleet, config, is_open=self.serving == "open" and not is_judged)

    def stop_taking(self) -> None:
        """Turns everything new away: the first thing that a drain, or a close, does."""
        self.stopping_since = self.clock.read()
        self.deadline = Deadline(self.pool.now_ms(), self.config.shutdown.deadline)
        self.serve("draining")

    def seconds_since_stopping(self) -> float:
        since = self.stopping_since
        return 0.0 if since is None else self.clock.read() - since

    def agent(self, record: "AgentRow") -> Agent:
        """The handle that a program's hooks are given."""
        return Agent(self.handles, record)

    def all_connections(self) -> list[int]:
        """Connections that hear what is meant for all, but not before an expected token."""
        return self.fleet.audience(unauthenticated=not self.config.auth.required)

    async def wait_until_empty(self, timeout: float) -> bool:
        """Whether no connection is left, in the end or in time."""
        if not self.fleet.is_empty():
            self.emptied.clear()
            with suppress(asyncio.TimeoutError):
                await self.clock.wait_for(self.emptied.wait(), timeout)
        return self.fleet.is_empty()
