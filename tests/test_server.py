import asyncio
from pathlib import Path

import pytest

import fake_core
from dscore.config import Config
from dscore.errors import (
    ConfigError,
    DrainingError,
    NotConnectedError,
    UnknownAgentError,
)
from fake_core import Closed, Outcome
from faked import FakeServer, eventually, running


async def test_start_and_close_once_and_for_all() -> None:
    async with running() as server:
        assert server.is_started
        assert server.is_ready
        assert server.address == ("127.0.0.1", 8765)
        assert server.uptime >= 0
    assert server.pool.closed
    await server.close()
    assert await server.wait() == 0


async def test_a_server_is_started_once() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        for _ in range(2):
            with pytest.raises(RuntimeError, match="started before"):
                await server.start()
        assert server.fleet.connected_ids() == ["a"]
    with pytest.raises(RuntimeError, match="started before"):
        await server.start()


async def test_before_the_start_nothing_is_ready() -> None:
    server = FakeServer()
    assert (server.is_started, server.is_ready, server.is_draining) == (False, False, False)
    assert server.uptime == 0
    assert server.drain_status() is None
    with pytest.raises(RuntimeError, match="not started"):
        await server.drain()
    await server.close()


@pytest.mark.parametrize("timeout", [-1, float("nan"), 1e9])
async def test_a_timeout_out_of_bounds_begins_nothing(timeout: float) -> None:
    async with running() as server:
        with pytest.raises(ValueError, match="timeout"):
            await server.drain(timeout=timeout)
        assert not server.is_draining


async def test_close_says_1001_to_every_connection() -> None:
    async with running() as server:
        await server.introduce(1, "a")
    assert server.pool.named("close_all") == [
        (1001, "Server shutting down gracefully", "shutdown", 0)
    ]
    assert server.fleet.counts().total == 0


async def test_a_start_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pools = []

    def fail(self: fake_core.ReactorPool) -> None:
        pools.append(self)
        raise fake_core.PoolClosedError

    monkeypatch.setattr(fake_core.ReactorPool, "start", fail)
    server = FakeServer()
    with pytest.raises(fake_core.PoolClosedError):
        await server.start()
    assert pools[0].closed
    assert not server.is_started
    await server.close()


async def test_an_unreadable_token_file_is_told_before_anything_is_bound(tmp_path: Path) -> None:
    config = Config.model_validate({"auth": {"token_file": str(tmp_path / "none")}})
    with pytest.raises(ConfigError):
        FakeServer(config)


async def test_maintenance_closes_all_and_turns_new_connections_away_until_it_is_over() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        server.set_maintenance(enabled=True)
        server.set_maintenance(enabled=True)
        await server.happen()
        assert server.maintenance
        assert not server.is_ready
        assert not server.is_draining
        assert server.pool.named("set_serving_state") == [("maintenance",)]
        assert server.pool.named("close_all") == [(1013, "Server temporarily unavailable", "", 0)]
        assert server.fleet.counts().total == 0
        server.set_maintenance(enabled=False)
        assert server.is_ready
        await server.introduce(2, "a", reconnection=True)
        assert server.told(2)[0]["session_restored"] is True


async def test_maintenance_cannot_be_changed_during_a_drain() -> None:
    async with running() as server:
        await server.drain()
        with pytest.raises(DrainingError):
            server.set_maintenance(enabled=True)


async def test_terminate_waits_for_the_outcome() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        waiting = asyncio.create_task(server.fleet.terminate("a", timeout=3))
        await server.happen()
        ((conn, timeout_ms, extension_ms, request_id),) = server.pool.named("terminate")
        assert (conn, timeout_ms, extension_ms) == (1, 3_000, 20_000)
        await server.happen(Outcome(1, "another", "acked", drain=True))
        await server.happen(Outcome(1, request_id, "timed_out", 12.5, drain=False))
        assert await waiting == ("timed_out", request_id, 12.5, None, "")


async def test_terminate_acked_takes_the_agent_offline_and_ends_its_session() -> None:
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "a")
        waiting = asyncio.create_task(server.fleet.terminate("a"))
        await server.happen()
        request_id = server.pool.named("terminate")[0][3]
        await server.happen(Outcome(1, request_id, "acked", drain=False))
        assert (await waiting).outcome == "acked"
        assert server.told(9)[-1]["reason_code"] == "terminated"
        with pytest.raises(NotConnectedError):
            server.fleet.send_message("a", {"type": "x"})
        assert server.fleet.counts().total == 2, "its connection counts until it has closed"


async def test_terminate_of_a_connection_that_ends_first_has_vanished() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        waiting = asyncio.create_task(server.fleet.terminate("a"))
        await server.happen()
        await server.happen(Closed(1))
        assert (await waiting).outcome == "vanished"


async def test_terminate_forgets_a_caller_that_gave_up() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        waiting = asyncio.create_task(server.fleet.terminate("a"))
        await server.happen()
        waiting.cancel()
        await server.happen()
        request_id = server.pool.named("terminate")[0][3]
        await server.happen(Outcome(1, request_id, "acked", drain=False))
        agent = server.fleet.agent("a")
        assert agent is not None
        assert agent.status == "offline"
        assert server.core_stats()["terminations_acked_total"] == 1


