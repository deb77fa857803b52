"""A cancellation that comes in the turn in which the wait ends is not lost.

`asyncio.wait_for` loses it before Python 3.12: the task that was cancelled went on.
"""

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from dscore import _core
from dscore.config import Config
from dscore.http.api import _drain_ended
from dscore.policy.deadline import Deadline
from dscore.policy.liveness import new_fleet
from dscore.server.drain import Draining
from dscore.server.readings import Readings


async def is_cancelled(task: "asyncio.Task[Any]") -> bool:
    with pytest.raises(asyncio.CancelledError):
        await task
    return task.cancelled()


class SlowFleet:
    """A server in a drain that ends when it is told."""

    is_draining = True

    def __init__(self, *, fails: bool = False) -> None:
        self.drains = 0
        self._end = asyncio.Event()
        self._fails = fails

    def end(self) -> None:
        self._end.set()

    async def drain(self) -> None:
        self.drains += 1
        await self._end.wait()
        if self._fails:
            raise RuntimeError("the drain failed")


async def test_of_a_call_that_waits_for_a_drain() -> None:
    fleet: Any = SlowFleet()
    task = asyncio.create_task(_drain_ended(fleet, 60.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert fleet.drains == 1
    fleet.end()
    await asyncio.sleep(0)  # the drain has returned, and the wait for it has not
    task.cancel()
    assert await is_cancelled(task)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_call_waits_for_the_end_or_as_long_as_it_may(*, fails: bool) -> None:
    fleet: Any = SlowFleet(fails=fails)
    await _drain_ended(fleet, 0.01)
    assert fleet.drains == 1
    fleet.end()
    await _drain_ended(fleet, 60.0)
    assert fleet.drains == 2
    fleet.is_draining = False
    await _drain_ended(fleet, 60.0)
    assert fleet.drains == 2


async def test_of_a_reading() -> None:
    readings = Readings(Mock(), Mock(), reactors=1)
    task = asyncio.create_task(readings.take())
    await asyncio.sleep(0)
    readings.answered(_core.LastSeen([], [], [], [], number=1))
    task.cancel()
    assert await is_cancelled(task)


async def test_of_a_drain() -> None:
    fleet = new_fleet()
    fleet.open(1, "10.0.0.1")
    fleet.introduce(1, "a", "app_ready", 0)
    fleet.begin_drain(0, asked=True, spared=[])
    live: Any = SimpleNamespace(
        fleet=fleet,
        pool=SimpleNamespace(now_ms=lambda: 0),
        times=SimpleNamespace(now=lambda: 0.0),
        clock=SimpleNamespace(read=lambda: 0.0),
        config=Config(),
        deadline=Deadline(0, None),
    )
    watchers: Any = SimpleNamespace(progress=lambda status: None)
    draining = Draining(live, watchers, "terminate", 60.0)
    task = asyncio.create_task(draining._wait_for_outcomes())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    fleet.close(1)
    draining.look()
    await asyncio.sleep(0)
    task.cancel()
    assert await is_cancelled(task)
