"""How late the loop is."""

import asyncio
import time

import pytest

from dscore.server import loop_lag
from dscore.server.loop_lag import LoopLag
from faked import eventually


async def test_a_loop_that_was_held_up_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_lag, "INTERVAL", 0.01)
    lag = LoopLag(asyncio.get_running_loop())
    try:
        time.sleep(0.15)  # noqa: ASYNC251 -- this is what is measured
        await eventually(lambda: lag.buckets()[-1][1] >= 1)
        bounds = dict(lag.buckets())
        assert bounds[5.0] - bounds[0.1] == 1
        assert lag.sum >= 0.1
    finally:
        lag.close()


def test_buckets_hold_all_that_was_at_most_so_late() -> None:
    loop = asyncio.new_event_loop()
    lag = LoopLag(loop)
    assert [count for _, count in lag.buckets()] == [0] * (len(loop_lag.BOUNDS) + 1)
    lag.close()
    loop.close()
