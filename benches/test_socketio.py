"""The whole life of a fleet that speaks Socket.IO: what does it cost, beside one that speaks raw?

`dscore` is the raw dialect, for comparison; all others are asked in Socket.IO, by WebSocket alone:
`dscore-socketio`, and the servers that `make bench-peers` has built.
"""

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benches.ledger import Ledger
from benches.peers import built, speaking
from benches.round import Round, whole_life

CONTENDERS = ["dscore", "dscore-socketio", *built("socketio")]
LEFT_OUT = [name for name in speaking("socketio") if name not in CONTENDERS]
ABOUT = {"aims": "dscore-socketio / dscore: memory ≤ 1.3, CPU per heartbeat ≤ 1.5"}
AGENTS = [10_000]
QUICK_AGENTS = [500]
QUICK_CONTENDERS = ["dscore-socketio"]
ROUNDS = 3
QUICK_ROUNDS = 1
INTERVAL = "5s"
SECONDS = 3.0
QUICK_SECONDS = 0.5


def test_socketio(
    benchmark: BenchmarkFixture,
    start_round: Callable[..., Round],
    ledger: Ledger,
    quick: bool,
    contender: str,
    agents: int,
) -> None:
    figures = whole_life(benchmark, start_round, INTERVAL, QUICK_SECONDS if quick else SECONDS)
    ledger.record(f"{agents:,} agents over Socket.IO; dscore speaks raw", contender, figures)
