"""Lines that peers cause: some are written, the rest is told of as a number."""

import asyncio

import pytest

from dscore.log import get_logger
from dscore.log.limit import LineLimit
from waiting import wait_until


async def test_lines_past_the_limit_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    limit = LineLimit(get_logger("dscore.test"), 3)
    for number in range(10):
        limit.warning("knock", number=number)
    assert [record.getMessage() for record in caplog.records].count("knock") <= 3
    lines = [record for record in caplog.records if "number=" in record.getMessage()]
    assert len(lines) == 3

    def told() -> bool:
        return "knocks_left_out lines=7" in caplog.text

    await asyncio.to_thread(wait_until, told, "number of lines left out")
    limit.warning("knock", number=10)
    assert "number=10" in caplog.text


async def test_lines_within_the_limit_are_all_there_is(caplog: pytest.LogCaptureFixture) -> None:
    limit = LineLimit(get_logger("dscore.test"), 3)
    limit.warning("knock", number=1)
    limit._over("knock")
    assert "left_out" not in caplog.text
