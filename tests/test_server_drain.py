import asyncio
import logging
from typing import Any

import pytest

import fake_core
from dscore.policy import Policy
from dscore.policy.drain import DrainReport
from dscore.server.watchers import WINDOW
from fake_core import Closed, Outcome, introduction, message
from faked import FakeServer, eventually, running


async def begin(server: FakeServer, **options: Any) -> "asyncio.Task[DrainReport]":
    drain = asyncio.create_task(server.drain(**options))
    await asyncio.sleep(0)
    return drain


async def test_drain_1_shuts_health_and_readiness_before_anything_else() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        assert server.is_ready
        drain = await begin(server)
        assert server.is_draining
        assert not server.is_ready
        first = server.pool.commands.index(("set_serving_state", "draining"))
        assert server.pool.commands[first + 1][0] == "terminate_all"
        await server.happen(Outcome(1, "r", "acked"))
        await drain


async def test_drain_3_watchers_get_server_shutdown_and_agents_terminate_app() -> None:
    settings = {"shutdown": {"timeout": 7, "notice": 1, "max_extension": 3}}
    async with running(settings) as server:
        await server.introduce(1, "a")
        await server.watch(8)
        await server.watch(9)
        drain = await begin(server)
        await server.happen()
        assert server.pool.named("terminate_all") == [(7_000, 1_000, 3_000)]
        assert server.told(1, "server_shutdown") == []
        first, second = (server.told(conn, "server_shutdown")[0] for conn in (8, 9))
        assert first["reconnectAfter"] == 5_000
        assert second["reconnectAfter"] == 7_500, "a slot of its own in the window of 5 s"
        assert first["message"] == "The server is shutting down. Please reconnect in a moment."
        assert first["timestamp"].endswith("Z")
        await server.happen(Outcome(1, "r", "acked"))
        await drain


async def test_drain_a_watcher_hears_of_every_agent_before_it_is_closed() -> None:
    agents = 5 * WINDOW
    async with running() as server:
        for conn in range(1, agents + 1):
            ready = introduction(conn, "app_ready", instance_id=f"a{conn}")
            server.pool.push(fake_core.Opened(conn), ready)
        await server.happen()
        await server.watch(9_999)
        server.pool.deaf.add(9_999)
        drain = await begin(server)
        await server.happen(*(Outcome(conn, "r", "acked") for conn in range(1, agents + 1)))
        await eventually(lambda: server.told(9_999, "drain_progress")[-1]["pending"] == 0)
        assert server.pool.named("close_all") == [], "it has not read all of it"
        server.pool.deaf.clear()
        server.pool.push(fake_core.Drained(9_999))
        await drain
        told = server.told(9_999, "client_status_changed")
        assert {one["id"] for one in told} == {f"a{conn}" for conn in range(1, agents + 1)}
        assert {one["reason_code"] for one in told} == {"terminated"}


async def test_drain_does_not_wait_long_for_a_watcher_that_does_not_read() -> None:
    async with running({"shutdown": {"close_timeout": 0.05}}) as server:
        await server.watch(9_999)
        server.pool.deaf.add(9_999)
        for number in range(WINDOW):
            await server.introduce(10_000 + number, "a")
            await server.fleet.remove("a")
        drain = await begin(server)
        await asyncio.wait_for(drain, 5)


async def test_drain_3_an_agent_that_watches_gets_both() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(message(1, "watch"))
        drain = await begin(server)
        await server.happen()
        assert len(server.told(1, "server_shutdown")) == 1
        await server.happen(Outcome(1, "r", "acked"))
        await drain


async def test_drain_4_an_acked_agent_is_released_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "cam-1")
        await server.introduce(2, "cam-2")
        drain = await begin(server)
        await server.happen(Outcome(1, "r1", "acked", latency_ms=4.0))
        agent = server.fleet.agent("cam-1")
        assert agent is not None
        assert (agent.status, agent.reason_code, agent.connected) == (
            "offline",
            "terminated",
            False,
        )
        assert server.told(9, "client_status_changed")[-1]["reason_code"] == "terminated"
        assert server.core_stats()["sessions"] == 1, "an OK ends the session"
        assert any(
            "DeepStream client cam-1 terminated gracefully" in record.getMessage()
            for record in caplog.records
        )
        assert not drain.done()
        await server.happen(Closed(1, 1000, "Client terminated", "server"))
        await server.happen(Outcome(2, "r2", "acked", latency_ms=6.0))
        report = await drain
        assert (report.total, report.acked, report.not_acked) == (2, 2, [])
        assert report.latency_ms == {"p50": 4.0, "p99": 6.0, "max": 6.0}
        assert await server.wait() == 0


