"""Writes to a store without end, for a test that kills it: `python store_writer.py PATH`.

Each round changes everything at once, so that a half-written round shows; when a round is safe on
disk its number is printed.
"""

import asyncio
import sys
from pathlib import Path

from keeper import Keeper

AGENTS = 200


async def write(path: str) -> None:
    keeper = Keeper(Path(path))
    loaded = await keeper.start()
    number = max((stored.last_close or 0 for stored in loaded.agents), default=0)
    while True:
        number += 1
        write_round(keeper, number)
        if number % 5 == 0:
            await keeper.behind.written()
            print(number, flush=True)
        await asyncio.sleep(0)


def write_round(keeper: Keeper, number: int) -> None:
    for index in range(AGENTS):
        agent_id = f"agent-{index:03}"
        agent = keeper.begin(agent_id)
        keeper.taken(agent_id)
        keeper.fleet.leave_session(agent, number, number)
        keeper.fleet.heard(agent, seen_ms=number)
        keeper.queue(agent_id, b"%d" % number)
        keeper.append(agent_id, number, "connected")
    keeper.prune(1 << 40)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1]))
