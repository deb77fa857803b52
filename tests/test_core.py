"""The loop's side of the bare core; the extension's own behaviour is tested with it."""

import asyncio
from typing import cast

import pytest

from dscore import core
from fake_core import Closed, CoreConfig, Opened, ReactorPool
from faked import eventually


@pytest.fixture
def pool() -> ReactorPool:
    return ReactorPool(CoreConfig())


def real(pool: ReactorPool) -> core.ReactorPool:
    return cast(core.ReactorPool, pool)


async def test_attach_hands_over_batches_of_bounded_size(pool: ReactorPool) -> None:
    batches: list[list[object]] = []
    loop = asyncio.get_running_loop()
    attachment = core.attach(real(pool), loop, batches.append, limit=10)
    pool.push(*(Opened(n) for n in range(25)))
    await eventually(lambda: sum(map(len, batches)) == 25)
    assert [len(batch) for batch in batches] == [10, 10, 5]
    attachment.detach()
    attachment.detach()
    pool.push(Opened(99))
    await asyncio.sleep(0.01)
    assert sum(map(len, batches)) == 25
    pool.close()


async def test_attach_gives_the_loop_a_turn_between_batches(pool: ReactorPool) -> None:
    order: list[str] = []
    loop = asyncio.get_running_loop()

    def on_batch(batch: list[object]) -> None:
        order.append("batch")
        loop.call_soon(order.append, "other")

    attachment = core.attach(real(pool), loop, on_batch, limit=1)
    pool.push(Opened(1), Opened(2))
    await eventually(lambda: order.count("batch") == 2)
    await asyncio.sleep(0)
    assert order == ["batch", "other", "batch", "other"]
    attachment.detach()
    pool.close()


async def test_events_come_one_after_the_other(pool: ReactorPool) -> None:
    pushed = [Opened(1), Closed(1), Opened(2)]
    pool.push(*pushed[:2])
    seen: list[object] = []

    async def consume() -> None:
        async for event in core.events(real(pool)):
            seen.append(event)  # noqa: PERF401 -- it never ends

    consumer = asyncio.create_task(consume())
    await eventually(lambda: len(seen) == 2)
    pool.push(pushed[2])
    await eventually(lambda: len(seen) == 3)
    assert seen == pushed
    consumer.cancel()
    await asyncio.wait([consumer])
    pool.close()


def test_every_public_name_is_there() -> None:
    for name in core.__all__:
        assert getattr(core, name) is not None