@pytest.mark.parametrize("outcome", ["failed", "timed_out", "vanished"])
async def test_drain_6_an_agent_without_an_ack_is_named_and_the_exit_code_is_3(
    outcome: str,
) -> None:
    async with running() as server:
        await server.introduce(1, "good")
        await server.introduce(2, "bad")
        drain = await begin(server)
        await server.happen(Outcome(1, "r1", "acked"), Outcome(2, "r2", outcome))
        report = await drain
        assert report.not_acked == ["bad"]
        assert getattr(report, outcome) == 1
        assert await server.wait() == 3


async def test_drain_5_an_agent_of_the_socketio_contract_counts_as_notified() -> None:
    async with running() as server:
        beat = introduction(1, "heartbeat", clientName="b")
        await server.happen(fake_core.Opened(1), beat)
        drain = await begin(server)
        await server.happen(Outcome(1, "r", "notified"))
        report = await drain
        assert (report.notified, report.timed_out, report.exit_code) == (1, 0, 0)


async def test_drain_5_the_rest_is_closed_1001_after_the_agents() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.watch(8)
        await server.happen(fake_core.Opened(9))
        drain = await begin(server)
        await server.happen()
        assert server.pool.named("close_all") == []
        await server.happen(Outcome(1, "r", "acked"))
        await drain
        assert server.pool.named("close_all") == [
            (1001, "Server shutting down gracefully", "shutdown", 0)
        ]
        assert server.fleet.counts().total == 0


async def test_drain_an_agent_that_left_before_it_was_told_has_vanished() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        drain = await begin(server)
        await server.happen(Closed(1))
        report = await drain
        assert (report.total, report.vanished, report.not_acked) == (1, 1, ["a"])


async def test_drain_without_connections_is_over_at_once() -> None:
    async with running() as server:
        report = await server.drain()
        assert (report.total, report.exit_code) == (0, 0)
        assert await server.wait() == 0


async def test_drain_a_second_request_joins_the_first() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        first = await begin(server)
        second = await begin(server, intent="restart", timeout=0)
        await server.happen(Outcome(1, "r", "acked"))
        assert await first is await second
        assert (await first).intent == "terminate"
        assert len(server.pool.named("terminate_all")) == 1


async def test_drain_goes_on_when_its_caller_is_cancelled() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        drain = await begin(server)
        drain.cancel()
        await server.happen(Outcome(1, "r", "acked"))
        assert await server.wait() == 0


async def test_drain_goes_on_when_the_core_does_not_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dscore.server.drain.SLACK", 0.01)
    settings = {"shutdown": {"timeout": 0.01, "notice": 0.01, "max_extension": 0.01}}
    async with running(settings) as server:
        await server.introduce(1, "a")
        report = await server.drain()
        assert (report.timed_out, report.exit_code) == (1, 3)


async def test_drain_progress_counts_up_to_the_end() -> None:
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.introduce(2, "b")
        drain = await begin(server)
        await eventually(lambda: server.told(9, "drain_progress"))
        await server.happen(Outcome(1, "r1", "acked"))
        await eventually(lambda: len(server.told(9, "drain_progress")) == 2)
        await server.happen(Outcome(2, "r2", "timed_out"))
        await drain
        told = server.told(9, "drain_progress")
        assert [(one["acked"], one["timed_out"], one["pending"]) for one in told] == [
            (0, 0, 2),
            (1, 0, 1),
            (1, 1, 0),
        ]
        assert told[0]["intent"] == "terminate"
        assert told[0]["total"] == 2


async def test_drain_progress_comes_at_most_ten_times_a_second() -> None:
    async with running() as server:
        await server.watch(10_000)
        for conn in range(1, 301):
            ready = introduction(conn, "app_ready", instance_id=f"a{conn}")
            server.pool.push(fake_core.Opened(conn), ready)
        await server.happen()
        loop = asyncio.get_running_loop()
        drain, started = await begin(server), loop.time()
        for conn in range(1, 301):
            await server.happen(Outcome(conn, f"r{conn}", "acked"))
        await drain
        seconds = loop.time() - started
        assert len(server.told(10_000, "drain_progress")) <= 10 * max(1.0, seconds)


async def test_drain_status_says_how_far_it_is() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        assert server.drain_status() is None
        drain = await begin(server)
        await server.happen()
        status = server.drain_status()
        assert status is not None
        assert (status.state, status.pending, status.report) == ("waiting", 1, None)
        await server.happen(Outcome(1, "r", "acked"))
        report = await drain
        status = server.drain_status()
        assert status is not None
        assert (status.state, status.pending, status.report) == ("done", 0, report)


async def test_drain_a_disconnect_begins_no_grace_period() -> None:
    settings = {"monitoring": {"reconnection_grace_period": 0, "heartbeat_grace_period": 0}}
    async with running(settings) as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.introduce(2, "b")
        drain = await begin(server)
        await server.happen(Outcome(1, "r", "vanished"), Closed(1))
        await asyncio.sleep(0.02)
        agent = server.fleet.agent("a")
        assert agent is not None
        assert agent.status == "online", "the next process decides"
        await server.happen(Outcome(2, "r", "acked"))
        await drain


