import asyncio
import logging

import pytest

import fake_core
from dscore.policy import Policy
from dscore.policy.agent import Agent
from fake_core import Beat, Closed, LastSeen, Missed, Opened, Outcome, Progress, TerminationRefused
from faked import FakeServer, eventually, running
from graces import expire

QUICK = {"monitoring": {"reconnection_grace_period": 0.02, "heartbeat_grace_period": 0.02}}


class Diary(Policy):
    def __init__(self) -> None:
        self.pages: list[tuple[object, ...]] = []

    def on_connect(self, agent: Agent) -> None:
        self.pages.append(("connect", agent.id))

    async def on_disconnect(self, agent: Agent, close_code: int, reason: str) -> None:
        self.pages.append(("disconnect", agent.id, close_code, reason))

    def on_status_change(self, agent: Agent, status: str, reason_code: str | None) -> None:
        self.pages.append(("status", agent.id, status, reason_code))


def state(server: FakeServer, agent_id: str) -> str:
    agent = server.fleet.agent(agent_id)
    assert agent is not None
    return agent.state


async def test_removing_an_absent_agent_ends_no_connection_for_the_policy() -> None:
    diary = Diary()
    async with running(policy=diary) as server:
        await server.introduce(1, "a")
        await server.happen(Closed(1))
        await eventually(lambda: ("disconnect", "a", 1006, "") in diary.pages)
        before = len(diary.pages)
        await server.fleet.remove("a")
        await eventually(lambda: not server._tasks)
        assert diary.pages[before:] == [("status", "a", "offline", "operator")]


async def test_liveness_2_a_late_agent_is_offline_after_its_grace_and_back_with_a_beat() -> None:
    async with running({"monitoring": {"heartbeat_grace_period": 0.5}}) as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.happen(Missed(1, 1), Missed(1, 2))
        assert state(server, "a") == "connected"
        await server.happen(Missed(1, 3))
        assert state(server, "a") == "late"
        await eventually(lambda: state(server, "a") == "offline")
        await server.happen(Missed(1, 4), Beat(1))
        assert state(server, "a") == "connected"
        told = [one["reason_code"] for one in server.told(9, "client_status_changed")]
        assert told == [None, "missed_heartbeats", None]


async def test_liveness_2_asks_to_hear_of_the_next_beat_from_the_first_miss_on() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(Missed(1, 1))
        assert server.pool.named("hear_next_beat") == [(1,)]


async def test_liveness_4_the_grace_of_the_last_heartbeat_counts_though_it_was_never_read() -> None:
    settings = {"monitoring": {"reconnection_grace_period": 0.01, "heartbeat_grace_period": 60}}
    async with running(settings) as server:
        await server.introduce(1, "a")
        last = server.pool.now_ms() - 1_000
        await server.happen(Closed(1, heartbeat_ms=last))
        fleet = server._running.live.fleet
        assert expire(fleet, last + 59_998, 1) == []
        assert [agent.agent_id for agent in expire(fleet, last + 60_001, 1)] == ["a"]


async def test_a_termination_is_seen_until_its_outcome() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        one = asyncio.create_task(server.fleet.terminate("a"))
        other = asyncio.create_task(server.fleet.terminate("a"))
        await server.happen()
        assert state(server, "a") == "terminating"
        (first,), (second,) = ([args[-1]] for args in server.pool.named("terminate"))
        await server.happen(Outcome(1, first, "timed_out", drain=False))
        assert state(server, "a") == "terminating", "another caller still waits"
        await server.happen(Outcome(1, second, "failed", drain=False))
        assert state(server, "a") == "connected"
        assert [(await one).outcome, (await other).outcome] == ["timed_out", "failed"]


async def test_an_agent_that_acknowledged_is_terminated() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(Outcome(1, "r", "acked", drain=False))
        assert state(server, "a") == "terminated"
        await server.happen(Closed(1, 1000, "Client terminated", "server"))
        await server.introduce(2, "a")
        assert state(server, "a") == "connected"


async def test_liveness_2_heartbeat_timeout_is_offline_at_once() -> None:
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.happen(Closed(1, 1011, "heartbeat timeout", "server", "heartbeat_timeout"))
        assert server.told(9)[-1]["reason_code"] == "heartbeat_timeout"
        assert state(server, "a") == "offline"


