"""A week of a small fleet, at one tick for half a minute: the real policy against the model.

The clock is fake, the fleet, the state table and the wheel are the real ones. What the core does
with a connection (counting misses, closing at the timeout) is played here.
"""

from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, Literal, get_args

import pytest
from hypothesis import Phase, example, given, note, settings
from hypothesis import strategies as st

from dscore._core import AgentRow
from dscore.config import MonitoringConfig
from dscore.policy.liveness import configure, new_fleet
from graces import expire
from liveness_model import Model, Rules, Told
from outboxes import restore_one

TICK = 30_000
"""Milliseconds. Every default of the Socket.IO contract is a multiple of it."""
WEEK = 7 * 24 * 3600 * 1000 // TICK
NAMES = ("a", "b", "c", "d")
SOCKETIO_CONTRACT = Rules(
    check=1, misses=3, heartbeat_grace=2, reconnection_grace=4, offline_timeout=10
)

What = Literal[
    "app_ready",
    "first_heartbeat",
    "beat_once",
    "check_response",
    "beat_always",
    "beat_seldom",
    "fall_silent",
    "lose",
    "stale_end",
    "ask",
    "spare",
    "terminate",
    "remove",
    "maintenance",
    "restart",
    "stop",
]


@dataclass
class Connection:
    """What the core knows of one connection."""

    name: str
    heard_at: int | None = None
    heartbeat_ms: int | None = None
    """On the pool's clock."""
    misses: int = 0


