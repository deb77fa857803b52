"""Wrong words and numbers in calls of the Python API are named with the right ones."""

import asyncio
from typing import Any

import pytest

import dscore
import wire
from waiting import wait_until


@pytest.mark.parametrize("intent", ["restrat", "", "Terminate", True, 1])
async def test_a_drain_with_a_wrong_word_is_refused_at_once(
    server: dscore.Server, intent: Any
) -> None:
    with pytest.raises(ValueError, match=r"intent: .* is none of terminate, restart"):
        await server.drain(intent=intent)
    assert not server.is_draining


async def test_the_nearest_word_is_named(server: dscore.Server) -> None:
    with pytest.raises(ValueError, match="did you mean 'restart'"):
        await server.drain(intent="restrat")  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [True, "5", float("nan"), float("inf"), -1, 86_401, [5]])
async def test_a_timeout_is_a_number_of_seconds(server: dscore.Server, timeout: Any) -> None:
    with pytest.raises(ValueError, match=r"timeout: .* is not a number between 0 and 86400"):
        await server.drain(timeout=timeout)
    assert not server.is_draining


@pytest.mark.parametrize("to", ["agent", "everyone", "", None, True])
async def test_a_broadcast_to_a_wrong_word_goes_nowhere(server: dscore.Server, to: Any) -> None:
    with pytest.raises(ValueError, match=r"to: .* is none of agents, watchers, all"):
        server.fleet.broadcast({"type": "news"}, to=to)


@pytest.mark.parametrize("enabled", ["off", 1, 0, None])
async def test_maintenance_is_switched_by_a_truth_value_only(
    server: dscore.Server, enabled: Any
) -> None:
    with pytest.raises(ValueError, match=r"enabled: .* is neither True nor False"):
        server.set_maintenance(enabled=enabled)
    assert not server.maintenance


@pytest.mark.parametrize("code", [0, 999, 1005, 1006, 1015, 5000, True])
async def test_a_close_code_that_may_not_be_sent_is_refused_for_an_absent_agent_too(
    server: dscore.Server, code: int
) -> None:
    async with wire.agent(f"ws://127.0.0.1:{server.address[1]}/deepstream/ws", "a"):
        agent = server.fleet.agent("a")
        assert agent is not None
        with pytest.raises(ValueError, match="code"):
            agent.close(code)
    await asyncio.to_thread(wait_until, lambda: not agent.connected, "end of the connection")
    with pytest.raises(ValueError, match="code"):
        agent.close(code)
    agent.close(1000)
