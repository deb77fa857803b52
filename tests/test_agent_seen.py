"""Ids of messages that may come twice."""

import asyncio

import pytest

from dscore_agent import Agent, State
from dscore_agent.seen import MAX_SEEN, SeenIds
from fake_server import FakeServer, until


def test_an_id_is_repeated_while_it_is_among_the_last_1000() -> None:
    seen = SeenIds()
    assert [seen.is_repeated("a"), seen.is_repeated("a")] == [False, True]
    for number in range(MAX_SEEN - 1):
        assert not seen.is_repeated(f"b-{number}")
    assert seen.is_repeated("a")
    for number in range(MAX_SEEN):
        seen.is_repeated(f"c-{number}")
    assert not seen.is_repeated("a")


@pytest.mark.parametrize("value", [None, 7, True, ["a"], {"a": 1}, "x" * 129])
def test_what_is_no_id_is_never_repeated(value: object) -> None:
    seen = SeenIds()
    assert [seen.is_repeated(value), seen.is_repeated(value)] == [False, False]


async def test_a_kept_message_that_comes_again_after_a_crash_is_handed_over_once() -> None:
    got: list[int] = []
    async with FakeServer() as server:
        agent = Agent(server.config(), on_message=lambda message: got.append(message["n"]))
        running = asyncio.ensure_future(agent.run())
        peer = await server.acquaint()
        await peer.send("work", n=1, message_id="m-1")
        await until(lambda: got == [1], "message")
        peer.cut()
        peer = await server.acquaint()
        await peer.send("work", n=1, message_id="m-1")
        await peer.send("work", n=2, message_id="m-2")
        await peer.send("work", n=3)
        await peer.send("work", n=3)
        await until(lambda: len(got) == 4, "messages")
        assert got == [1, 2, 3, 3]
        assert agent.state is State.READY
        await agent.close()
        await running
