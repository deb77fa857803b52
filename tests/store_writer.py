"""Writes to a store without end, for a test that kills it: `python store_writer.py PATH`.

Each round changes everything at once, so that a half-written round shows; when a round is safe on
disk its number is printed.
"""

import asyncio
import sys

from dscore._core import Fleet
from dscore.store import Seen, StoredAgent
from dscore.store.sqlite import SqliteStore
from outboxes import keeping_fleet, left, queued, restore, taken

AGENTS = 200


async def write(path: str) -> None:
    store = SqliteStore(path)
    fleet = keeping_fleet()
    kept = await store.start(fleet)
    restore(fleet, kept)
    number = max((stored.generation for stored in kept.agents), default=0)
    while True:
        number += 1
        write_round(store, fleet, number)
        if number % 5 == 0:
            while store.health().waiting:  # noqa: ASYNC110 -- the store has no signal for it
                await asyncio.sleep(0.001)
            print(number, flush=True)
        await asyncio.sleep(0)


def write_round(store: SqliteStore, fleet: Fleet, number: int) -> None:
    seen: list[Seen] = []
    for index in range(AGENTS):
        agent_id = f"agent-{index:03}"
        store.keep(
            StoredAgent(
                agent_id,
                "online",
                "connected",
                None,
                "127.0.0.1",
                "raw",
                number,
                "app_ready",
                number,
                number,
                b'{"labels":{}}',
                None,
                None,
            )
        )
        left(fleet, agent_id, code=number)
        taken(fleet, agent_id)
        left(fleet, agent_id, code=number)
        queued(fleet, agent_id, b"%d" % number)
        store.append(agent_id, number, "connected", b"{}")
        seen.append((agent_id, number, None))
    store.seen(seen)
    store.changed(urgent=True)
    store.prune(0)


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1]))
