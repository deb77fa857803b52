import asyncio
from contextlib import suppress

import pytest

from dscore.server.tasks import Tasks
from faked import eventually


async def test_a_task_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise LookupError("why")

    tasks = Tasks()
    tasks.spawn(fail(), "failing")
    await eventually(lambda: not tasks)
    (record,) = caplog.records
    assert "task_failed" in record.getMessage()
    assert "failing" in record.getMessage()


async def test_close_waits_until_every_task_has_stopped() -> None:
    stopped = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            stopped.append(True)

    tasks = Tasks()
    tasks.spawn(work(), "a")
    tasks.spawn(work(), "b")
    await asyncio.sleep(0)
    await tasks.close(0)
    assert stopped == [True, True]


async def test_after_close_nothing_begins() -> None:
    begun = []

    async def work() -> None:
        begun.append(True)

    tasks = Tasks()
    await tasks.close(0)
    tasks.spawn(work(), "late")
    await asyncio.sleep(0)
    assert not begun
    assert not tasks


async def test_close_lets_a_task_end_by_itself() -> None:
    ended = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        ended.append(True)

    tasks = Tasks()
    tasks.spawn(work(), "short")
    await tasks.close(5)
    assert ended


async def test_close_does_not_wait_for_a_task_that_is_deaf(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dscore.server.tasks.DEAF_AFTER", 0.01)
    go_on = asyncio.Event()

    async def work() -> None:
        while not go_on.is_set():
            with suppress(asyncio.CancelledError):
                await go_on.wait()

    tasks = Tasks()
    tasks.spawn(work(), "deaf")
    await asyncio.sleep(0)
    await tasks.close(0)
    assert any("task_stuck" in record.getMessage() for record in caplog.records)
    go_on.set()
    await eventually(lambda: not tasks)
