"""Which thread pays for an agent: the one of Python, or a reactor, of which there may be more?

What a machine with more processors gains follows from it (README.md, "A million agents").
"""

import asyncio
import time

import uvloop

import dscore
from benches.fleet import Fleet
from benches.ledger import Figures, Ledger
from benches.noise import Busy
from benches.programs import Programs
from dscore import log

AGENTS, QUICK_AGENTS = 10_000, 500
ROUNDS, QUICK_ROUNDS = 5, 1


def test_threads(ledger: Ledger, programs: Programs, quick: bool) -> None:
    agents = QUICK_AGENTS if quick else AGENTS
    for _ in range(QUICK_ROUNDS if quick else ROUNDS):
        figures = measure(programs, agents)
        ledger.record(f"By thread, {agents:,} agents, one reactor", "dscore", figures)


def measure(programs: Programs, agents: int, policy: dscore.Policy | None = None) -> Figures:
    """A fleet is introduced and drained.

    Returns:
        Processor time of each for an agent, in microseconds, of the loop's thread and of all
        others (`loop_introduction_us` and so on); what others used of the machine meanwhile.
    """
    busy, cpu = Busy(), time.process_time()
    figures = uvloop.run(_measure(programs, agents, policy))
    ours = time.process_time() - cpu + figures.pop("fleet_seconds")
    figures["others"] = busy.share_of_others(ours)
    return figures


async def _measure(programs: Programs, agents: int, policy: dscore.Policy | None) -> Figures:
    settings = {
        "listen": {"port": 0, "reactors": 1},
        "store": {"path": ":memory:"},
        "log": {"level": "warning"},
    }
    config = dscore.Config.model_validate(settings)
    log.configure(config.log)
    async with dscore.Server(config, policy=policy) as server:
        host, port = server.address
        start = _clocks()
        fleet = Fleet(programs.load, f"ws://{host}:{port}/deepstream/ws", agents=agents)
        try:
            await asyncio.to_thread(fleet.wait_for, "introduced")
            introduced = _clocks()
            report = await server.drain()
            assert report.acked == agents, report
            drained = _clocks()
            told = await asyncio.to_thread(fleet.wait_for, "report")
        finally:
            fleet.close()
    figures: Figures = {"fleet_seconds": told["cpu_seconds"]}
    for name, (before, after) in {
        "introduction": (start, introduced),
        "drain": (introduced, drained),
    }.items():
        for thread, begun, ended in zip(("loop", "reactor"), before, after, strict=True):
            figures[f"{thread}_{name}_us"] = (ended - begun) / agents * 1e6
    return figures


def _clocks() -> tuple[float, float]:
    """Processor time of this thread, which is the loop's, and of all others."""
    own = time.thread_time()
    return own, time.process_time() - own