class World:
    """The real policy, with a fake core under it and a fake clock. Its processes come and go."""

    def __init__(self, rules: Rules) -> None:
        self.now = 0
        """Ticks, those in which the process was stopped left out."""
        self.told: list[Told] = []
        self._stopped = 0
        self._rules = rules
        seconds = TICK // 1000
        self._monitoring = MonitoringConfig(
            health_check_interval=seconds * rules.check,
            connection_check_interval=seconds * rules.check,
            max_missed_heartbeats=rules.misses,
            heartbeat_grace_period=seconds * rules.heartbeat_grace,
            reconnection_grace_period=seconds * rules.reconnection_grace,
            offline_timeout=seconds * rules.offline_timeout,
        )
        self._conns = count(1)
        self._boot()

    def _boot(self) -> None:
        # The clock of a pool begins anew with its process.
        self._booted_at = self.now + self._stopped
        self.fleet = new_fleet()
        configure(self.fleet, self._monitoring)
        self.connections: dict[int, Connection] = {}

    @property
    def ms(self) -> int:
        """The pool's clock."""
        return (self.now + self._stopped - self._booted_at) * TICK + 1234

    def stop(self, ticks: int) -> None:
        """SIGSTOP, and SIGCONT after a while. The core plays no part in it: it has a clock of its
        own that leaves this out."""
        self._stopped += ticks
        self.fleet.skip(self.ms, ticks * TICK)

    def connect(self, name: str, *, heartbeat: bool) -> None:
        conn = next(self._conns)
        self.connections[conn] = Connection(name)
        self.fleet.open(conn, "10.0.0.1")
        kind = "heartbeat" if heartbeat else "app_ready"
        introduced = self.fleet.introduce(conn, name, kind, self.ms)
        assert introduced is not None
        if introduced.was_away:
            self.told.append((self.now, name, "back", None))
        self._tell(introduced.agent, introduced.changed)
        if heartbeat:
            self._hear(self.connections[conn], heartbeat=True)

    def agent(self, name: str) -> AgentRow:
        agent = self.fleet.agent(name)
        assert agent is not None
        return agent

    def hear(self, name: str, *, heartbeat: bool) -> None:
        agent = self.agent(name)
        connection = self.connections[agent.conn]
        # The core answers heartbeats, and speaks of one after a miss only.
        if connection.misses:
            self.fleet.heard(agent, heartbeat_ms=self.ms if heartbeat else 0)
            self._tell(agent, self.fleet.feed(agent, "beat", self.ms))
        self._hear(connection, heartbeat=heartbeat)

    def _hear(self, connection: Connection, *, heartbeat: bool) -> None:
        connection.heard_at, connection.misses = self.now, 0
        if heartbeat:
            connection.heartbeat_ms = self.ms

    def lose(self, conn: int, *, timed_out: bool = False) -> None:
        """A connection ends, an agent's own or one that was taken over."""
        agent, connection = self.fleet.owner(conn), self.connections.pop(conn)
        if agent is not None:
            self.fleet.heard(agent, heartbeat_ms=connection.heartbeat_ms or 0)
            self.fleet.release(agent, self.ms)
            self._tell(agent, self.fleet.feed(agent, "timed_out" if timed_out else "lost", self.ms))
        self.fleet.close(conn)

    def end(self, name: str, reason: Literal["terminated", "operator"]) -> None:
        agent = self.agent(name)
        conn = agent.conn
        self.fleet.release(agent, self.ms)
        what = "removed" if reason == "operator" else "terminated"
        self._tell(agent, self.fleet.feed(agent, what, self.ms))
        if reason == "operator":
            self.fleet.forget(agent)
        if conn:
            self.lose(conn)

    def set_maintenance(self, *, enabled: bool) -> None:
        if enabled:
            self.fleet.stop_clock(self.ms)
            for conn in list(self.connections):
                self.lose(conn)
        else:
            self.fleet.start_clock(self.ms)

    def restart(self, down_for: int) -> None:
        """kill -9, and a start after a while: what the store has is all that is left."""
        stored = [
            (agent.agent_id, agent.state, agent.reason_code, agent.last_heartbeat)
            for agent in self.fleet.agents()
        ]
        earlier = self._booted_at
        self.now += down_for
        self._boot()
        for agent_id, state, reason_code, last_heartbeat in stored:
            if last_heartbeat is not None:
                last_heartbeat -= (self._booted_at - earlier) * TICK
            rest = ("10.0.0.1", "raw", 1, "app_ready", 0, last_heartbeat, None)
            restore_one(self.fleet, agent_id, state, reason_code, *rest, left=0, now=self.ms)

    def settle(self) -> None:
        for conn, connection in list(self.connections.items()):
            # Read in bulk, every process_check_interval: that is shorter than a tick.
            agent = self.fleet.owner(conn)
            if agent is not None:
                self.fleet.heard(agent, heartbeat_ms=connection.heartbeat_ms or 0)
            if connection.heard_at is not None:
                self._watch_silence(conn, connection, self.now - connection.heard_at)
        deadline = self.fleet.next_deadline()
        if deadline is not None and deadline <= self.ms:
            for agent in expire(self.fleet, self.ms, 100):
                self._tell(agent, True)

    def _watch_silence(self, conn: int, connection: Connection, silence: int) -> None:
        if silence >= self._rules.offline_timeout:
            self.lose(conn, timed_out=True)
        elif silence // self._rules.check > connection.misses:
            connection.misses += 1
            agent = self.fleet.owner(conn)
            if agent is not None:
                self._tell(agent, self.fleet.missed(agent, connection.misses, self.ms))

    def _tell(self, agent: AgentRow, changed: bool) -> None:
        if changed:
            self.told.append((self.now, agent.agent_id, agent.status, agent.reason_code))


