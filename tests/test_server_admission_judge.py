import asyncio
import logging
from functools import partial
from typing import Any

import pytest

import fake_core
from dscore.log.limit import LineLimit
from dscore.policy import Candidate, Policy, liveness
from fake_core import introduction
from faked import eventually, running

pytestmark = pytest.mark.usefixtures("answers_at_once")

TOKENS = {"auth": {"required": True, "tokens": ["agents"], "operator_tokens": ["operators"]}}


class Door(Policy):
    """An async authenticate that answers when told."""

    def __init__(self) -> None:
        self.asked: list[Candidate] = []
        self.verdict: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def authenticate(self, candidate: Candidate) -> bool:
        self.asked.append(candidate)
        return await self.verdict


async def test_app_ready_introduces_and_is_acknowledged_first_of_all() -> None:
    async with running() as server:
        await server.introduce(1, "cam-1", config={"fps": 30})
        assert server.pool.named("accept")[0][:3] == (1, "cam-1", False)
        assert server.told(1) == [
            {
                "type": "app_ready_ack",
                "status": "ok",
                "session_restored": False,
                "server_status": "running",
                "nextHeartbeatIn": 30_000,
            }
        ]
        agent = server.fleet.agent("cam-1")
        assert agent is not None
        assert (agent.status, agent.connected, agent.config) == ("online", True, {"fps": 30})
        assert server.fleet.counts() == (1, 1, 0)


async def test_app_ready_ack_can_be_switched_off() -> None:
    async with running({"compat": {"app_ready_ack": False}}) as server:
        await server.introduce(1, "a")
        assert server.told(1) == []
        await server.introduce(2, "b", reconnection=True)
        assert server.told(2, "reconnection_ack")


async def test_an_opened_connection_is_unauthenticated() -> None:
    async with running() as server:
        await server.happen(fake_core.Opened(1))
        assert server.fleet.counts() == (1, 0, 1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "missing_field"),
        ({"instance_id": ""}, "missing_field"),
        ({"instance_id": "x" * 129}, "bad_field"),
        ({"instance_id": 7}, "bad_field"),
        ({"instance_id": "a", "reconnection": "yes"}, "bad_field"),
    ],
)
async def test_a_bad_introduction_is_refused_and_lives_on(
    fields: dict[str, Any], code: str
) -> None:
    async with running() as server:
        await server.happen(fake_core.Opened(1), introduction(1, "app_ready", **fields))
        ((conn, refused, _, kind),) = server.pool.named("refuse")
        assert (conn, refused, kind) == (1, code, "app_ready")
        assert server.fleet.counts() == (1, 0, 1)
        await server.happen(introduction(1, "app_ready", instance_id="a"))
        assert server.fleet.connected_ids() == ["a"]


async def test_a_heartbeat_introduces_an_agent_that_gets_only_a_notice() -> None:
    async with running() as server:
        beat = introduction(1, "heartbeat", clientName="b", ip_address="10.9.9.9")
        await server.happen(fake_core.Opened(1), beat)
        assert server.pool.named("accept")[0][:3] == (1, "b", True)
        # The core answers it, as every other one.
        assert server.told(1) == []
        agent = server.fleet.agent("b")
        assert agent is not None
        assert agent.ip == "10.9.9.9"
        assert agent.last_heartbeat is not None


async def test_reconnection_success_introduces_without_a_reply() -> None:
    async with running() as server:
        back = introduction(1, "reconnection_success", clientName="b")
        await server.happen(fake_core.Opened(1), back)
        assert server.fleet.connected_ids() == ["b"]
        assert server.told(1) == []


async def test_introduction_during_a_drain_is_closed_1013() -> None:
    async with running({"shutdown": {"timeout": 0.1, "max_extension": 0}}) as server:
        await server.introduce(1, "a")
        await server.happen(fake_core.Opened(2))
        drain = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        await server.happen(introduction(2, "app_ready", instance_id="late"))
        assert server.pool.closes(2) == [(1013, "Server shutting down")]
        assert server.fleet.agent("late") is None
        await server.happen(fake_core.Outcome(1, "r", "acked"))
        await drain


async def test_introduction_in_maintenance_is_closed_1013() -> None:
    async with running() as server:
        await server.happen(fake_core.Opened(1))
        server.pool.open.clear()  # this one is slow to hear of the closing of all
        server.set_maintenance(enabled=True)
        await server.happen(introduction(1, "app_ready", instance_id="a"))
        assert server.pool.closes(1) == [(1013, "Server temporarily unavailable")]


async def test_tokens_come_with_app_ready_or_with_the_upgrade() -> None:
    async with running(TOKENS) as server:
        await server.introduce(1, "a", token="agents")
        await server.happen(
            fake_core.Opened(2, bearer="agents"), introduction(2, "app_ready", instance_id="b")
        )
        assert server.fleet.connected_ids() == ["a", "b"]
        assert server.pool.config.settings["introduce_by_heartbeat"] is False


