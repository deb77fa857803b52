"""What is written into the timelines, by events on a fake core."""

import asyncio
from typing import Any

import orjson

from dscore.server.timeline import Disconnect
from fake_core import Beat, Closed, Missed, Opened, Outcome, Progress, TerminationRefused
from faked import FakeServer, eventually, running

QUICK = {"monitoring": {"reconnection_grace_period": 0.02, "heartbeat_grace_period": 0.02}}


async def timeline(server: FakeServer, agent_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Kinds and data of an agent's entries, oldest first."""
    entries, _ = await server.fleet.timeline(agent_id)
    return [(entry.kind, orjson.loads(entry.data)) for entry in reversed(entries)]


async def kinds(server: FakeServer, agent_id: str) -> list[str]:
    return [kind for kind, _ in await timeline(server, agent_id)]


async def test_a_connection_is_told_with_its_address_and_its_end() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(Closed(1, 1001, "bye", "peer", answer=1001, rtt_us=1500))
        (first, connected), (second, closed) = await timeline(server, "a")
    assert (first, second) == ("connected", "disconnected")
    assert connected["ip"]
    assert (connected["introduced_by"], connected["generation"]) == ("app_ready", 1)
    assert (connected["took_over"], connected["session_restored"]) == (False, False)
    assert (closed["code"], closed["answer"], closed["initiator"]) == (1001, 1001, "peer")
    assert (closed["rtt_us"], closed["heartbeat_at"], closed["stale"]) == (1500, None, False)
    assert closed["lasted_ms"] >= 0


async def test_the_last_heartbeat_is_that_of_the_core_to_the_millisecond() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        beat = server.pool.now_ms() + 5
        await server.happen(Closed(1, heartbeat_ms=beat))
        agent = server.fleet.agent("a")
        assert agent is not None
        assert agent.last_heartbeat == server.fleet.unix_time(beat)
        (_, closed) = (await timeline(server, "a"))[-1]
        assert closed["heartbeat_at"] == round(server.fleet.unix_time(beat) * 1000)


async def test_silence_and_its_end_are_told_step_by_step() -> None:
    async with running(QUICK) as server:
        await server.introduce(1, "a")
        await server.happen(Missed(1, 1), Missed(1, 2), Missed(1, 3))
        await eventually(lambda: server.fleet.agent("a").status == "offline")
        await server.happen(Beat(1))
        told = await timeline(server, "a")
    assert [kind for kind, _ in told[1:]] == [
        *("missed", "missed", "missed"),
        *("offline", "recovered", "online"),
    ]
    assert told[3][1]["misses"] == 3
    assert told[4][1] == {"reason_code": "missed_heartbeats"}
    assert told[5][1] == {"by": "heartbeat"}


async def test_an_agent_that_does_not_come_back_is_offline() -> None:
    async with running(QUICK) as server:
        await server.introduce(1, "a")
        await server.happen(Closed(1))
        await eventually(lambda: server.fleet.agent("a").status == "offline")
        told = await timeline(server, "a")
    assert told[-1] == ("offline", {"reason_code": "reconnect_timeout"})


async def test_liveness_7_a_takeover_is_told_and_the_old_end_is_stale() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.introduce(2, "a")
        await server.happen(Closed(1, 4409, "taken over", "server", "taken_over"))
        told = await timeline(server, "a")
    assert [kind for kind, _ in told] == ["connected", "connected", "disconnected"]
    assert (told[1][1]["took_over"], told[1][1]["generation"]) == (True, 2)
    assert (told[2][1]["stale"], told[2][1]["lasted_ms"]) == (True, None)


async def test_a_termination_is_one_entry_with_its_end() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(
            TerminationRefused(1, "r", "ERROR", "x" * 1000),
            Progress(1, "r", "flushing", 4000),
            Outcome(1, "r", "acked", 35.0, drain=False),
            Closed(1, 1000, "Client terminated", "server"),
        )
        told = await timeline(server, "a")
    assert [kind for kind, _ in told] == ["connected", "refused", "progress", "terminated"]
    assert len(told[1][1]["message"]) == 200
    assert told[3][1] == {"latency_ms": 35.0, "drain": False}


async def test_an_operators_wish_is_told_before_its_outcome() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        wish = asyncio.create_task(server.fleet.terminate("a"))
        await eventually(lambda: server.pool.named("terminate"))
        request_id = server.pool.named("terminate")[0][3]
        await server.happen(Outcome(1, request_id, "failed", message="x", drain=False))
        await wish
        assert await kinds(server, "a") == ["connected", "asked", "unterminated"]


async def test_a_termination_that_came_to_nothing_says_how() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(Outcome(1, "r", "timed_out", drain=False))
        told = await timeline(server, "a")
    assert told[-1] == ("unterminated", {"outcome": "timed_out", "message": "", "drain": False})


async def test_what_happened_to_the_server_meanwhile_is_in_every_timeline() -> None:
    async with running() as server:
        server.set_maintenance(enabled=True)
        server.set_maintenance(enabled=False)
        await server.introduce(1, "a")
        server.set_maintenance(enabled=True)
        await server.happen(Closed(1, 1013))
        assert await kinds(server, "a") == ["connected", "maintenance", "disconnected"]


async def test_a_timeline_is_read_page_by_page() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(*(Missed(1, 1) for _ in range(3)))
        server.set_maintenance(enabled=True)  # which closes the connection
        await server.introduce(2, "a")
        whole, rest = await server.fleet.timeline("a")
        assert rest is None
        assert [entry.kind for entry in whole[::-1]] == [
            *("connected", "missed", "missed", "missed"),
            *("maintenance", "disconnected"),
        ]
        pages, before = [], None
        while True:
            page, before = await server.fleet.timeline("a", limit=3, before=before)
            pages += page
            if before is None:
                break
        assert pages == whole


async def test_the_end_of_a_removed_agents_connection_leaves_no_timeline() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.fleet.remove("a")
        await server.happen(Closed(1, 1008, "removed by an operator", "server", "operator"))
        await server.introduce(2, "a")
        assert "disconnected" not in await kinds(server, "a")


async def test_ends_are_counted_without_anything_a_peer_can_choose() -> None:
    async with running() as server:
        for conn, code, cause in ((1, 1011, "ping_timeout"), (2, 4999, "made up"), (3, 1006, "")):
            await server.introduce(conn, f"agent-{conn}")
            await server.happen(Closed(conn, code, "", "network", cause))
        await server.happen(Opened(4), Closed(4))
        assert dict(server.fleet.disconnects()) == {
            Disconnect("ping_timeout", "1011", "network"): 1,
            Disconnect("other", "other", "network"): 1,
            Disconnect("none", "1006", "network"): 1,
        }
