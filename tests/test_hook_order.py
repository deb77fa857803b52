"""The order of hooks, and what a hook sees of its agent when it is called.

Recorded from the server that walked each event in Python (main at f5d1076). Events are pushed in
batches, so that what a hook sees is the moment of its event and not the end of the batch.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fake_core
from dscore.policy import Policy
from dscore.policy.agent import Agent
from fake_core import Closed, Missed, Opened, introduction, message
from faked import FakeServer, eventually, running


class Recording(Policy):
    """Writes down every hook, with what its agent looks like just then."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def taken(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines

    def _write(self, name: str, agent: Agent, *rest: object) -> None:
        connected = "connected" if agent.connected else "away"
        words = [name, agent.id, *rest, "|", agent.status, agent.state, connected]
        self.lines.append(" ".join(map(str, words)))

    def on_connect(self, agent: Agent) -> None:
        self._write("connect", agent)

    def on_disconnect(self, agent: Agent, close_code: int, reason: str) -> None:
        self._write("disconnect", agent, close_code, reason or "-")

    def on_status_change(self, agent: Agent, status: str, reason_code: str | None) -> None:
        self._write("status", agent, status, reason_code)

    def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> None:
        self._write("message", agent, kind)

    def on_drain(self, intent: str) -> None:
        self.lines.append(f"drain {intent}")

    def on_drained(self, report: Any) -> None:
        self.lines.append(f"drained {report.acked} of {report.total}")


def ready(conn: int, agent_id: str, **fields: object) -> fake_core.Introduction:
    return introduction(conn, "app_ready", instance_id=agent_id, **fields)


def summary(server: FakeServer, conn: int) -> list[str]:
    """What a watcher was told, a line each."""
    lines = []
    for one in server.told(conn):
        match one["type"]:
            case "client_status_changed":
                lines.append(f"{one['id']} {one['status']} {one['reason_code']}")
            case "client_reconnected":
                lines.append(f"{one['clientName']} back")
    return lines


@asynccontextmanager
async def four_agents() -> AsyncIterator[tuple[FakeServer, Recording]]:
    """a1 to a4 on connections 1 to 4, a watcher on 9; what is written down begins after them."""
    policy = Recording()
    async with running(policy=policy) as server:
        await server.watch(9)
        await server.happen(*(Opened(conn) for conn in range(1, 5)))
        await server.happen(*(ready(conn, f"a{conn}") for conn in range(1, 5)))
        assert len(policy.taken()) == 8
        yield server, policy


async def test_a_batch_calls_every_hook_at_the_moment_of_its_event() -> None:
    policy = Recording()
    async with running(policy=policy) as server:
        await server.happen(
            Opened(1),
            Opened(2),
            ready(1, "a"),
            ready(2, "b"),
            message(1, "shot"),
            Closed(1, 1001, "going"),
            Missed(2, 3),
            fake_core.Beat(2),
            message(2, "shot"),
        )
        assert policy.taken() == [
            "connect a | online connected connected",
            "status a online None | online connected connected",
            "connect b | online connected connected",
            "status b online None | online connected connected",
            "message a shot | online connected connected",
            "disconnect a 1001 going | online reconnecting away",
            "message b shot | online connected connected",
        ]


async def test_takeover_and_the_end_of_the_stale_connection() -> None:
    policy = Recording()
    async with running(policy=policy) as server:
        await server.watch(9)
        await server.happen(
            Opened(1), ready(1, "a"), Opened(2), ready(2, "a"), message(1, "late"), Closed(1, 4409)
        )
        assert policy.taken() == [
            "connect a | online connected connected",
            "status a online None | online connected connected",
            "connect a | online connected connected",
        ]
        assert summary(server, 9) == [
            "a online None",
        ]


async def test_a_name_that_comes_back_while_its_terminated_connection_still_ends() -> None:
    """An `OK` ends the session and lets the agent go at once (PROTOCOL.md §6.4), up to
    `shutdown.close_timeout` before its connection has ended: two events, not one. Told as one, the
    application that starts again would take over a session that is over, and be closed 4409."""
    policy = Recording()
    async with running(policy=policy) as server:
        await server.watch(9)
        await server.happen(Opened(1), ready(1, "a"), Opened(2))
        asked = asyncio.create_task(server.fleet.terminate("a"))
        await asyncio.sleep(0)
        await server.happen(
            fake_core.Outcome(1, "request-1", "acked", drain=False),
            ready(2, "a", reconnection=True),
            message(1, "late"),
            message(2, "shot"),
            Closed(1, 1000, "Client terminated", "server"),
        )
        assert (await asked).outcome == "acked"
        assert policy.taken() == [
            "connect a | online connected connected",
            "status a online None | online connected connected",
            "disconnect a 1000 Client terminated | online terminating away",
            "status a offline terminated | offline terminated away",
            "connect a | online connected connected",
            "status a online None | online connected connected",
            "message a shot | online connected connected",
        ]
        assert server.told(2, "reconnection_ack")[0]["session_restored"] is False
        assert server.pool.closes(1) == server.pool.closes(2) == []
        timeline, _ = await server.fleet.timeline("a")
        kinds = [entry.kind for entry in reversed(timeline)]
        assert kinds == ["connected", "asked", "terminated", "connected", "disconnected"]


