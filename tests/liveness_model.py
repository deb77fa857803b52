"""PROTOCOL.md §5 as a program that could not be simpler, for the real policy to be compared with.

It has no states, no timers and no table: it keeps what happened (who is connected, who was heard of
when) and asks at every tick what the rules make of that. Times are ticks.
"""

from dataclasses import dataclass

Told = tuple[int, str, str, str | None]
"""When, of whom, what ("online", "offline" or "back"), and why."""


@dataclass(frozen=True)
class Rules:
    """The settings of `monitoring` that have a part in §5, in ticks."""

    check: int
    misses: int
    heartbeat_grace: int
    reconnection_grace: int
    offline_timeout: int


@dataclass
class Facts:
    """All that is known of one agent."""

    online: bool = False
    reason: str | None = None
    connected: bool = False
    heard_at: int | None = None
    """The last heartbeat or check response on this connection."""
    heartbeat_at: int | None = None
    """The last heartbeat ever."""
    stopped: int = 0
    """Ticks since then in which this process was stopped."""
    stopped_before: int = 0
    """The same of earlier processes: by the time of day, which is all that a restart leaves, those
    count for its age."""
    away_for: int = 0
    """Ticks without a connection; those in maintenance do not count."""
    age_at_loss: int | None = None
    """How old its last heartbeat was when it lost the connection."""
    since_boot: bool = False
    """Whether this process has never seen it."""


class Model:
    """The fleet as the rules see it. What happens in a tick comes first, then `settle`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.now = 0
        self.maintenance = False
        self.agents: dict[str, Facts] = {}
        self.told: list[Told] = []

    def tick(self) -> None:
        self.now += 1
        if not self.maintenance:
            for facts in self.agents.values():
                facts.away_for += not facts.connected

    def connect(self, name: str, *, heartbeat: bool) -> None:
        """Introduced, whether it was away or takes over (rule 7)."""
        facts = self.agents.setdefault(name, Facts())
        if facts.online and not facts.connected:
            self.told.append((self.now, name, "back", None))
        facts.connected, facts.since_boot, facts.heard_at = True, False, None
        self._online(name)
        if heartbeat:
            self.hear(name, heartbeat=True)

    def hear(self, name: str, *, heartbeat: bool) -> None:
        """Rule 1; a connection_check_response leaves the last heartbeat as it is."""
        facts = self.agents[name]
        facts.heard_at = self.now
        if heartbeat:
            facts.heartbeat_at = self.now
            facts.stopped = facts.stopped_before = 0
        self._online(name)

    def lose(self, name: str) -> None:
        """Rule 4 begins."""
        facts = self.agents[name]
        facts.connected, facts.away_for = False, 0
        last = facts.heartbeat_at
        facts.age_at_loss = None if last is None else self.now - last

    def end(self, name: str, reason: str) -> None:
        """Rule 6: terminated, or removed by an operator."""
        self.agents[name].connected = False
        self._offline(name, reason)
        self.agents[name].reason = reason
        if reason == "operator":
            del self.agents[name]

    def set_maintenance(self, *, enabled: bool) -> None:
        """Rule 6: all connections are closed, and graces stand still."""
        self.maintenance = enabled
        for name, facts in self.agents.items():
            if enabled and facts.connected:
                self.lose(name)

    def restart(self, down_for: int) -> None:
        """Rule 5: the process ends, without a word, and another one begins."""
        self.now += down_for
        self.maintenance = False
        for facts in self.agents.values():
            facts.connected, facts.since_boot, facts.away_for = False, True, 0
            facts.stopped_before += facts.stopped
            facts.stopped = 0

    def stop(self, ticks: int) -> None:
        """Rule 3: the process does not look. Nothing happens, and no clock goes on."""
        for facts in self.agents.values():
            facts.stopped += ticks

    def settle(self) -> None:
        """What time alone brings about."""
        for name, facts in self.agents.items():
            if facts.connected:
                if facts.heard_at is not None:
                    self._silence(name, facts, self.now - facts.heard_at)
            elif facts.online and not self.maintenance:
                self._absence(name, facts)

    def _absence(self, name: str, facts: Facts) -> None:
        if facts.away_for >= self.rules.reconnection_grace:
            if facts.since_boot:
                self._offline(name, self._why_unknown(facts))
            elif not self._is_young(facts):
                self._offline(name, "reconnect_timeout")

    def _silence(self, name: str, facts: Facts, silence: int) -> None:
        rules = self.rules
        if silence >= rules.offline_timeout:
            facts.connected = False
            self._offline(name, "heartbeat_timeout")
        elif silence >= rules.check * rules.misses + rules.heartbeat_grace:
            self._offline(name, "missed_heartbeats")

    def _is_young(self, facts: Facts) -> bool:
        """Whether the rest of its heartbeat's grace must be waited out first."""
        age = facts.age_at_loss
        return age is not None and age + facts.away_for < self.rules.heartbeat_grace

    def _why_unknown(self, facts: Facts) -> str:
        if facts.heartbeat_at is None:
            return "no_connection"
        age = self.now - facts.heartbeat_at + facts.stopped_before
        return "heartbeat_timeout" if age > self.rules.offline_timeout else "reconnect_timeout"

    def _online(self, name: str) -> None:
        facts = self.agents[name]
        if not facts.online:
            facts.online, facts.reason = True, None
            self.told.append((self.now, name, "online", None))

    def _offline(self, name: str, reason: str) -> None:
        facts = self.agents[name]
        if facts.online:
            facts.online, facts.reason = False, reason
            self.told.append((self.now, name, "offline", reason))
