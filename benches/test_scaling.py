"""Does an agent of a large fleet cost what one of a small one costs? With one reactor, and two?"""

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benches.ledger import Ledger
from benches.round import Round

CONTENDERS = ["floor", "dscore-1", "dscore-2"]
AGENTS = [1_000, 2_000, 5_000, 10_000, 14_000, 18_000]
QUICK_AGENTS = [500]
QUICK_CONTENDERS = ["dscore-2"]
ROUNDS = 3
QUICK_ROUNDS = 1


def test_scaling(
    benchmark: BenchmarkFixture,
    start_round: Callable[..., Round],
    ledger: Ledger,
    contender: str,
    agents: int,
) -> None:
    benchmark.group = f"drain of {agents} agents"
    one = start_round()
    # pytest-benchmark has no types. It is one round of its own: the servers take turns.
    benchmark.pedantic(one.drain, rounds=1, iterations=1)  # type: ignore[no-untyped-call]
    ledger.record(f"Scaling, {agents:,} agents", contender, one.finish())