async def test_a_name_taken_over_while_its_connection_is_closed_by_policy() -> None:
    policy = Recording()
    async with running(policy=policy) as server:
        await server.happen(Opened(1), ready(1, "a"), Opened(2))
        # The core has begun to close the first, and tells its end after the introduction.
        await server.happen(
            ready(2, "a", reconnection=True),
            Closed(1, 1008, "too many messages", "server"),
            message(2, "shot"),
            Closed(2, 1006),
        )
        assert policy.taken() == [
            "connect a | online connected connected",
            "status a online None | online connected connected",
            "connect a | online connected connected",
            "message a shot | online connected connected",
            "disconnect a 1006 - | online reconnecting away",
        ]
        assert server.told(2, "reconnection_ack")[0]["session_restored"] is True


async def test_losses_and_returns() -> None:
    policy = Recording()
    async with running(policy=policy) as server:
        await server.watch(9)
        await server.happen(
            Opened(1),
            ready(1, "a"),
            Closed(1, 1006),
            Opened(2),
            ready(2, "a", reconnection=True),
            Closed(2, 1006, "", "server", "heartbeat_timeout"),
            Opened(3),
            introduction(3, "heartbeat", clientName="a"),
            Closed(3, 1000, "", "peer"),
            Opened(4),
            introduction(4, "reconnection_success", clientName="a"),
        )
        assert policy.taken() == [
            "connect a | online connected connected",
            "status a online None | online connected connected",
            "disconnect a 1006 - | online reconnecting away",
            "connect a | online connected connected",
            "disconnect a 1006 - | offline offline away",
            "status a offline heartbeat_timeout | offline offline away",
            "connect a | online connected connected",
            "status a online None | online connected connected",
            "disconnect a 1000 - | online reconnecting away",
            "connect a | online connected connected",
        ]
        assert summary(server, 9) == [
            "a online None",
            "a back",
            "a offline heartbeat_timeout",
            "a online None",
            "a back",
        ]


async def test_graces_that_run_out() -> None:
    policy = Recording()
    quick = {"monitoring": {"reconnection_grace_period": "20ms", "heartbeat_grace_period": "20ms"}}
    async with running(quick, policy=policy) as server:
        await server.watch(9)
        await server.happen(Opened(1), ready(1, "a"), Opened(2), ready(2, "b"), Closed(1, 1006))
        await eventually(lambda: len(server.told(9, "client_status_changed")) == 3)
        await server.happen(Missed(2, 3))
        await eventually(lambda: len(server.told(9, "client_status_changed")) == 4)
        await server.happen(fake_core.Beat(2))
        assert policy.taken() == [
            "connect a | online connected connected",
            "status a online None | online connected connected",
            "connect b | online connected connected",
            "status b online None | online connected connected",
            "disconnect a 1006 - | online reconnecting away",
            "status a offline reconnect_timeout | offline offline away",
            "status b offline missed_heartbeats | offline offline connected",
            "status b online None | online connected connected",
        ]
        assert summary(server, 9) == [
            "a online None",
            "b online None",
            "a offline reconnect_timeout",
            "b offline missed_heartbeats",
            "b online None",
        ]


async def test_terminations_and_removals() -> None:
    async with four_agents() as (server, policy):
        asked = [asyncio.create_task(server.fleet.terminate(f"a{conn}")) for conn in (1, 2, 3)]
        await asyncio.sleep(0)
        await server.happen(
            fake_core.Outcome(1, "request-1", "acked", drain=False),
            Closed(1, 1000, "Client terminated", "server"),
            fake_core.Outcome(2, "request-2", "timed_out", drain=False),
            Closed(3, 1006),
            fake_core.Outcome(3, "request-3", "vanished", drain=False),
        )
        await asyncio.gather(*asked)
        await server.fleet.remove("a4")
        await server.happen()
        assert policy.taken() == [
            "disconnect a1 1000 Client terminated | online terminating away",
            "status a1 offline terminated | offline terminated away",
            "disconnect a3 1006 - | online reconnecting away",
            "disconnect a4 1008 removed by an operator | online connected away",
            "status a4 offline operator | offline offline away",
        ]
        assert summary(server, 9) == [
            "a1 online None",
            "a2 online None",
            "a3 online None",
            "a4 online None",
            "a1 offline terminated",
            "a4 offline operator",
        ]


async def test_a_drain() -> None:
    async with four_agents() as (server, policy):
        drain = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        await server.happen(
            fake_core.Outcome(1, "1", "acked"),
            Closed(1, 1000, "Client terminated", "server"),
            fake_core.Outcome(2, "2", "failed", message="busy"),
            fake_core.Outcome(3, "3", "vanished"),
            Closed(3, 1006),
            fake_core.Outcome(4, "4", "acked", incomplete=True),
        )
        await drain
        assert policy.taken() == [
            "drain terminate",
            "disconnect a1 1000 Client terminated | online terminating away",
            "status a1 offline terminated | offline terminated away",
            "disconnect a3 1006 - | online reconnecting away",
            "disconnect a4 1000 Client terminated | online terminating away",
            "status a4 offline terminated | offline terminated away",
            "disconnect a2 1001 Server shutting down gracefully | online reconnecting away",
            "drained 2 of 4",
        ]
        assert summary(server, 9) == [
            "a1 online None",
            "a2 online None",
            "a3 online None",
            "a4 online None",
            "a1 offline terminated",
            "a4 offline terminated",
        ]
