import asyncio
from functools import partial
from typing import Any

import pytest

from dscore.server import bursts as bursts_module
from dscore.server.bursts import BURST, Bursts
from faked import eventually, running


class Sent:
    """What the core was given."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[int], bytes]] = []
        self.commands = 0

    def send_many(self, conns: list[int], *messages: bytes) -> None:
        self.commands += 1
        self.messages.extend((conns, message) for message in messages)


@pytest.fixture
def core() -> Any:
    return Sent()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause is over by itself: a busy machine takes its time over a storm."""
    monkeypatch.setattr(bursts_module, "PAUSE", 3_600.0)


def storm(bursts: Bursts, first: int, count: int) -> list[tuple[list[int], bytes]]:
    messages = [([1, 2], str(number).encode()) for number in range(first, first + count)]
    for conns, message in messages:
        bursts.send(conns, partial(bytes, message))
    return messages


async def test_a_few_messages_go_out_at_once(core: Any) -> None:
    bursts = Bursts(core)
    assert core.messages == storm(bursts, 0, BURST)
    bursts.close()


@pytest.mark.usefixtures("endless")
async def test_a_storm_goes_out_together_and_in_its_order(core: Any) -> None:
    bursts = Bursts(core)
    told = storm(bursts, 0, BURST + 50)
    assert core.messages == told[:BURST]
    bursts._over()
    assert core.messages == told
    assert core.commands == BURST + 1, "one write for all that was held"
    told += storm(bursts, 1_000, BURST + 50)
    bursts._over()
    assert core.messages == told
    assert core.commands == BURST + 2
    bursts.close()


async def test_watchers_that_are_told_different_things_hear_them_in_their_order(core: Any) -> None:
    bursts = Bursts(core)
    storm(bursts, 0, BURST)
    core.messages.clear()
    core.commands = 0
    for conns, message in [([1, 2, 3], b"a"), ([2], b"b"), ([3, 1], b"c"), ([1, 2, 3], b"d")]:
        bursts.send(conns, partial(bytes, message))
    bursts.flush()
    heard = {
        conn: b"".join(message for conns, message in core.messages if conn in conns)
        for conn in (1, 2, 3)
    }
    assert heard == {1: b"acd", 2: b"abd", 3: b"acd"}
    assert core.commands == 2, "the first and the third share what they are told"
    bursts.close()


async def test_once_a_storm_is_over_messages_go_out_at_once_again(
    core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bursts_module, "PAUSE", 0.01)
    bursts = Bursts(core)
    storm(bursts, 0, BURST + 1)
    await eventually(lambda: bursts._pause is None)
    assert len(core.messages) == BURST + 1
    storm(bursts, 100, 1)
    assert core.messages[-1] == ([1, 2], b"100")
    bursts.close()


async def test_what_is_held_goes_out_before_something_else_is_said(core: Any) -> None:
    bursts = Bursts(core)
    told = storm(bursts, 0, BURST + 3)
    bursts.flush()
    assert core.messages == told
    storm(bursts, 100, 1)
    assert core.messages == told, "the storm is not over"
    bursts.close()
    await asyncio.sleep(0)
    bursts.flush()
    assert core.messages == told


@pytest.mark.usefixtures("endless")
async def test_watchers_are_told_of_a_storm_before_maintenance_and_before_the_end() -> None:
    async with running() as server:
        await server.watch(9_999)
        for conn in range(1, 2 * BURST):
            await server.introduce(conn, f"a{conn}")
        assert len(server.pool.told(9_999)) == BURST
        server.set_maintenance(enabled=True)
        told = [one["type"] for one in server.pool.told(9_999)]
        assert told == ["client_status_changed"] * (2 * BURST - 1) + ["maintenance_changed"]


async def test_watchers_are_told_of_a_storm_before_what_a_program_says() -> None:
    async with running() as server:
        await server.watch(9_999)
        for conn in range(1, 2 * BURST):
            await server.introduce(conn, f"a{conn}")
        server.fleet.broadcast({"type": "note"}, to="watchers")
        told = [one["type"] for one in server.pool.told(9_999)]
        assert told == ["client_status_changed"] * (2 * BURST - 1) + ["note"]