@pytest.mark.parametrize("token", [None, "wrong", "operators"])
async def test_a_bad_agent_token_is_closed_1008(token: str | None) -> None:
    async with running(TOKENS) as server:
        await server.introduce(1, "a", token=token)
        assert server.pool.closes(1) == [(1008, "authentication failed")]
        assert server.fleet.agent("a") is None
        assert server.core_stats()["authentication_failures_total"] == 1


async def test_watching_without_the_operator_role_is_forbidden() -> None:
    async with running(TOKENS) as server:
        await server.watch(1, token="agents")
        assert [refusal[:2] for refusal in server.pool.named("refuse")] == [(1, "forbidden")]
        await server.watch(2, token="operators")
        assert server.pool.named("accept_watcher") == [(2, [])]


async def test_a_plain_authenticate_decides_at_once() -> None:
    class Odd(Policy):
        def authenticate(self, candidate: Candidate) -> bool:
            return candidate.agent_id != "bad"

    async with running(policy=Odd()) as server:
        await server.introduce(1, "good")
        await server.introduce(2, "bad")
        assert server.fleet.connected_ids() == ["good"]
        assert server.pool.closes(2) == [(1008, "authentication failed")]


async def test_an_async_authenticate_is_waited_for() -> None:
    door = Door()
    async with running(policy=door) as server:
        await server.introduce(1, "a", token="t")
        assert server.fleet.connected_ids() == []
        door.verdict.set_result(True)
        await eventually(lambda: server.fleet.connected_ids() == ["a"])
        assert door.asked == [Candidate("agent", "a", "10.0.0.1", "t", "app_ready", False)]


async def test_a_connection_may_go_while_authenticate_thinks() -> None:
    door = Door()
    async with running(policy=door) as server:
        await server.introduce(1, "a")
        await server.happen(fake_core.Closed(1))
        door.verdict.set_result(True)
        await server.happen()
        assert server.fleet.agent("a") is None
        assert server.pool.named("accept") == []


async def test_a_drain_may_begin_while_authenticate_thinks() -> None:
    door = Door()
    async with running(policy=door) as server:
        await server.introduce(1, "a")
        server.pool.open.clear()
        drain = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        door.verdict.set_result(True)
        await eventually(lambda: server.pool.closes(1))
        assert server.pool.closes(1) == [(1013, "Server shutting down")]
        await server.happen(fake_core.Closed(1, 1013))
        await drain


async def test_an_authenticate_that_takes_too_long_is_an_authentication_timeout() -> None:
    async with running({"auth": {"timeout": 0.02}}, policy=Door()) as server:
        await server.introduce(1, "a")
        await eventually(lambda: server.pool.closes(1))
        assert server.pool.closes(1) == [(1008, "authentication timeout")]


async def test_an_authenticate_that_raises_closes_1011_so_that_the_agent_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Policy):
        def authenticate(self, candidate: Candidate) -> bool:
            raise LookupError("no database")

    async with running(policy=Broken()) as server:
        await server.introduce(1, "a")
        beat = introduction(2, "heartbeat", clientName="b")
        await server.happen(fake_core.Opened(2), beat)
        await server.watch(3)
        assert server.pool.closes(1) == [(1011, "internal error")]
        assert server.pool.closes(2) == [(1011, "internal error")]
        (response,) = server.told(2)
        assert (response["status"], response["shouldReconnect"]) == ("error", True)
        assert server.pool.named("refuse")[0][:2] == (3, "forbidden")
        assert server.core_stats()["hook_errors_total"] == 3
    assert any("hook_failed" in r.message for r in caplog.records if r.levelno == logging.ERROR)


async def test_an_async_authenticate_that_raises_closes_1011() -> None:
    door = Door()
    async with running(policy=door) as server:
        await server.introduce(1, "a")
        door.verdict.set_exception(LookupError("no database"))
        await eventually(lambda: server.pool.closes(1))
        assert server.pool.closes(1) == [(1011, "internal error")]


async def test_liveness_7_takeover_closes_4409() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.introduce(2, "a")
        assert server.pool.named("close_connection") == [(1, 4409, "taken over", "taken_over")]
        await server.happen()
        agent = server.fleet.agent("a")
        assert agent is not None
        assert (agent.connected, agent.state) == (True, "connected")
        assert server.fleet.connected_ids() == ["a"]
        assert server.fleet.counts() == (1, 1, 0)


async def test_liveness_7_a_takeover_is_no_change_for_watchers() -> None:
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.introduce(2, "a")
        await server.happen()
        assert [one["status"] for one in server.told(9)] == ["online"]


async def test_liveness_7_a_message_of_a_taken_over_connection_counts_no_more() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        server.pool.open.clear()
        await server.introduce(2, "a")
        late = fake_core.message(1, "client_status_request", clientName="a")
        await server.happen(late)
        assert server.told(1, "server_status_response") == []


