"""The whole life of a fleet, on dscore and on what a user would pick instead: what does it cost?

One round is a connect storm, some seconds of heartbeats and the drain, so that each server is
started once for all its figures. The peers are those that `make bench-peers` has built.
"""

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benches.ledger import Ledger
from benches.peers import PEERS, built
from benches.round import Round

CONTENDERS = ["floor", "dscore", *built()]
LEFT_OUT = [name for name in PEERS if name not in CONTENDERS]
AGENTS = [10_000]
QUICK_AGENTS = [500]
ROUNDS = 3
QUICK_ROUNDS = 1
INTERVAL = "5s"
SECONDS = 3.0
QUICK_SECONDS = 0.5


def test_side_by_side(
    benchmark: BenchmarkFixture,
    start_round: Callable[..., Round],
    ledger: Ledger,
    quick: bool,
    contender: str,
    agents: int,
) -> None:
    benchmark.group = f"drain of {agents} agents"
    one = start_round(heartbeat_interval=INTERVAL, heartbeats="off")
    one.heartbeats(QUICK_SECONDS if quick else SECONDS)
    # pytest-benchmark has no types. It is one round of its own: the servers take turns.
    benchmark.pedantic(one.drain, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    figures = one.finish()
    # A share of a core has a meaning at the interval of a real fleet: test_heartbeat.py.
    del figures["beating_cpu_percent"]
    ledger.record(f"{agents:,} agents, each server in turn", contender, figures)
