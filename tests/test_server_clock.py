"""The loop's clock, and what waits by it. The machine's own clock is injected."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from dscore.server import clock as clocks
from dscore.server.clock import GAP, INTERVAL, Clock
from dscore.server.gaps import Gaps
from fake_core import Gap, Looked


class Pool:
    """Answers every look at once, unless the test does."""

    def __init__(self, reactors: int = 1) -> None:
        self.reactors = reactors
        self.asked: list[int] = []
        self.on_look: Callable[[int], None] = lambda number: None

    def look(self, number: int) -> int:
        self.asked.append(number)
        asyncio.get_running_loop().call_soon(self.on_look, number)
        return self.reactors


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine that was booted 100 s ago; `now` is the test's to move."""
    now = SimpleNamespace(now=100.0)
    monkeypatch.setattr(clocks, "elapsed", lambda: now.now)
    return now


def ticking(pool: Pool, gaps: list[float]) -> Clock:
    clock = Clock(pool, asyncio.get_running_loop(), gaps.append)  # type: ignore[arg-type]
    pool.on_look = lambda number: clock.looked(Looked(number), 0)  # type: ignore[arg-type]
    clock.start()
    return clock


async def test_lateness_counts_and_a_gap_does_not(machine: SimpleNamespace) -> None:
    gaps: list[float] = []
    clock = ticking(Pool(), gaps)
    machine.now += INTERVAL + GAP - 0.01
    assert clock.read() == pytest.approx(101.24)
    assert gaps == []
    clock._tick()
    machine.now += 165
    assert clock.read() == pytest.approx(101.24)
    assert gaps == [165]
    machine.now += 0.1
    assert clock.read() == pytest.approx(101.34)
    assert gaps == [165], "it is told once"
    clock.close()


async def test_before_its_start_nothing_is_a_gap(machine: SimpleNamespace) -> None:
    gaps: list[float] = []
    clock = Clock(Pool(), asyncio.get_running_loop(), gaps.append)  # type: ignore[arg-type]
    machine.now += 20
    assert clock.read() == pytest.approx(120)
    machine.now += 20
    clock.start()
    assert clock.read() == pytest.approx(140)
    assert gaps == []
    clock.close()


async def test_what_waits_finds_its_end_as_far_away_as_it_was(machine: SimpleNamespace) -> None:
    pool = Pool()
    clock = ticking(pool, [])
    answer = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(clock.wait_for(answer, 0.05))
    await asyncio.sleep(0)
    machine.now += 3600
    await asyncio.sleep(0.2)
    assert not waiting.done()
    answer.set_result("in time")
    assert await waiting == "in time"
    assert pool.asked == []
    clock.close()


async def test_nothing_is_too_late_that_a_look_finds(machine: SimpleNamespace) -> None:
    pool = Pool()
    clock = ticking(pool, [])
    answer = asyncio.get_running_loop().create_future()

    def looked(number: int) -> None:
        answer.set_result("it lay there")
        clock.looked(Looked(number), 0)  # type: ignore[arg-type]

    pool.on_look = looked
    assert await clock.wait_for(answer, 0) == "it lay there"
    pool.on_look = lambda number: clock.looked(Looked(number), 0)  # type: ignore[arg-type]
    with pytest.raises(asyncio.TimeoutError):
        await clock.wait_for(asyncio.Event().wait(), 0)
    clock.close()


async def test_tasks_are_given_the_time_that_was_left(machine: SimpleNamespace) -> None:
    pool = Pool()
    clock = ticking(pool, [])
    go_on = asyncio.Event()
    task = asyncio.create_task(go_on.wait())
    waiting = asyncio.create_task(clock.wait({task}, 0.05))
    await asyncio.sleep(0)
    machine.now += 3600
    await asyncio.sleep(0.2)
    assert not waiting.done()
    go_on.set()
    assert await waiting == set()
    stuck = asyncio.create_task(asyncio.Event().wait())
    assert await clock.wait({stuck}, 0) == {stuck}
    stuck.cancel()
    clock.close()


async def test_a_look_is_over_when_every_reactor_is_through() -> None:
    pool, done = Pool(reactors=3), []
    clock = Clock(pool, asyncio.get_running_loop(), lambda seconds: None)  # type: ignore[arg-type]
    clock.after_look(lambda: done.append(True))
    for expected in ([], [], [True]):
        clock.looked(Looked(pool.asked[0]), 0)  # type: ignore[arg-type]
        assert done == expected
    clock.looked(Looked(99), 0)  # type: ignore[arg-type]
    clock.close()


async def test_after_the_end_nothing_waits_for_a_look() -> None:
    pool, done = Pool(), []
    clock = Clock(pool, asyncio.get_running_loop(), lambda seconds: None)  # type: ignore[arg-type]
    clock.after_look(lambda: done.append("before"))
    clock.close()
    clock.after_look(lambda: done.append("after"))
    assert done == ["before", "after"]
    with pytest.raises(asyncio.TimeoutError):
        await clock.wait_for(asyncio.Event().wait(), 0)


async def test_a_wait_that_is_cancelled_cancels_what_it_waits_for() -> None:
    clock = ticking(Pool(), [])
    work = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(clock.wait_for(work, 60))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cancelled()
    clock.close()


async def test_what_overlaps_is_one_gap(caplog: pytest.LogCaptureFixture) -> None:
    gaps = Gaps()
    gaps.count(1_000, 6_000, "loop")
    gaps.noticed(Gap(0, 900, 5_200), 0)  # type: ignore[arg-type]
    gaps.noticed(Gap(1, 1_100, 4_000), 0)  # type: ignore[arg-type]
    assert (gaps.total, gaps.ms_total) == (1, 5_100)
    gaps.noticed(Gap(1, 8_000, 2_000), 0)  # type: ignore[arg-type]
    assert (gaps.total, gaps.ms_total) == (2, 7_100)