async def test_session_is_restored_with_its_outbox_after_the_ack() -> None:
    async with running() as server:
        await server.introduce(1, "a", config={"x": 1})
        await server.happen(fake_core.Closed(1))
        assert server.fleet.send_message("a", {"type": "one"}) is False
        assert server.fleet.send_message("a", b'{"type":"two"}') is False
        await server.introduce(2, "a", reconnection=True, last_close_code=1006)
        assert [one["type"] for one in server.told(2)] == ["reconnection_ack", "one", "two"]
        assert server.told(2)[0]["session_restored"] is True
        agent = server.fleet.agent("a")
        assert agent is not None
        assert agent.config == {"x": 1}
        assert server.fleet.send_message("a", {"type": "three"}) is True
        assert server.told(2)[-1] == {"type": "three"}


async def test_session_restored_is_the_truth() -> None:
    async with running() as server:
        await server.introduce(1, "a", reconnection=True)
        assert server.told(1)[0] == {
            "type": "reconnection_ack",
            "status": "ok",
            "session_restored": False,
            "server_status": "running",
        }


async def test_no_reconnection_begins_a_new_session_without_the_old_outbox() -> None:
    async with running() as server:
        await server.introduce(1, "a", config={"x": 1})
        await server.happen(fake_core.Closed(1))
        server.fleet.send_message("a", {"type": "old"})
        await server.introduce(2, "a")
        assert [one["type"] for one in server.told(2)] == ["app_ready_ack"]
        agent = server.fleet.agent("a")
        assert agent is not None
        assert agent.config is None


async def test_a_heartbeat_gets_the_outbox() -> None:
    async with running() as server:
        beat = introduction(1, "heartbeat", clientName="b")
        await server.happen(fake_core.Opened(1), beat, fake_core.Closed(1))
        server.fleet.send_message("b", {"type": "one"})
        await server.happen(fake_core.Opened(2), introduction(2, "heartbeat", clientName="b"))
        assert [one["type"] for one in server.told(2)] == ["one"]


async def test_an_authenticate_has_its_own_time_however_late_the_introduction_came() -> None:
    # The connection's clock stands still meanwhile (PROTOCOL.md §5 rule 3).
    door = Door()
    async with running({"auth": {"timeout": "10s"}}, policy=door) as server:
        await server.happen(fake_core.Opened(1))
        server.pool.clock_skip = 9_999
        await server.happen(introduction(1, "app_ready", instance_id="a"))
        server.pool.clock_skip = 15_000
        door.verdict.set_result(True)
        await eventually(lambda: server.fleet.connected_ids() == ["a"])
        assert server.pool.closes(1) == []


async def test_a_socketio_connection_may_introduce_itself_at_any_time() -> None:
    door = Door()
    async with running({"auth": {"timeout": "10s"}}, policy=door) as server:
        await server.join(1)
        server.pool.clock_skip = 3_600_000
        await server.happen(introduction(1, "heartbeat", clientName="a"))
        door.verdict.set_result(True)
        await eventually(lambda: server.fleet.connected_ids() == ["a"])


async def test_whom_maintenance_sends_away_is_not_let_in_when_it_is_over() -> None:
    door = Door()
    async with running(policy=door) as server:
        await server.introduce(1, "a")
        server.pool.open.clear()
        server.set_maintenance(enabled=True)
        server.set_maintenance(enabled=False)
        door.verdict.set_result(True)
        await server.happen()
        assert server.pool.named("accept") == []


async def test_liveness_7_takeover_across_dialects() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.join(2)
        await server.happen(introduction(2, "heartbeat", clientName="a"))
        assert server.pool.closes(1) == [(4409, "taken over")]
        agent = server.fleet.agent("a")
        assert agent is not None
        assert (agent.dialect, server.fleet.dialects()) == ("socketio", {"raw": 0, "socketio": 1})
        await server.introduce(3, "a")
        assert server.pool.closes(2) == [(4409, "taken over")]
        assert server.fleet.dialects() == {"raw": 1, "socketio": 0}


async def test_new_ids_crowd_out_the_longest_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    small = partial(liveness.new_fleet, max_disconnected=2)
    monkeypatch.setattr("dscore.server.server.new_fleet", small)
    async with running() as server:
        await server.watch(99)
        for conn in range(1, 8):
            await server.introduce(conn, f"a{conn}")
            await server.happen(fake_core.Closed(conn))
            assert len(list(server.fleet.agents())) <= 3
        known = sorted(agent.id for agent in server.fleet.agents())
        assert known == ["a6", "a7"]
        offline = [
            (one["name"], one["reason_code"])
            for one in server.told(99, "client_status_changed")
            if one["status"] == "offline"
        ]
        assert offline == [(f"a{conn}", "reconnect_timeout") for conn in range(1, 6)]
        assert server.core_stats()["agents_evicted_total"] == 5
        await server.introduce(8, "a6")
        assert sorted(agent.id for agent in server.fleet.agents()) == known, (
            "it is known: none has to go"
        )


async def test_refused_without_a_token_the_log_says_that_there_was_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(LineLimit, "warning", lambda _, event, **fields: told.append(fields))
    async with running(TOKENS) as server:
        await server.introduce(1, "a")
        assert server.pool.closes(1) == [(1008, "authentication failed")]
        assert [fields["reason"] for fields in told] == ["no token"]
