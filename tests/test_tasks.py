import asyncio

import pytest

from dscore.tasks import Tasks
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
    await tasks.close()
    assert stopped == [True, True]


async def test_after_close_nothing_begins() -> None:
    begun = []

    async def work() -> None:
        begun.append(True)

    tasks = Tasks()
    await tasks.close()
    tasks.spawn(work(), "late")
    await asyncio.sleep(0)
    assert not begun
    assert not tasks
