"""What the server says of an agent that was asked to stop, over real sockets."""

import asyncio

import pytest

import dscore
from wire import agent


@pytest.fixture
def url(server: dscore.Server) -> str:
    return "ws://{}:{}/deepstream/ws".format(*server.address)


async def test_an_agent_that_never_answers_has_not_stopped_complete(
    server: dscore.Server, url: str
) -> None:
    async with agent(url, "h2"):
        handle = server.fleet.agent("h2")
        assert handle is not None
        ended = await handle.terminate(timeout=0.1)
    assert (ended.outcome, ended.complete, ended.message) == ("timed_out", None, "")


@pytest.mark.parametrize(
    ("status", "outcome", "complete"), [("FAILED", "failed", None), ("OK", "acked", True)]
)
async def test_the_last_word_of_an_agent_is_told(
    server: dscore.Server, url: str, status: str, outcome: str, complete: bool | None
) -> None:
    async with agent(url, "hang") as wire:
        handle = server.fleet.agent("hang")
        assert handle is not None
        ask = asyncio.create_task(handle.terminate(timeout=0.5))
        request = await wire.recv_type("terminate_app")
        word = "the pipeline hangs"
        fields = {"request_id": request["request_id"], "status": status, "message": word}
        await wire.send("app_terminated", **fields)
        ended = await ask
    assert (ended.outcome, ended.complete, ended.message) == (outcome, complete, word)