class Week:
    """Both of them, living through the same."""

    def __init__(self, rules: Rules) -> None:
        self.world = World(rules)
        self.model = Model(rules)
        self.habits: dict[str, int] = {}
        """Who beats by itself, once in how many ticks."""

    def tick(self) -> None:
        """Half a minute passes, and those beat who do so by habit."""
        self.world.now += 1
        self.model.tick()
        for name, every in self.habits.items():
            if self.model.now % every == 0 and self._is_connected(name):
                self._both("hear", name, heartbeat=True)

    def happen(self, what: What, name: str, number: int) -> None:
        """Something happens now, if it can."""
        match what:
            case "app_ready" | "first_heartbeat":
                if not self.model.maintenance:
                    self._both("connect", name, heartbeat=what == "first_heartbeat")
            case "beat_always" | "beat_seldom":
                self.habits[name] = 1 if what == "beat_always" else 2 + number
            case "fall_silent":
                self.habits.pop(name, None)
            case "maintenance":
                self._both("set_maintenance", enabled=not self.model.maintenance)
            case "restart":
                self._both("restart", number)
            case "stop":
                self._both("stop", 1 + number)
            case "stale_end":
                owners = {agent.conn for agent in self.world.fleet.agents()}
                for conn in [conn for conn in self.world.connections if conn not in owners]:
                    self.world.lose(conn)
            case "remove":
                if name in self.model.agents:
                    self._both("end", name, "operator")
            case _:
                if self._is_connected(name):
                    self._happen_to_connected(what, name)

    def _happen_to_connected(self, what: What, name: str) -> None:
        agent = self.world.agent(name)
        match what:
            case "beat_once" | "check_response":
                self._both("hear", name, heartbeat=what == "beat_once")
            case "lose":
                self.world.lose(agent.conn)
                self.model.lose(name)
            case "ask":
                self.world.fleet.feed(agent, "terminate_sent", self.world.ms)
            case "spare":
                self.world.fleet.feed(agent, "terminate_over", self.world.ms)
            case "terminate":
                self._both("end", name, "terminated")

    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()
            self.compare()

    def compare(self) -> int:
        """The same was told, and the same would be told to all that ask.

        Returns:
            How much was told.
        """
        self.world.settle()
        self.model.settle()
        assert self.world.now == self.model.now
        assert sorted(self.world.told, key=_order) == sorted(self.model.told, key=_order)
        told = len(self.model.told)
        self.world.told.clear()
        self.model.told.clear()
        agents = {agent.agent_id: agent for agent in self.world.fleet.agents()}
        assert agents.keys() == self.model.agents.keys()
        for name, facts in self.model.agents.items():
            record = agents[name]
            assert (record.status == "online") == facts.online
            assert record.reason_code == facts.reason
            assert bool(record.conn) == facts.connected
            assert (record.state == "unknown") == (facts.online and facts.since_boot)
            assert (record.state == "terminated") == (facts.reason == "terminated")
        return told

    def _both(self, what: str, *args: Any, **named: Any) -> None:
        getattr(self.world, what)(*args, **named)
        getattr(self.model, what)(*args, **named)

    def _is_connected(self, name: str) -> bool:
        return name in self.model.agents and self.model.agents[name].connected


def _order(told: Told) -> tuple[int, str]:
    """Whom it concerns; the order for one agent is kept, for sorting is stable."""
    return told[0], told[1]


@st.composite
def some_rules(draw: st.DrawFn) -> Rules:
    check = draw(st.integers(1, 3))
    return Rules(
        check=check,
        misses=draw(st.integers(1, 4)),
        heartbeat_grace=draw(st.integers(0, 12)),
        reconnection_grace=draw(st.integers(0, 8)),
        offline_timeout=draw(st.integers(check + 1, 20)),
    )


OFTEN: tuple[What, ...] = ("app_ready", "first_heartbeat", "first_heartbeat", "lose", "lose")
"""More of what makes the rest possible."""
WHATS = (*get_args(What), *OFTEN)
HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 5), st.sampled_from(WHATS), st.sampled_from(NAMES[:2]), st.integers(0, 9)
    ),
    # One is drawn about twice as long as it must be.
    min_size=20,
    max_size=80,
)


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.just(SOCKETIO_CONTRACT), some_rules()), HISTORIES)
@example(SOCKETIO_CONTRACT, [(0, "first_heartbeat", "a", 0), (1, "restart", "a", 12)])
def test_liveness_1_to_7_the_policy_does_what_the_rules_say(
    rules: Rules, history: list[tuple[int, What, str, int]]
) -> None:
    week = Week(rules)
    for gap, what, name, number in [*history, (60, "restart", "a", 0), (60, "restart", "a", 0)]:
        week.wait(gap)
        note(f"{week.model.now}: {what} {name} {number}")
        week.happen(what, name, number)
        week.compare()


@pytest.mark.timeout(300)
@settings(max_examples=10, deadline=None, phases=(Phase.generate,))
@given(st.one_of(st.just(SOCKETIO_CONTRACT), some_rules()), st.integers(0))
def test_liveness_1_to_7_in_a_simulated_week_the_policy_does_what_the_rules_say(
    rules: Rules, seed: int
) -> None:
    random, week, told = Random(seed), Week(rules), 0
    while week.model.now < WEEK:
        # Mostly a lot happens at once, and now and then nothing for hours.
        week.wait(random.choice((0, 1, 1, 2, 3, 5, 8, 13, random.randrange(200))))
        what, name = random.choice(WHATS), random.choice(NAMES)
        note(f"{week.model.now}: {what} {name}")
        week.happen(what, name, random.randrange(10))
        told += week.compare()
    assert told > 100, "something went on"
