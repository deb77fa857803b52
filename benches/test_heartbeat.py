"""What does a heartbeat cost the server, and a fleet that does nothing else?

Agents beat in an open loop, evenly over the interval; latencies count from the intended time.
"""

from collections.abc import Callable

import pytest

from benches.ledger import Ledger
from benches.round import Round

CONTENDERS = ["floor", "dscore"]
AGENTS = [10_000]
QUICK_AGENTS = [500]
ROUNDS = 3
QUICK_ROUNDS = 1
SECONDS = 10.0
QUICK_SECONDS = 0.5
KEYS = ("beat_cpu_us", "beat_p50_ms", "beat_p99_ms", "beating_cpu_percent", "others")


@pytest.mark.parametrize("interval", ["5s", "30s"])
def test_heartbeats(
    start_round: Callable[..., Round],
    ledger: Ledger,
    quick: bool,
    contender: str,
    agents: int,
    interval: str,
) -> None:
    one = start_round(heartbeat_interval=interval, heartbeats="off")
    one.heartbeats(QUICK_SECONDS if quick else SECONDS)
    one.drain()
    figures = one.finish()
    bench = f"Heartbeats, {agents} agents, one every {interval}"
    ledger.record(bench, contender, {key: figures[key] for key in KEYS})
