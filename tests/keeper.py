"""A fleet whose changes are written into a store, for tests of what is in the file."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import outboxes
from clocks import Hands
from dscore._core import AgentRow
from dscore.store import Entry, Loaded, StoreHealth
from dscore.store.behind import Behind
from dscore.store.sqlite import SqliteStore
from faked import eventually
from outboxes import keeping_fleet, queued, restore


class Keeper:
    """Says in one word what a server would do to its fleet and its store."""

    def __init__(self, path: Path, hands: Hands | None = None) -> None:
        clocks = () if hands is None else (hands.age_clock(), hands.wall)
        self.fleet = keeping_fleet()
        self.store = SqliteStore(str(path), *clocks)
        self.behind = Behind(self.fleet, self.store)

    async def start(self) -> Loaded:
        loaded = await self.behind.start(lambda: (0, 0, 0))
        restore(self.fleet, loaded, age=self.behind.clock.now())
        return loaded

    def begin(self, agent_id: str, *, config: bytes | None = None) -> AgentRow:
        """An agent with a session, which has lost its connection."""
        agent = outboxes.left(self.fleet, agent_id)
        if config is not None:
            self.fleet.set_config(agent, config)
        self.behind.changed()
        return agent

    def queue(self, agent_id: str, *texts: bytes) -> None:
        queued(self.fleet, agent_id, *texts)
        self.behind.changed(urgent=True)

    def taken(self, agent_id: str) -> list[bytes]:
        texts = outboxes.taken(self.fleet, agent_id)
        self.behind.changed(urgent=True)
        return texts

    def append(self, agent_id: str, at: int, kind: str, data: bytes = b"{}") -> None:
        """An entry of a timeline; one of an agent that is not known makes it known."""
        agent = self.fleet.agent(agent_id) or outboxes.left(self.fleet, agent_id)
        self.fleet.record(agent, at, kind, data)
        self.behind.changed()

    async def timeline(
        self, agent_id: str, *, limit: int, before: int | None = None
    ) -> list[Entry]:
        agent = outboxes.known(self.fleet, agent_id)
        return await self.behind.timeline(agent, limit=limit, before=before)

    def forget(self, agent_id: str) -> None:
        self.fleet.forget(outboxes.known(self.fleet, agent_id))
        self.behind.changed()

    def prune(self, age_ms: int) -> None:
        """What is older than that."""
        self.behind.prune(self.behind.clock.now() - age_ms)

    def health(self) -> StoreHealth:
        return self.behind.health()

    async def written(self) -> None:
        await eventually(lambda: not self.health().waiting)

    async def close(self) -> None:
        await self.behind.close()


@asynccontextmanager
async def opened(path: Path, hands: Hands | None = None) -> AsyncIterator[tuple[Keeper, Loaded]]:
    keeper = Keeper(path, hands)
    loaded = await keeper.start()
    try:
        yield keeper, loaded
    finally:
        await keeper.close()


async def kept_in(path: Path) -> Loaded:
    async with opened(path) as (_, loaded):
        return loaded


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """What another program reads in the file."""
    with sqlite3.connect(path) as db:
        found = db.execute(query).fetchall()
    db.close()
    return found
