"""PROTOCOL.md §10, last sentences: silent connections in a burst, more of them than there are
descriptors, and opened anew as they end. Probes and agents get through as long as that goes on."""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from serving import Serving
from wire import agent

Serve = Callable[..., Serving]

CROWD = 1500
LIMITS = (128, 1024)


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    """The crowd's ends are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, CROWD + 1024)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Crowd:
    """Connections that send nothing."""

    def __init__(self, serving: Serving) -> None:
        self.address = (serving.host, serving.port)
        self.members = [self.open() for _ in range(CROWD)]

    def open(self) -> socket.socket:
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(self.address)
        return one

    async def reopen(self) -> None:
        """Those that have ended come again. An agent of this process need not wait for all."""
        for number, one in enumerate(self.members):
            if number % 50 == 0:
                await asyncio.sleep(0)
            try:
                has_ended = not one.recv(4096)
            except BlockingIOError:
                continue
            except OSError:
                has_ended = True
            if has_ended:
                one.close()
                self.members[number] = self.open()

    async def go_on(self) -> None:
        while True:
            await self.reopen()
            await asyncio.sleep(0.05)

    def close(self) -> None:
        for one in self.members:
            one.close()


@asynccontextmanager
async def crowded(serving: Serving) -> AsyncIterator[None]:
    crowd = Crowd(serving)
    keeping = asyncio.create_task(crowd.go_on())
    try:
        yield
        # It has not failed.
        assert not keeping.done()
    finally:
        keeping.cancel()
        crowd.close()


async def probes_and_agents_get_through(serving: Serving) -> None:
    for number in range(4):
        status, _ = await asyncio.to_thread(serving.get, "/livez")
        assert status == 200, number
        async with agent(serving.ws, f"late-{number}") as late:
            await late.beat()


@pytest.mark.parametrize("limit", LIMITS)
async def test_a_flood_of_silent_connections_takes_no_descriptor_from_probes_and_agents(
    serve: Serve, limit: int
) -> None:
    serving = serve("--reactors", "2", descriptors=(limit, limit))
    async with crowded(serving):
        await probes_and_agents_get_through(serving)


@pytest.mark.parametrize("limit", LIMITS)
async def test_with_a_fleet_there_the_flood_takes_none_either_and_no_agent_notices(
    serve: Serve, limit: int
) -> None:
    serving = serve("--reactors", "2", descriptors=(limit, limit))
    async with AsyncExitStack() as stack:
        fleet = [
            await stack.enter_async_context(agent(serving.ws, f"a-{number}"))
            for number in range(60)
        ]
        async with crowded(serving):
            await probes_and_agents_get_through(serving)
            for one in fleet:
                await one.beat()