async def test_liveness_6_the_end_of_a_connection_is_never_the_reason_of_a_status() -> None:
    async with running(QUICK) as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.happen(Closed(1, 1011, "ping timeout", "server", "ping_timeout"))
        await eventually(lambda: len(server.told(9)) == 2)
        assert server.told(9)[1]["reason_code"] == "reconnect_timeout"


async def test_liveness_6_maintenance_stops_grace_periods() -> None:
    async with running(QUICK) as server:
        await server.introduce(1, "a")
        server.set_maintenance(enabled=True)
        await server.happen()
        server.pool.clock_skip += 10_000
        await server.happen(Opened(2), Closed(2))
        assert state(server, "a") == "reconnecting"
        server.set_maintenance(enabled=False)
        await eventually(lambda: state(server, "a") == "offline")


async def test_events_of_a_stale_connection_never_touch_its_successor() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        server.pool.open.clear()
        await server.introduce(2, "a")
        await server.happen(Missed(1, 3), Beat(1), LastSeen([1], [5], [5], [5]), Closed(1, 4409))
        agent = server.fleet.agent("a")
        assert agent is not None
        assert (agent.state, agent.last_heartbeat, agent.connected) == ("connected", None, True)
        assert server.fleet.counts() == (1, 1, 0)


async def test_last_seen_is_read_in_bulk() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        now = server.pool.now_ms()
        await server.happen(LastSeen([1, 99], [now, now], [now, now], [0, 0]))
        agent = server.fleet.agent("a")
        assert agent is not None
        assert agent.last_heartbeat == pytest.approx(server.fleet.unix_time(now))
        await server.happen(LastSeen([1], [now], [0], [0]))
        assert agent.last_heartbeat is not None, "0 means none on this connection"


async def test_hooks_hear_of_connections_and_status_in_order() -> None:
    diary = Diary()
    async with running(QUICK, policy=diary) as server:
        await server.introduce(1, "a")
        await server.happen(Closed(1, 1006, "", "network"))
        await eventually(lambda: len(diary.pages) == 4)
        assert diary.pages == [
            ("connect", "a"),
            ("status", "a", "online", None),
            ("disconnect", "a", 1006, ""),
            ("status", "a", "offline", "reconnect_timeout"),
        ]


async def test_hooks_do_not_hear_of_the_end_of_a_taken_over_connection() -> None:
    diary = Diary()
    async with running(policy=diary) as server:
        await server.introduce(1, "a")
        await server.introduce(2, "a")
        await server.happen()
        assert [page[0] for page in diary.pages] == ["connect", "status", "connect"]


async def test_a_refused_or_extended_termination_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(
            TerminationRefused(1, "r", "BUSY", "recording"), Progress(1, "r", "flush", 500)
        )
    lines = [record.getMessage() for record in caplog.records]
    assert any("termination_refused" in one and "BUSY" in one for one in lines)
    assert any("termination_progress" in one and "flush" in one for one in lines)


async def test_http_requests_go_to_the_pages() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(fake_core.HttpRequest(50, "GET", "/deepstream/health"))
        await eventually(lambda: server.pool.named("respond"))
        ((conn, status, body),) = server.pool.named("respond")
        assert (conn, status) == (50, 200)
        assert b'"connected_instances":["a"]' in body.replace(b" ", b"")


async def test_a_request_whose_client_left_is_not_answered() -> None:
    async with running() as server:
        await server.happen(
            fake_core.HttpRequest(50, "GET", "/deepstream/health"), fake_core.HttpGone(50)
        )
        assert server.pool.named("respond") == []


async def test_the_last_heartbeat_of_a_terminated_agent_is_kept() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        beat = server.pool.now_ms() + 1
        await server.happen(
            Outcome(1, "r", "acked", drain=False),
            Closed(1, 1000, "Client terminated", "server", heartbeat_ms=beat),
        )
        agent = server.fleet.agent("a")
        assert agent is not None
        assert (agent.state, agent.last_heartbeat) == ("terminated", server.fleet.unix_time(beat))


async def test_a_reading_of_some_agents_asks_for_their_connections_alone() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.introduce(2, "b")
        await server.fleet.refresh(["b", "unknown"])
        assert server.pool.named("read_last_seen")[-1][-1] == [2]
        asked = len(server.pool.named("read_last_seen"))
        await server.fleet.refresh(["unknown"])
        assert len(server.pool.named("read_last_seen")) == asked, "there is nothing to read"
        await server.fleet.refresh()
        assert server.pool.named("read_last_seen")[-1][-1] is None
