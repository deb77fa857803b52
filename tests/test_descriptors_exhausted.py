"""PROTOCOL.md §10, out of descriptors, with every one of this process really taken."""

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import dscore
from protocol.support import eventually, running
from wire import DEADLINE_SECONDS, agent


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """This process may open some dozens more than it has open, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 64, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def left(count: int) -> Iterator[None]:
    """Takes all descriptors there are but so many."""
    taken = []
    try:
        while True:
            taken.append(os.dup(0))
    except OSError:
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)


def clients(stack: ExitStack, count: int) -> list[socket.socket]:
    """Sockets for later: a client needs descriptors as well."""
    made = [stack.enter_context(socket.socket()) for _ in range(count)]
    for one in made:
        one.setblocking(False)
    return made


@pytest.mark.usefixtures("few_descriptors")
async def test_without_a_descriptor_connections_are_told_503_and_no_other_notices(
    tmp_path: Path,
) -> None:
    loop = asyncio.get_running_loop()
    store = dscore.open_store(str(tmp_path / "fleet.db"))
    async with running(store=store) as here, agent(here.ws, "a-1") as one:
        with ExitStack() as stack:
            late = clients(stack, 3)
            with left(0):
                for each in late:
                    await loop.sock_connect(each, ("127.0.0.1", here.port))
                    told = await asyncio.wait_for(loop.sock_recv(each, 4096), DEADLINE_SECONDS)
                    assert told.startswith(b"HTTP/1.1 503 ")
                    assert b"retry-after: " in told.lower()
                await one.beat()
                assert here.server.core_stats()["descriptors_short"] == 1
                # Nothing spins, and what is told of the fleet is kept.
                before = here.server.core_stats()["turns_total"]
                here.server.set_maintenance(enabled=True)
                await one.closed()
                await eventually(lambda: is_written(here.server))
                await asyncio.sleep(0.5)
                assert here.server.core_stats()["turns_total"] - before < 200
                assert here.server.store_health().is_ok
                here.server.set_maintenance(enabled=False)
        async with agent(here.ws, "a-1", introduce=False) as back:
            assert (await back.introduce(reconnection=True))["session_restored"] is True


async def is_written(server: dscore.Server) -> bool:
    return server.store_health().waiting == 0


@pytest.mark.usefixtures("few_descriptors")
async def test_short_of_descriptors_idle_connections_give_theirs_to_agents() -> None:
    loop = asyncio.get_running_loop()
    async with running() as here:
        with ExitStack() as stack:
            for one in clients(stack, 24):
                await loop.sock_connect(one, ("127.0.0.1", here.port))
            await eventually(lambda: has_accepted(here.server, 24))
            # For the first agent at both ends, and for the second's own.
            with left(3):
                async with agent(here.ws, "a-1") as first, agent(here.ws, "a-2") as second:
                    await first.beat()
                    await second.beat()
                    assert here.server.core_stats()["yielded_total"] >= 1


@pytest.mark.usefixtures("few_descriptors")
async def test_without_a_descriptor_idle_connections_give_theirs_to_those_in_the_backlog() -> None:
    loop = asyncio.get_running_loop()
    async with running() as here:
        with ExitStack() as stack:
            *idle, late = clients(stack, 17)
            for one in idle:
                await loop.sock_connect(one, ("127.0.0.1", here.port))
            await eventually(lambda: has_accepted(here.server, len(idle)))
            with left(0):
                await loop.sock_connect(late, ("127.0.0.1", here.port))
                await loop.sock_sendall(late, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                told = await asyncio.wait_for(loop.sock_recv(late, 4096), DEADLINE_SECONDS)
                assert told.startswith(b"HTTP/1.1 200 ")


async def has_accepted(server: dscore.Server, least: int) -> bool:
    return server.core_stats()["accepted_total"] >= least