async def test_terminate_needs_an_agent_that_is_connected() -> None:
    async with running() as server:
        with pytest.raises(UnknownAgentError):
            await server.fleet.terminate("unknown")
        await server.introduce(1, "a")
        await server.happen(Closed(1))
        with pytest.raises(NotConnectedError):
            await server.fleet.terminate("a")


async def test_remove_closes_1008_and_forgets() -> None:
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.fleet.remove("a")
        assert server.pool.closes(1) == [(1008, "removed by an operator")]
        assert server.told(9)[-1]["reason_code"] == "operator"
        assert server.fleet.agent("a") is None
        with pytest.raises(UnknownAgentError):
            await server.fleet.remove("a")
        await server.happen()
        await server.introduce(2, "a", reconnection=True)
        assert server.told(2)[0]["session_restored"] is False


async def test_a_message_to_an_unknown_agent_is_an_error() -> None:
    async with running() as server:
        with pytest.raises(UnknownAgentError):
            server.fleet.send_message("unknown", {"type": "x"})


async def test_the_outbox_drops_the_oldest_and_counts() -> None:
    async with running({"session": {"outbox_limit": 2}}) as server:
        await server.introduce(1, "a")
        await server.happen(Closed(1))
        for n in range(5):
            server.fleet.send_message("a", {"type": "x", "n": n})
        assert server.core_stats()["outbox_dropped_total"] == 3
        await server.introduce(2, "a", reconnection=True)
        assert [one["n"] for one in server.told(2, "x")] == [3, 4]


async def test_a_handle_of_an_agent() -> None:
    async with running() as server:
        await server.introduce(1, "cam-1")
        (agent,) = server.fleet.agents()
        assert agent == server.fleet.agent("cam-1")
        assert hash(agent) == hash(server.fleet.agent("cam-1"))
        assert repr(agent) == "Agent('cam-1', connected)"
        assert (agent.id, agent.ip, agent.dialect) == ("cam-1", "10.0.0.1", "raw")
        assert agent.connected_at is not None
        assert agent.send({"type": "x"})
        agent.close(1008, "enough")
        assert server.pool.closes(1) == [(1008, "enough")]
        await server.happen()
        agent.close()
        assert not agent.connected
        assert agent.state == "reconnecting"
        assert len(server.pool.closes(1)) == 1


@pytest.mark.usefixtures("answers_at_once")
async def test_reload_applies_what_it_can_and_names_the_rest() -> None:
    async with running() as server:
        changed = {
            "listen": {"port": 9999},
            "monitoring": {"health_check_interval": 5, "reconnection_grace_period": 1},
            "auth": {"required": True, "tokens": ["t"]},
        }
        changes = server.reload(Config.model_validate(changed))
        assert set(changes.live) == {
            "monitoring.health_check_interval",
            "monitoring.reconnection_grace_period",
            "auth.required",
            "auth.tokens",
        }
        assert changes.needs_restart == ("listen.port",)
        (settings,) = server.pool.named("configure")[0]
        assert settings["next_heartbeat_in"] == 5_000
        await server.introduce(1, "a")
        assert server.pool.closes(1) == [(1008, "authentication failed")]
        await server.introduce(2, "a", token="t")
        assert server.told(2)[0]["nextHeartbeatIn"] == 5_000


async def test_reload_leaves_what_needs_a_restart_as_it_is_and_names_it_again() -> None:
    async with running() as server:
        changed = {
            "socket": {"cors_origins": ["https://a.example"]},
            "health": {"status_code_when_draining": 500},
            "store": {"retention": "1d"},
            "limits": {"connections": 5},
        }
        changes = server.reload(Config.model_validate(changed))
        assert set(changes.live) == {"store.retention", "limits.connections"}
        assert server.config.store.retention == 86_400
        (settings,) = server.pool.named("configure")[0]
        assert settings["max_connections"] == 5
        assert settings["origins"] == server.config.socket.cors_origins == ("self",)
        waiting = {"socket.cors_origins", "health.status_code_when_draining"}
        assert set(changes.needs_restart) == waiting
        again = server.reload(Config.model_validate(changed))
        assert again.live == ()
        assert set(again.needs_restart) == waiting


async def test_reload_with_an_unreadable_token_file_changes_nothing(tmp_path: Path) -> None:
    async with running() as server:
        before = server.config
        broken = {"auth": {"token_file": str(tmp_path / "none")}}
        with pytest.raises(ConfigError):
            server.reload(Config.model_validate(broken))
        assert server.config is before
        assert server.pool.named("configure") == []
        assert server.core_stats()["reload_failures_total"] == 1


async def test_the_sweep_reads_last_seen_and_expires_sessions() -> None:
    settings = {"monitoring": {"process_check_interval": 0.02}, "session": {"ttl": 0}}
    async with running(settings) as server:
        await server.introduce(1, "a")
        await server.happen(Closed(1))
        await eventually(lambda: server.pool.named("read_last_seen"))
        await eventually(lambda: not server.core_stats()["sessions"])


async def test_nothing_is_left_of_agents_that_come_and_go() -> None:
    async with running() as server:
        for conn in range(1, 2_001):
            await server.introduce(conn, f"a{conn % 10}")
            server.pool.push(Closed(conn))
        await server.happen()
        assert len(server._table) == 10
        assert server.fleet.counts().total == 0
        assert not server._tasks
