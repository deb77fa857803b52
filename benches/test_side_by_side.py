"""The whole life of a fleet, on dscore and on what a user would pick instead: what does it cost?

The peers are those that `make bench-peers` has built. Those of Socket.IO: test_socketio.py.
"""

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benches.ledger import Ledger
from benches.peers import built, speaking
from benches.round import Round, whole_life

CONTENDERS = ["floor", "dscore", "dscore-sqlite", *built("raw")]
LEFT_OUT = [name for name in speaking("raw") if name not in CONTENDERS]
AGENTS = [10_000]
QUICK_AGENTS = [500]
QUICK_CONTENDERS = ["floor", "dscore-sqlite"]
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
    figures = whole_life(benchmark, start_round, INTERVAL, QUICK_SECONDS if quick else SECONDS)
    ledger.record(f"{agents:,} agents, each server in turn", contender, figures)
