"""What does an agent cost a server that has one processor for itself, its fleet being on another?

With two processors for both, what a server does beside its reactor runs on the other processor, in
the time that the fleet leaves there, and no clock on the wall shows it. Here it has to be paid.
`dscore-sqlite` has the default store, `dscore` keeps it in memory; uWebSockets.js is measured where
`make bench-peers` could build it.
"""

from collections.abc import Callable
from functools import partial

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.aims import Aim
from benches.cores import pick
from benches.ledger import Ledger
from benches.peers import PEERS
from benches.round import Round, whole_life

PEER = "uWebSockets.js"
CONTENDERS = ["floor", "dscore-sqlite", "dscore", *([PEER] if PEERS[PEER].is_built else [])]
LEFT_OUT = [name for name in (PEER,) if name not in CONTENDERS]
AGENTS = [10_000]
QUICK_AGENTS = [500]
QUICK_CONTENDERS = ["dscore"]
ROUNDS = 5
QUICK_ROUNDS = 1
INTERVAL = "5s"
SECONDS = 5.0
QUICK_SECONDS = 0.5
CORES = pick()
ABOUT = {"pinned": str(CORES)}


def _aim(key: str, label: str, unit: str, sqlite: float, memory: float, **how: bool) -> Aim:
    return Aim(key, label, unit, {"dscore-sqlite": sqlite, "dscore": memory}, **how)


AIMS = (
    _aim("storm_rate", "agents introduced a second", "", 0.55, 0.60, at_least=True),
    _aim("storm_cpu_us", "server CPU of an introduction", " µs", 1.8, 1.5),
    _aim("receipt_last_ms", "last `terminate_app` received", " ms", 1.15, 1.15),
    _aim("exit_ms", "process exit", " ms", 1.6, 1.4),
    _aim("drain_cpu_us", "server CPU of the drain, an agent", " µs", 1.6, 1.4),
    _aim("beat_cpu_us", "server CPU of a heartbeat", " µs", 1.05, 1.05),
    _aim("memory_bytes", "memory of an idle agent", " B", 640, 640, absolute=True),
)


@pytest.mark.skipif(CORES is None, reason="one processor only: server and fleet need one each")
def test_pinned(
    benchmark: BenchmarkFixture,
    start_round: Callable[..., Round],
    ledger: Ledger,
    quick: bool,
    contender: str,
    agents: int,
) -> None:
    start = partial(start_round, cores=CORES)
    figures = whole_life(benchmark, start, INTERVAL, QUICK_SECONDS if quick else SECONDS)
    ledger.record(f"{agents:,} agents, each server alone on one processor", contender, figures)
