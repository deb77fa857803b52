"""Servers that were closed, or never came up, leave nothing in their process."""

import asyncio
import gc
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

import dscore
from dscore.config import Config
from dscore.errors import LifespanError
from wire import agent

WARM = 10
"""Servers until everything that is made once in a process is there."""


def config(**listen: object) -> Config:
    return Config.model_validate({"listen": {"port": 0, **listen}})


async def serves() -> None:
    async with dscore.Server(config()):
        pass


async def serves_an_agent() -> None:
    async with dscore.Server(config()) as server:
        host, port = server.address
        async with agent(f"ws://{host}:{port}/deepstream/ws", "a"):
            # Closed by the server: what the pool says of it may never be taken.
            await server.close()


async def drains() -> None:
    async with dscore.Server(config()) as server:
        await server.drain()


async def port_in_use() -> None:
    async with dscore.Server(config()) as server:
        with pytest.raises(dscore.BindError):
            await dscore.Server(config(port=server.address[1])).start()


async def lifespan_fails() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.raises(LifespanError):
        await dscore.Server(config(), app=app).start()


async def store_fails() -> None:
    class Store(dscore.MemoryStore):
        async def load(self) -> Any:
            raise dscore.StoreError("no")

    with pytest.raises(dscore.StoreError):
        await dscore.Server(config(), store=Store()).start()


async def token_file_fails() -> None:
    settings = {"listen": {"port": 0}, "auth": {"token_file": "/no/such"}}
    with pytest.raises(dscore.ConfigError):
        dscore.Server(Config.model_validate(settings))


async def start_is_cancelled() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    starting = asyncio.create_task(dscore.Server(config(), app=app).start())
    await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting


def held() -> dict[str, int]:
    """What a process can run out of."""
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "python threads": threading.active_count(),
        "tasks": len(asyncio.all_tasks()),
    }


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize(
    "use",
    [
        serves,
        serves_an_agent,
        drains,
        port_in_use,
        lifespan_fails,
        store_fails,
        token_file_fails,
        start_is_cancelled,
    ],
)
def test_a_server_that_is_over_leaves_nothing(
    run: Callable[[Any], None], use: Callable[[], Awaitable[None]]
) -> None:
    async def program() -> None:
        for _ in range(2):
            await use()
        gc.collect()
        before = held()
        for _ in range(3):
            await use()
        gc.collect()
        assert held() == before
        if run is asyncio.run:
            # Cancelled ones are swept when they are many, or due.
            loop = asyncio.get_running_loop()
            live = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
            assert live == []

    run(program())


async def test_a_closed_server_that_is_kept_holds_no_descriptor() -> None:
    await serves()
    before = held()
    kept = []
    for _ in range(3):
        async with dscore.Server(config()) as server:
            kept.append(server)
    assert held() == before


async def test_a_server_that_nothing_refers_to_is_gone() -> None:
    gone = []
    for _ in range(3):
        async with dscore.Server(config()) as server:
            gone.append(weakref.ref(server))
        del server
    gc.collect()
    assert [one() for one in gone] == [None] * 3


@pytest.mark.slow
async def test_200_servers_in_one_process_leave_nothing() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(WARM):
        await serves()
    gc.collect()
    before, memory = held(), resident()
    for _ in range(200):
        await serves()
    gc.collect()
    assert held() == before
    # They took 180 MB. FastAPI keeps what it knows of 4,096 handlers.
    assert resident() - memory < 24 << 20
