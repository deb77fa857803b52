"""Calls into the application: sync and async, in order, bounded, never in the way."""

import asyncio
import functools
import threading
import time
from typing import Any

import pytest

from dscore_agent.hooks import MAX_PENDING, MAX_PENDING_BYTES, HookError, HookQueue, call, within
from fake_server import SECONDS, until


async def later(value: int) -> int:
    await asyncio.sleep(0)
    return value


class Callable:
    async def __call__(self, value: int) -> int:
        return await later(value)


@pytest.mark.parametrize(
    "hook",
    [
        later,
        Callable(),
        functools.partial(later),
        lambda value: later(value),
        lambda value: value,
    ],
)
async def test_calls_whatever_can_be_called(hook: Any) -> None:
    assert await call(hook, 7) == 7


async def test_a_sync_hook_runs_in_a_thread_that_ends_with_it() -> None:
    assert await call(threading.get_ident) != threading.get_ident()
    await until(lambda: threading.active_count() == 1 or not _hook_threads(), "ended thread")


def _hook_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "dscore-agent-hook"]


async def test_what_a_hook_raises_comes_back() -> None:
    def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await call(fail)


@pytest.mark.parametrize("raised", [SystemExit(1), KeyboardInterrupt(), StopIteration()])
async def test_what_would_end_its_thread_in_silence_comes_back_as_an_error(
    raised: BaseException,
) -> None:
    def leave() -> None:
        raise raised

    with pytest.raises(HookError, match=type(raised).__name__):
        await asyncio.wait_for(call(leave), SECONDS)


async def test_a_hook_that_is_cancelled_does_not_hold_up_those_after_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[int] = []

    async def await_a_cancelled_task() -> None:
        worker = asyncio.ensure_future(asyncio.sleep(SECONDS))
        worker.cancel()
        await worker

    queue = HookQueue()
    queue.put(await_a_cancelled_task)
    queue.put(done.append, 1)
    await until(lambda: done, "call")
    await queue.close()
    assert "the hook was cancelled" in caplog.text


async def test_a_hook_that_hangs_does_not_fill_the_memory() -> None:
    released = threading.Event()
    called: list[str] = []
    queue = HookQueue()
    queue.put(released.wait, SECONDS)
    await until(lambda: _hook_threads(), "call")
    queue.put(called.append, "too big", size=MAX_PENDING_BYTES + 1)
    queue.put(called.append, "fits", size=MAX_PENDING_BYTES)
    queue.put(called.append, "no room left", size=1)
    released.set()
    await queue.close()
    queue.put(called.append, "room again", size=MAX_PENDING_BYTES)
    await queue.close()
    assert called == ["fits", "room again"]


async def test_a_hook_that_outlives_its_loop_does_no_harm() -> None:
    released = threading.Event()

    def run() -> None:
        async def give_up() -> None:
            await within(call(released.wait, SECONDS), 0.01)

        asyncio.run(give_up())

    await asyncio.to_thread(run)
    released.set()
    await until(lambda: not _hook_threads(), "ended thread")


@pytest.mark.timed
async def test_within_gives_up_without_waiting_for_who_takes_no_notice() -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(SECONDS)
        except asyncio.CancelledError:
            await released.wait()

    began = time.monotonic()
    assert not await within(stubborn(), 0.02)
    assert time.monotonic() - began < 1.0
    released.set()
    assert await within(later(1), SECONDS)


async def test_the_queue_keeps_the_order_of_fast_and_slow() -> None:
    done: list[int] = []

    async def slow(value: int) -> None:
        await asyncio.sleep(0.01)
        done.append(value)

    queue = HookQueue()
    for n in range(6):
        queue.put(slow if n % 2 == 0 else done.append, n)
    queue.put(None, "nothing to call")
    await queue.close()
    assert done == list(range(6))


async def test_the_queue_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    calls = []
    queue = HookQueue()
    for n in range(MAX_PENDING + 5):
        queue.put(lambda n=n: _noted(calls, n))
    await queue.close(SECONDS)
    assert len(calls) == MAX_PENDING
    assert caplog.text.count("hook_call_lost") == 5


async def _noted(calls: list[int], n: int) -> None:
    calls.append(n)


@pytest.mark.timed
async def test_closing_does_not_wait_for_ever() -> None:
    queue = HookQueue()
    queue.put(functools.partial(asyncio.sleep, SECONDS))
    began = time.monotonic()
    await queue.close(0.02)
    assert time.monotonic() - began < 1.0
