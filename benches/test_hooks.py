"""What a hook costs that a program overrides: Python is asked for each agent then."""

import dscore
from benches.ledger import Ledger
from benches.programs import Programs
from benches.test_threads import AGENTS, QUICK_AGENTS, QUICK_ROUNDS, ROUNDS, measure


class Authenticates(dscore.Policy):
    def authenticate(self, candidate: dscore.Candidate) -> bool:
        return True


class AuthenticatesLater(dscore.Policy):
    async def authenticate(self, candidate: dscore.Candidate) -> bool:
        return True


class Connects(dscore.Policy):
    def on_connect(self, agent: dscore.Agent) -> None:
        pass


class ConnectsLater(dscore.Policy):
    async def on_connect(self, agent: dscore.Agent) -> None:
        pass


class Disconnects(dscore.Policy):
    def on_disconnect(self, agent: dscore.Agent, close_code: int, reason: str) -> None:
        pass


class Changes(dscore.Policy):
    def on_status_change(self, agent: dscore.Agent, status: str, reason_code: str | None) -> None:
        pass


POLICIES: dict[str, type[dscore.Policy]] = {
    "none": dscore.Policy,
    "authenticate": Authenticates,
    "async authenticate": AuthenticatesLater,
    "on_connect": Connects,
    "async on_connect": ConnectsLater,
    "on_disconnect": Disconnects,
    "on_status_change": Changes,
}


def test_hooks(ledger: Ledger, programs: Programs, quick: bool) -> None:
    agents = QUICK_AGENTS if quick else AGENTS
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        for name, policy in POLICIES.items():
            figures = measure(programs, agents, policy())
            told = ("loop_introduction_us", "loop_drain_us", "others")
            figures = {key: figures[key] for key in told}
            ledger.record(f"Hooks overridden, {agents:,} agents, one reactor", name, figures)