async def test_restart_tells_everyone_and_gives_each_a_slot() -> None:
    settings = {"shutdown": {"notice": 0.05, "spread": 0.1, "reconnect_window": 10}}
    async with running(settings) as server:
        await server.introduce(1, "a")
        await server.introduce(2, "b")
        await server.watch(8)
        await server.watch(9)
        report = await server.drain(intent="restart")
        slots = [server.told(conn, "server_shutdown")[0]["reconnectAfter"] for conn in (1, 2, 8, 9)]
        assert slots == [5_000, 7_500, 10_000, 12_500]
        assert server.pool.named("terminate_all") == []
        assert server.pool.named("close_all") == [
            (1001, "Server shutting down gracefully", "shutdown", 100)
        ]
        assert (report.notified, report.not_acked, report.exit_code) == (2, [], 0)


async def test_restart_gives_the_notice_before_it_closes() -> None:
    async with running({"shutdown": {"notice": 0.1}}) as server:
        await server.introduce(1, "a")
        drain = await begin(server, intent="restart")
        await eventually(lambda: server.told(1, "server_shutdown"))
        assert server.pool.named("close_all") == []
        report = await drain
        assert report.duration_ms >= 99


async def test_drain_intent_comes_from_the_settings() -> None:
    async with running({"shutdown": {"intent": "restart", "notice": 0}}) as server:
        assert (await server.drain()).intent == "restart"


async def test_hooks_hear_of_a_drain_and_of_its_end() -> None:
    class Diary(Policy):
        def __init__(self) -> None:
            self.pages: list[object] = []

        def on_drain(self, intent: str) -> None:
            self.pages.append(intent)

        async def on_drained(self, report: DrainReport) -> None:
            self.pages.append(report.total)

    diary = Diary()
    async with running(policy=diary) as server:
        await server.drain()
        await eventually(lambda: diary.pages == ["terminate", 0])


async def test_a_drain_that_fails_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as server:
        monkeypatch.setattr("dscore.server.drain.Draining.run", lambda self: _fail())
        with pytest.raises(LookupError):
            await server.drain()
        assert await server.wait() == 1


async def _fail() -> None:
    raise LookupError


async def test_drain_3_every_socketio_connection_gets_server_shutdown_introduced_or_not() -> None:
    async with running() as server:
        await server.introduce(1, "raw")
        await server.happen(fake_core.Opened(2))
        await server.join(3)
        await server.happen(introduction(3, "app_ready", instance_id="sio"))
        await server.join(4)
        await server.happen(introduction(4, "heartbeat", clientName="b"))
        await server.join(5)
        await server.join(6)
        await server.happen(introduction(6, "watch"), fake_core.message(6, "unwatch"))
        drain = await begin(server)
        await server.happen(*(Outcome(conn, "r", "acked") for conn in (1, 3, 4)))
        report = await drain
        told = [conn for conn in range(1, 7) if server.told(conn, "server_shutdown")]
        assert told == [3, 4, 5, 6]
        assert (report.total, report.acked) == (3, 3)


async def test_restart_is_the_same_for_both_dialects() -> None:
    settings = {"shutdown": {"notice": 0.01, "reconnect_window": 8}}
    async with running(settings) as server:
        await server.introduce(1, "raw")
        await server.join(2)
        await server.happen(introduction(2, "heartbeat", clientName="sio"))
        await server.happen(fake_core.Opened(3))
        await server.join(4)
        report = await server.drain(intent="restart")
        slots = [server.told(conn, "server_shutdown")[0]["reconnectAfter"] for conn in (1, 2, 3, 4)]
        assert slots == [5_000, 7_000, 9_000, 11_000]
        assert (report.total, report.notified) == (2, 2)


@pytest.mark.parametrize("intent", ["terminate", "restart"])
async def test_drain_whom_maintenance_sends_away_is_not_missed(intent: Any) -> None:
    async with running({"shutdown": {"notice": 0.01}}) as server:
        await server.introduce(1, "a")
        open_now = set(server.pool.open)
        server.pool.open.clear()  # its closing handshake takes a while
        server.set_maintenance(enabled=True)
        server.set_maintenance(enabled=False)
        await server.introduce(2, "b")
        drain = await begin(server, intent=intent)
        assert server.pool.named("close_all")[0][0] == 1013
        server.pool.open |= open_now
        await server.happen(Closed(1, 1013), Outcome(2, "r", "acked"))
        report = await drain
        assert (report.total, report.vanished, report.exit_code) == (1, 0, 0)
