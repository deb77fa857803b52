"""How late is a grace period that ends, what does a fleet cost that is away, and how long a boot?

Deadlines: 100,000 grace periods are armed, and a tenth of them ends in each second; late is what
the policy's hook hears after the deadline (PROTOCOL.md §5 rule 8: 50 ms at most).

Boot: a store knows 100,000 agents, of which 10,000 come back at once.
"""

import asyncio
import gc
import http.client
import resource
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import uvloop

import dscore
from benches.contenders import start_dscore
from benches.fleet import Fleet
from benches.ledger import Figures, Ledger
from benches.noise import Busy
from benches.programs import Programs
from benches.server import Server
from dscore import log
from dscore.policy.liveness import new_fleet
from dscore.store import StoredAgent
from dscore.store.behind import Behind
from dscore.store.sqlite import SqliteStore

KNOWN, QUICK_KNOWN = 100_000, 5_000
SPREAD_MS, QUICK_SPREAD_MS = 10_000, 2_000
"""From the first deadline to the last."""
OTHER_LISTINGS = ("?sort=-last_heartbeat", "?q=t-77&status=offline", "?limit=1000")


def test_deadlines(ledger: Ledger, quick: bool) -> None:
    armed = QUICK_KNOWN if quick else KNOWN
    busy, cpu = Busy(), time.process_time()
    spread_ms = QUICK_SPREAD_MS if quick else SPREAD_MS
    lateness = uvloop.run(_end_graces(armed, spread_ms))
    assert len(lateness) == armed
    assert lateness[0] >= 0, "none is early"
    figures = {
        "late_p50_ms": lateness[armed // 2],
        "late_p99_ms": lateness[armed * 99 // 100],
        "late_max_ms": lateness[-1],
        "others": busy.share_of_others(time.process_time() - cpu),
    }
    ledger.record(f"Deadlines, {armed} grace periods armed", "dscore", figures)


async def _end_graces(armed: int, spread_ms: int) -> list[float]:
    """How late each of them was, in milliseconds, sorted."""
    lateness: list[float] = []
    deadlines: dict[str, int] = {}
    ended = asyncio.Event()

    class Listening(dscore.Policy):
        def on_status_change(self, agent: dscore.Agent, status: str, why: str | None) -> None:
            lateness.append(pool.now_ms() - deadlines[agent.id])
            if len(lateness) == armed:
                ended.set()

    grace_ms = 60_000
    settings = {
        "listen": {"port": 0},
        "store": {"path": ":memory:"},
        "monitoring": {"reconnection_grace_period": grace_ms / 1000},
        "log": {"level": "warning"},
    }
    config = dscore.Config.model_validate(settings)
    log.configure(config.log)
    async with dscore.Server(config, policy=Listening()) as server:
        live = server._running.live
        pool = live.pool
        # By then they are armed: it takes some µs each, and a moment more of a busy machine.
        first = pool.now_ms() + 1_000 + armed // 15
        for number in range(armed):
            agent_id = f"agent-{number}"
            deadlines[agent_id] = deadline = first + number * spread_ms // armed
            live.fleet.open(number + 1, "10.0.0.1")
            introduced = live.fleet.introduce(number + 1, agent_id, "app_ready", 0)
            assert introduced is not None
            live.fleet.release(introduced.agent, 0)
            live.fleet.feed(introduced.agent, "lost", deadline - grace_ms)
            live.fleet.close(number + 1)
        gc.collect()
        gc.freeze()  # as `serve` does with the fleet it knows from its store
        server._running.timers.rearm(pool.now_ms())
        assert pool.now_ms() < first, "too slow to arm: the first ones are late already"
        await ended.wait()
    return sorted(lateness)


def test_boot(ledger: Ledger, programs: Programs, quick: bool, tmp_path: Path) -> None:
    known = QUICK_KNOWN if quick else KNOWN
    online = known // 10
    store = tmp_path / "bench.db"
    idle = start_dscore(programs, tmp_path, store)
    empty = idle.pss_bytes()
    _stop(idle)
    asyncio.run(_fill(store, known, online))
    busy, cpu = Busy(), _cpu_seconds()
    began = time.monotonic()
    server = start_dscore(programs, tmp_path, store)
    figures: Figures = {"boot_s": time.monotonic() - began}
    fleet = None
    try:
        figures["absent_bytes"] = (server.pss_bytes() - empty) / known
        fleet = Fleet(programs.load, server.url, agents=online)
        introduced = fleet.wait_for("introduced")
        assert introduced["count"] == online, server.log
        figures["return_s"] = introduced["seconds"]
        figures["page_ms"] = _listing_ms(server, "")
        figures["slowest_page_ms"] = max(_listing_ms(server, query) for query in OTHER_LISTINGS)
    finally:
        if fleet is not None:
            fleet.close()
        _stop(server)
    figures["others"] = busy.share_of_others(_cpu_seconds() - cpu)
    ledger.record(f"Boot, {known} agents known, {online} of them come back", "dscore", figures)


async def _fill(path: Path, known: int, online: int) -> None:
    """What an earlier process may have left: agents of today, few of them online."""
    store = SqliteStore(str(path))
    fleet = new_fleet()
    behind = Behind(fleet, store)
    await behind.start(lambda: (0, 0, 0))
    now = store.clock.now()
    fleet.restore(
        [
            StoredAgent(
                number=number + 1,
                agent_id=f"agent-{number}",
                state="connected" if number < online else "offline",
                reason_code=None if number < online else "reconnect_timeout",
                ip=f"10.0.{number // 250 % 250}.{number % 250}",
                dialect="raw",
                generation=1,
                introduced_by="app_ready",
                connected_at=now,
                changed_at=now,
                seen_at=now,
                heartbeat_at=now,
                last_close=0 if number < online else None,
                left_at=None,
                dropped=0,
                config=None,
            )
            for number in range(known)
        ],
        last_entry=0,
        age=now,
        now=now,
        times=(now, 0, 0),
    )
    for agent in fleet.agents():
        fleet.set_introduced_by(agent, "app_ready")
    await behind.close()


def _listing_ms(server: Server, query: str) -> float:
    """How long the pages take to list some agents, as a client sees it."""
    port = int(server.url.rpartition(":")[2].partition("/")[0])
    times = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for _ in range(15):
            began = time.monotonic()
            connection.request("GET", f"/api/v1/agents{query}")
            response = connection.getresponse()
            response.read()
            times.append((time.monotonic() - began) * 1000)
            assert response.status == 200
    return median(times)


def _stop(server: Server) -> None:
    server.terminate()
    server.wait()


def _cpu_seconds() -> float:
    """Of this process and of all it started that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
