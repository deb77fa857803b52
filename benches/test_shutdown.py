"""How long does it take to stop a fleet, beside the least that it can take?

Every agent is told with an id of its own, answers at once, and is closed 1000. Timed is the whole
drain, from SIGTERM to the exit of the process; the ledger has its parts, and the connect storm and
the memory that came before.
"""

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benches.ledger import Ledger
from benches.round import Round

CONTENDERS = ["floor", "dscore"]
AGENTS = [1_000, 5_000, 10_000]
QUICK_AGENTS = [500]
ROUNDS = 7
QUICK_ROUNDS = 1


def test_drain(
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
    figures = one.finish()
    benchmark.extra_info.update(figures)
    ledger.record(f"Shutdown, {agents} agents", contender, figures)
