"""What is kept of agents, and what becomes of them after a restart of the server.

Each server here takes up the file that the one before it has left.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import fake_core
from dscore.policy.agent import Agent
from dscore.store import open_store
from fake_core import introduction
from faked import FakeServer, eventually, running

# Nothing that is not asked for ends within a test.
PATIENT: dict[str, Any] = {"monitoring": {"reconnection_grace_period": 3600}}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "dscore.db")


@asynccontextmanager
async def started(path: str, settings: dict[str, Any] | None = None) -> AsyncIterator[FakeServer]:
    # Those left open by `crash` say nothing when they are closed.
    hasty = {**(settings or PATIENT), "shutdown": {"close_timeout": 0}}
    async with running(hasty, store=open_store(path)) as server:
        yield server


async def crash(server: FakeServer) -> None:
    """Leaves the file as a killed process does: all is written, and nothing is said."""
    await eventually(lambda: not server._store.health().waiting)
    server.pool.open.clear()


def known(server: FakeServer, agent_id: str) -> Agent:
    agent = server.fleet.agent(agent_id)
    assert agent is not None
    return agent


def changes(server: FakeServer, conn: int) -> list[tuple[str, str, str | None]]:
    told = server.told(conn, "client_status_changed")
    return [
        (one["name"], one["status"], one["reason_code"]) for one in told if not one.get("snapshot")
    ]


async def test_an_agent_is_what_it_was(path: str) -> None:
    async with started(path) as server:
        await server.introduce(1, "a", config={"labels": {"site": "x"}, "n": 1})
        before = known(server, "a")
        connected_at = before.connected_at
        await crash(server)
    async with started(path) as server:
        agent = known(server, "a")
        assert (agent.status, agent.state, agent.connected) == ("online", "unknown", False)
        assert agent.ip == before.ip
        assert agent.config == {"labels": {"site": "x"}, "n": 1}
        assert agent.labels == {"site": "x"}
        assert connected_at is not None
        assert agent.connected_at == pytest.approx(connected_at, abs=0.01)


async def test_a_generation_grows_across_restarts(path: str) -> None:
    for generation in (1, 2, 3):
        async with started(path) as server:
            await server.introduce(1, "a")
            assert known(server, "a")._record.generation == generation
            await crash(server)


async def test_agents_back_in_time_cause_no_status_change(path: str) -> None:
    async with started(path) as server:
        for conn, agent_id in enumerate("abc", 1):
            await server.introduce(conn, agent_id)
        await crash(server)
    async with started(path) as server:
        await server.watch(9)
        for conn, agent_id in enumerate("abc", 1):
            await server.introduce(conn, agent_id, reconnection=True)
        assert changes(server, 9) == []
        assert all(agent.state == "connected" for agent in server.fleet.agents())


async def test_agents_not_back_in_time_are_offline_and_stay_so(path: str) -> None:
    async with started(path) as server:
        await server.introduce(1, "mute")
        await server.happen(fake_core.Opened(2), introduction(2, "heartbeat", clientName="beating"))
        await crash(server)
    settings = {"monitoring": {"reconnection_grace_period": "100ms"}}
    async with started(path, settings) as server:
        assert {agent.state for agent in server.fleet.agents()} == {"unknown"}
        await server.watch(9)
        await eventually(lambda: len(changes(server, 9)) == 2)
        assert sorted(changes(server, 9)) == [
            ("beating", "offline", "reconnect_timeout"),
            ("mute", "offline", "no_connection"),
        ]
    async with started(path) as server:
        assert {(a.id, a.state, a.reason_code) for a in server.fleet.agents()} == {
            ("beating", "offline", "reconnect_timeout"),
            ("mute", "offline", "no_connection"),
        }


async def test_a_heartbeat_read_in_bulk_is_kept(path: str) -> None:
    async with started(path) as server:
        await server.introduce(1, "a")
        now = server.pool.now_ms()
        await server.happen(fake_core.LastSeen([1, 7], [now, now], [now - 400_000, 0], [0, 0]))
        await crash(server)
    settings = {"monitoring": {"reconnection_grace_period": "50ms", "offline_timeout": "300s"}}
    async with started(path, settings) as server:
        await eventually(lambda: known(server, "a").status == "offline")
        assert known(server, "a").reason_code == "heartbeat_timeout"


async def test_one_that_was_terminated_or_offline_is_told_nothing_new(path: str) -> None:
    async with started(path) as server:
        await server.introduce(1, "a")
        await server.happen(fake_core.Outcome(1, "request", "acked", drain=False))
        await crash(server)
    async with started(path) as server:
        agent = known(server, "a")
        assert (agent.status, agent.state, agent.reason_code) == (
            "offline",
            "terminated",
            "terminated",
        )
        assert server.core_stats()["sessions"] == 0


async def test_a_removed_agent_is_unknown_after_a_restart(path: str) -> None:
    async with started(path) as server:
        await server.introduce(1, "a")
        await server.fleet.remove("a")
    async with started(path) as server:
        assert server.fleet.agent("a") is None


async def test_messages_wait_across_restarts_and_come_once_in_order(path: str) -> None:
    async with started(path) as server:
        await server.introduce(1, "a", config={"n": 1})
        await server.happen(fake_core.Closed(1))
        for n in range(3):
            assert not server.fleet.send_message("a", {"type": "note", "n": n})
        await crash(server)
    async with started(path) as server:
        assert known(server, "a").undelivered == 3
        assert server.core_stats()["undelivered_messages"] == 3
        server.fleet.send_message("a", {"type": "note", "n": 3})
        await server.introduce(1, "a", reconnection=True)
        kinds = [one["type"] for one in server.told(1)]
        assert kinds == ["reconnection_ack", "note", "note", "note", "note"]
        assert [one["n"] for one in server.told(1, "note")] == [0, 1, 2, 3]
        assert server.told(1)[0]["session_restored"] is True
        assert known(server, "a").config == {"n": 1}
        await crash(server)
    async with started(path) as server:
        await server.introduce(1, "a", reconnection=True)
        assert server.told(1, "note") == []


async def test_a_session_has_its_ttl_from_the_boot(path: str) -> None:
    settings = {**PATIENT, "session": {"ttl": "300ms"}}
    async with started(path, settings) as server:
        await server.introduce(1, "a")
        await crash(server)
    # While there is no server no agent can come back.
    await asyncio.sleep(0.4)
    async with started(path, settings) as server:
        await server.introduce(1, "a", reconnection=True)
        assert server.told(1)[0]["session_restored"] is True
        await crash(server)
    async with started(path, settings) as server:
        await asyncio.sleep(0.4)
        await server.introduce(1, "a", reconnection=True)
        assert server.told(1)[0]["session_restored"] is False


async def test_a_session_that_had_run_out_stays_out(path: str) -> None:
    settings = {**PATIENT, "session": {"ttl": "100ms"}}
    async with started(path, settings) as server:
        await server.introduce(1, "a")
        await server.happen(fake_core.Closed(1))
        await asyncio.sleep(0.2)
        await server.introduce(2, "b")
        await crash(server)
    async with started(path, settings) as server:
        await server.introduce(1, "a", reconnection=True)
        assert server.told(1)[0]["session_restored"] is False


async def test_timelines_go_on_across_restarts(path: str) -> None:
    for count in (1, 2):
        async with started(path) as server:
            await server.introduce(1, "a")
            entries, _ = await server.fleet.timeline("a", limit=99)
            assert [entry.kind for entry in entries].count("connected") == count
            await crash(server)


async def test_time_to_come_back_stands_still_in_maintenance(path: str) -> None:
    async with started(path) as server:
        await server.introduce(1, "a")
        await crash(server)
    settings = {"monitoring": {"reconnection_grace_period": "200ms"}}
    async with started(path, settings) as server:
        server.set_maintenance(enabled=True)
        await asyncio.sleep(0.3)
        assert known(server, "a").state == "unknown"
        server.set_maintenance(enabled=False)
        await eventually(lambda: known(server, "a").state == "offline")
