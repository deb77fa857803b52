"""PROTOCOL.md §5.9: ages are of the monotonic clock; a step of the wall clock changes nothing."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import dscore
from clocks import Hands
from dscore.store.sqlite import SqliteStore
from protocol.support import Running, Settings, eventually
from wire import agent

YEARS = 20 * 365 * 86_400.0
STEPS = [YEARS, 40 * 86_400.0, 7200.0, -7200.0, -YEARS]
FAST = {"process_check_interval": 0.05, "reconnection_grace_period": "60s"}


@asynccontextmanager
async def serving(
    hands: Hands, path: Path | None, settings: Settings | None = None
) -> AsyncIterator[Running]:
    """A server on real sockets whose wall clock the test sets."""

    def wall() -> float:
        return hands.wall() + time.monotonic()

    class Server(dscore.Server):
        def _wall(self) -> float:
            return wall()

    config = dscore.Config.model_validate(
        {
            "listen": {"port": 0},
            "monitoring": FAST,
            "session": {"ttl": "1h"},
            "store": {"retention": "30d"},
            **(settings or {}),
        }
    )
    store = dscore.MemoryStore() if path is None else SqliteStore(str(path), wall=wall)
    async with Server(config, store=store) as server:
        base = f"http://127.0.0.1:{server.address[1]}"
        power = {"authorization": f"Bearer {server.operator_token}"}
        async with httpx.AsyncClient(base_url=base, trust_env=False, headers=power) as pages:
            yield Running(server, pages)


async def events(here: Running, agent_id: str) -> dict[str, Any]:
    answer = await here.pages.get(f"/api/v1/agents/{agent_id}/events")
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def swept(here: Running) -> None:
    """Waits for two sweeps and a look at the clocks."""
    await asyncio.sleep(1.2)


async def left_with_a_message(here: Running) -> None:
    async with agent(here.ws, "a-1") as one:
        await one.beat()

    async def is_away() -> bool:
        return not here.server.fleet.connected_ids()

    await eventually(is_away)
    answer = await here.pages.post("/api/v1/agents/a-1/message", json={"type": "note"})
    assert answer.json() == {"delivered": False}


async def comes_back_to_everything(here: Running) -> None:
    async with agent(here.ws, "a-1", introduce=False) as one:
        assert (await one.introduce(reconnection=True))["session_restored"] is True
        assert (await one.recv_type("note"))["message_id"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kept", [True, False])
async def test_ages_9_a_step_is_logged_and_changes_nothing(
    tmp_path: Path, step: float, kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    hands = Hands(wall_s=1_900_000_000.0)
    async with serving(hands, tmp_path / "dscore.db" if kept else None) as here:
        await left_with_a_message(here)
        before = await events(here, "a-1")
        hands.set_wall(step)
        await swept(here)
        [line] = [one.getMessage() for one in caplog.records if "clock_stepped" in one.getMessage()]
        assert "was=" in line
        assert "now=" in line
        after = await events(here, "a-1")
        assert after["items"][1:] == before["items"]
        assert after["items"][0]["kind"] == "clock"
        assert after["agent"]["status"] == "online"
        await comes_back_to_everything(here)
        stats = here.server.core_stats()
        assert stats["clock_steps_total"] == 1
        assert stats["outbox_dropped_total"] == 0


@pytest.mark.parametrize("boot", [YEARS, 40 * 86_400.0, -YEARS, -7200.0])
@pytest.mark.parametrize("then", [0.0, YEARS, -YEARS])
async def test_ages_9_a_wrong_clock_at_boot_loses_nothing(
    tmp_path: Path, boot: float, then: float
) -> None:
    hands, path = Hands(wall_s=1_900_000_000.0), tmp_path / "dscore.db"
    async with serving(hands, path) as here:
        await left_with_a_message(here)
        shown = (await events(here, "a-1"))["agent"]
    hands.set_wall(boot)
    async with serving(hands, path) as here:
        hands.set_wall(then)
        await swept(here)
        now = await events(here, "a-1")
        assert now["agent"]["last_heartbeat"] == shown["last_heartbeat"]
        assert now["agent"]["connected_at"] == shown["connected_at"]
        assert [one["kind"] for one in now["items"]][-2:] == ["disconnected", "connected"]
        await comes_back_to_everything(here)


async def test_ages_9_a_store_written_before_a_step_is_read_after_it(tmp_path: Path) -> None:
    hands, path = Hands(wall_s=100_000.0), tmp_path / "dscore.db"
    async with serving(hands, path) as here:
        await left_with_a_message(here)
        hands.set_wall(56 * 365 * 86_400.0)
        await swept(here)
        async with agent(here.ws, "later"):
            pass
    async with serving(hands, path) as here:
        await swept(here)
        assert {one.id for one in here.server.fleet.agents()} == {"a-1", "later"}
        assert len((await events(here, "a-1"))["items"]) >= 3
        await comes_back_to_everything(here)


async def test_ages_9_a_session_ends_when_its_ttl_has_passed(tmp_path: Path) -> None:
    hands = Hands()
    settings = {"session": {"ttl": "300ms"}}
    async with serving(hands, tmp_path / "dscore.db", settings) as here:
        await left_with_a_message(here)
        hands.set_wall(-YEARS)

        async def is_over() -> bool:
            return here.server.core_stats()["sessions"] == 0

        await eventually(is_over)
        assert here.server.core_stats()["outbox_dropped_total"] == 1


async def test_ages_9_a_sentence_tells_time_that_passed_and_not_what_was_set() -> None:
    hands = Hands()
    settings = {"monitoring": {**FAST, "reconnection_grace_period": 1.5}}
    async with serving(hands, None, settings) as here:
        async with agent(here.ws, "a-1"):
            pass
        hands.set_wall(YEARS)

        async def is_offline() -> bool:
            return bool((await events(here, "a-1"))["agent"]["status"] == "offline")

        await eventually(is_offline)
        document = await events(here, "a-1")
        # From one moment to another, less the step between: on a busy machine a little more.
        assert "it did not come back within" in document["sentence"]
        assert " d " not in document["sentence"]
        [told] = [one["text"] for one in document["items"] if one["kind"] == "clock"]
        assert told == "the wall clock was set forward by 7300 d"
