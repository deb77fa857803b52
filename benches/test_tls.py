"""What does TLS cost: a handshake, an idle agent, a heartbeat, the drain, a fleet that comes back?

Each server alone on one processor, its fleet on another (test_pinned.py). `dscore` speaks plainly,
`dscore-tls` and the peers TLS 1.3; rustls and nginx do handshakes alone. The fleet's handshakes are
full ones, X25519 with a P-256 certificate.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.aims import Aim
from benches.cores import on, pick
from benches.fleet import Fleet
from benches.ledger import Ledger
from benches.noise import Busy
from benches.peers import PEERS
from benches.programs import Programs
from benches.round import Round, whole_life
from benches.secure import NGINX, SECURE_PEERS, certificate
from benches.server import PATHS, Server, free_port, is_ready, start

OURS, OWN = "dscore-tls", "dscore-tls-own"
"""The records are rustls', or the server's own (`tls.record_layer`)."""
BUILT = [f"{name}-tls" for name in SECURE_PEERS if PEERS[name].is_built]
YARDSTICK = ["nginx-tls"] if NGINX else []
CONTENDERS = ["dscore", OURS, OWN, *BUILT]
QUICK_CONTENDERS = [OWN]
LEFT_OUT = [name for name in SECURE_PEERS if f"{name}-tls" not in BUILT]
if not NGINX:
    LEFT_OUT.append("nginx")
AGENTS = [10_000]
QUICK_AGENTS = [200]
ROUNDS = 3
QUICK_ROUNDS = 1
SECONDS = 3.0
QUICK_SECONDS = 0.5
CORES = pick()
ABOUT = {"pinned": str(CORES)}

BEATING = 2_000
"""Agents that beat once a second while the others come back."""
AT_ONCE = 1000
"""Of those, on their way in at once: one process speaks for all of them, and is late with more, as
clients are not that have a processor each."""
WINDOWS = 16
"""Of heartbeats over each of the two, in turns: what else a server does falls on both."""
WINDOW_SECONDS = 0.25
BOTH_INTERVAL = "0.5"
"""Of each agent, seconds."""

AIMS = (
    Aim(
        "handshake_cpu_us", "server CPU of a handshake", " µs", {OURS: 1.3, OWN: 1.3}, base="rustls"
    ),
    Aim("upgraded_bytes", "memory in the reactor", " B", {OWN: 560}, absolute=True),
    Aim("memory_bytes", "memory of an idle agent", " B", {OURS: 10_240, OWN: 1_280}, absolute=True),
    Aim("receipt_last_ms", "last `terminate_app`", " ms", {OURS: 1.3, OWN: 1.3}, base="dscore"),
    Aim("storm_p99_ms", "heartbeat beside the storm, p99", " ms", {OURS: 5, OWN: 5}, absolute=True),
    Aim("more_beat_us", "a heartbeat, more over TLS", " µs", {OURS: 1.5, OWN: 1.5}, absolute=True),
)

Test = Callable[..., None]


def among(*names: str, quick: tuple[str, ...]) -> Callable[[Test], Test]:
    """Names the servers of one bench, and those of a small run."""

    def note(test: Test) -> Test:
        test.contenders = names  # type: ignore[attr-defined]
        test.quick_contenders = quick  # type: ignore[attr-defined]
        return test

    return note


@pytest.fixture
def start_rested(start_round: Callable[..., Round]) -> Callable[..., Round]:
    """Starts a round on its processors, and lets the server come to rest."""

    def start(**options: Any) -> Round:
        one = start_round(cores=CORES, **options)
        one.rest()
        return one

    return start


pytestmark = pytest.mark.skipif(CORES is None, reason="server and fleet need a processor each")


def test_whole_life(
    benchmark: BenchmarkFixture,
    start_rested: Callable[..., Round],
    ledger: Ledger,
    quick: bool,
    contender: str,
    agents: int,
) -> None:
    figures = whole_life(benchmark, start_rested, "5s", QUICK_SECONDS if quick else SECONDS)
    ledger.record(f"The life of {agents:,} agents", contender, figures)


@among("rustls", OURS, OWN, *BUILT, *YARDSTICK, quick=("rustls", OURS))
def test_handshakes(
    start_rested: Callable[..., Round], ledger: Ledger, contender: str, agents: int
) -> None:
    figures = start_rested(until="handshake").leave()
    kept = {
        "handshake_rate": figures["storm_rate"],
        "handshake_cpu_us": figures["storm_cpu_us"],
        "held_bytes": figures["memory_bytes"],
        "others": figures["others"],
    }
    ledger.record(f"{agents:,} handshakes, and nothing behind them", contender, kept)


@among("dscore", OURS, OWN, quick=("dscore",))
def test_reactor_memory(
    request: pytest.FixtureRequest,
    start_rested: Callable[..., Round],
    programs: Programs,
    ledger: Ledger,
    contender: str,
    agents: int,
) -> None:
    """Of each agent further: what the handshakes of the first leave behind they leave once."""
    assert CORES is not None
    half = agents // 2
    one = start_rested(agents=half, until="upgrade")
    first, before = one.figures["memory_bytes"], (one.server.pss_bytes(), one.server.heap_bytes())
    with on(CORES.fleet):
        more = Fleet(programs.load, one.server.url, agents=half, prefix="more-", until="upgrade")
    request.addfinalizer(more.close)
    assert more.wait_for("introduced")["count"] == half, one.server.log
    one.rest()
    fleet = (one.server.heap_bytes() - before[1]) / half
    further = (one.server.pss_bytes() - before[0]) / half
    more.command("stop")
    one.beside_cpu = more.wait_for("report")["cpu_seconds"]
    figures = one.leave()
    kept = {"upgraded_bytes": further - fleet, "fleet_bytes": fleet, "first_bytes": first}
    kept["others"] = figures["others"]
    ledger.record(f"{half:,} WebSockets more, none introduced: the reactor's part", contender, kept)


@among(OURS, OWN, *BUILT, quick=(OURS,))
def test_heartbeats_beside_a_storm(
    request: pytest.FixtureRequest,
    start_round: Callable[..., Round],
    programs: Programs,
    ledger: Ledger,
    contender: str,
    agents: int,
) -> None:
    assert CORES is not None
    beating = min(BEATING, agents)
    one = start_round(cores=CORES, agents=beating, heartbeat_interval="1s", heartbeats="off")
    options = {"agents": agents, "prefix": "storm-", "concurrency": AT_ONCE}
    with one.beating():
        with on(CORES.fleet):
            storm = Fleet(programs.load, one.server.url, handshake_timeout="60s", **options)
        request.addfinalizer(storm.close)
        storm.be_nice()
        introduced = storm.wait_for("introduced")
    assert introduced["count"] == agents, f"{introduced}\n{one.server.log}"
    one.drain()
    one.beside_cpu = storm.wait_for("report")["cpu_seconds"]
    figures = one.finish()
    kept = {f"storm_{name}_ms": figures[f"beat_{name}_ms"] for name in ("p50", "p99", "max")}
    kept |= {"storm_seconds": introduced["seconds"], "others": figures["others"]}
    ledger.record(f"{beating:,} heartbeats a second while {agents:,} come back", contender, kept)


@among(OURS, OWN, quick=(OWN,))
def test_heartbeats_of_both(
    request: pytest.FixtureRequest,
    programs: Programs,
    ledger: Ledger,
    tmp_path: Path,
    contender: str,
    agents: int,
) -> None:
    """One server has both: what differs between two processes is greater than what is asked."""
    assert CORES is not None
    with on(CORES.server):
        server, secure = start_both(tmp_path, "own" if contender == OWN else "rustls")
    request.addfinalizer(server.close)
    options = {"agents": agents // 2, "heartbeat_interval": BOTH_INTERVAL, "heartbeats": "off"}
    with on(CORES.fleet):
        plain = Fleet(programs.load, server.url, prefix="plain-", **options)
        request.addfinalizer(plain.close)
        tls = Fleet(programs.load, secure, prefix="tls-", **options)
        request.addfinalizer(tls.close)
    for fleet in (plain, tls):
        assert fleet.wait_for("introduced")["count"] == agents // 2, server.log
    busy = Busy()
    turns = [(beats_cpu(server, plain), beats_cpu(server, tls)) for _ in range(WINDOWS)]
    beats = agents // 2 / float(BOTH_INTERVAL) * WINDOW_SECONDS
    figures = {
        "plain_beat_us": median(turn[0] for turn in turns) / beats * 1e6,
        "secure_beat_us": median(turn[1] for turn in turns) / beats * 1e6,
        "more_beat_us": median(turn[1] - turn[0] for turn in turns) / beats * 1e6,
    }
    used = server.cpu_seconds()
    server.terminate()
    for fleet in (plain, tls):
        report = fleet.wait_for("report")
        assert report["valid"], report
        assert 0 < report["heartbeats"]["answered"] == report["heartbeats"]["sent"], report
    figures["others"] = busy.share_of_others(used)
    ledger.record("A heartbeat over TLS and one without, in turns", contender, figures)


def start_both(directory: Path, record_layer: str) -> tuple[Server, str]:
    """dscore with a port for each; and the URL of the one for TLS."""
    port, secure, files = free_port(), free_port(), certificate(directory)
    config = directory / "dscore.toml"
    config.write_text(
        f'[tls]\ncertificates = ["{files.certificate}"]\nkeys = ["{files.key}"]\n'
        f'port = {secure}\nrecord_layer = "{record_layer}"\n'
    )
    command: list[str | Path] = [sys.executable, "-m", "dscore", "serve", "--config", config]
    command += ["--port", str(port), "--store", ":memory:"]
    server = start(command, port, directory, is_ready)
    return server, f"wss://127.0.0.1:{secure}{PATHS['raw']}"


def beats_cpu(server: Server, fleet: Fleet) -> float:
    """Seconds of the server's processor for one window of this fleet's heartbeats."""
    before = server.cpu_seconds()
    fleet.command("heartbeats", "on")
    time.sleep(WINDOW_SECONDS)
    fleet.command("heartbeats", "off")
    # For the last answers.
    time.sleep(WINDOW_SECONDS / 5)
    return server.cpu_seconds() - before
