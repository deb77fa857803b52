"""What the fleet lets in by itself comes to the same as what is judged and let in."""

from typing import Any

import orjson
import pytest

import fake_core
from dscore.policy import Candidate, Policy
from fake_core import Closed, Opened, introduction
from faked import FakeServer, running

Settings = dict[str, Any]


class Judge(Policy):
    """Lets every agent in, and is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def authenticate(self, candidate: Candidate) -> bool:
        self.asked += 1
        return True


def ready(conn: int, agent_id: str, **fields: object) -> fake_core.Introduction:
    return introduction(conn, "app_ready", instance_id=agent_id, **fields)


def beat(conn: int, agent_id: str, **fields: object) -> fake_core.Introduction:
    return introduction(conn, "heartbeat", clientName=agent_id, **fields)


def back(conn: int, agent_id: str) -> fake_core.Introduction:
    return introduction(conn, "reconnection_success", clientName=agent_id)


FULL = {"labels": {"site": "busan", "line": "3"}, "fps": 25, "on": [True, None]}
STORIES: dict[str, list[object]] = {
    "new": [Opened(1), ready(1, "a")],
    "with a config": [Opened(1), ready(1, " a ", config=FULL, last_close_code=1006)],
    "unknown reconnection": [Opened(1), ready(1, "a", reconnection=True)],
    "back in time": [
        *(Opened(1), ready(1, "a", config=FULL), Closed(1, 1006)),
        *(Opened(2), ready(2, "a", reconnection=True)),
    ],
    "back anew": [
        *(Opened(1), ready(1, "a", config=FULL), Closed(1, 1006)),
        *(Opened(2), ready(2, "a")),
    ],
    "taken over": [
        *(Opened(1), ready(1, "a"), Opened(2), ready(2, "a", reconnection=True)),
        *(Closed(1, 4409), Closed(2, 1000, "", "peer")),
    ],
    "terminated": [
        *(Opened(1), ready(1, "a"), fake_core.Outcome(1, "r", "acked", drain=False)),
        *(Closed(1, 1000), Opened(2), ready(2, "a", reconnection=True)),
    ],
    "timed out and back": [
        *(Opened(1), ready(1, "a"), Closed(1, 1011, "", "server", "heartbeat_timeout")),
        *(Opened(2), ready(2, "a", reconnection=True)),
    ],
    "twice on one connection": [Opened(1), ready(1, "a"), ready(1, "a")],
    "gone before": [Opened(1), Closed(1), ready(1, "a")],
    "by a heartbeat": [Opened(1), beat(1, "a", ip_address="10.9.9.9", timestamp=17.5)],
    "by heartbeats": [
        *(Opened(1), beat(1, "a"), Closed(1, 1006)),
        *(Opened(2), beat(2, "a", timestamp="2026-01-31T12:00:00.000Z")),
    ],
    "by its own word back": [Opened(1), back(1, "a")],
    "back by its own word": [Opened(1), beat(1, " a "), Closed(1, 1006), Opened(2), back(2, "a")],
    "back with a config": [
        *(Opened(1), ready(1, "a", config=FULL), Closed(1, 1006)),
        *(Opened(2), beat(2, "a"), ready(2, "a", reconnection=True)),
    ],
    "taken over by a heartbeat": [Opened(1), ready(1, "a"), Opened(2), beat(2, "a"), Closed(1)],
    "an unusual heartbeat": [Opened(1), beat(1, "a", timestamp=[]), beat(1, "a", timestamp=-1)],
    "two at once": [Opened(1), Opened(2), ready(1, "a"), ready(2, "b", config={})],
    "a watcher too": [Opened(1), introduction(1, "watch"), Opened(2), ready(2, "a")],
    "an unusual number": [Opened(1), ready(1, "a", config={"x": 1.50, "labels": {"a": "b"}})],
    "an escape": [Opened(1), ready(1, "ä\u2028", config={"x": "ä\n"})],
    "refused": [Opened(1), ready(1, ""), ready(1, "a", config=[]), ready(1, "b", token=7)],
}


async def outcome(story: str, policy: Policy | None, settings: Settings) -> list[object]:
    """All that can be seen of a story from outside."""
    async with running(settings, policy=policy) as server:
        await server.watch(9)
        await server.happen(*STORIES[story])
        seen: list[object] = []
        for agent in server.fleet.agents():
            seen += [agent.id, agent.status, agent.state, agent.reason_code]
            seen += [agent.connected, agent.config, agent.labels]
            entries, _ = await server.fleet.timeline(agent.id)
            for entry in entries:
                data = orjson.loads(entry.data)
                data.pop("lasted_ms", None)
                seen += [(entry.kind, data)]
        for conn in (1, 2, 9):
            seen += [(one["type"], one.get("session_restored")) for one in server.told(conn)]
        counters = server._running.live.counters
        seen += [counters.takeovers_total, counters.sessions_restored_total]
        names = ("accept", "close_connection", "refuse")
        seen += [command for command in server.pool.commands if command[0] in names]
        return seen


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("acks", [True, False])
async def test_what_is_let_in_unjudged_comes_to_the_same(story: str, acks: bool) -> None:
    settings = {"compat": {"app_ready_ack": acks}}
    judge = Judge()
    assert await outcome(story, None, settings) == await outcome(story, judge, settings)
    assert judge.asked or story in ("gone before",)


async def let_in_by_itself(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Introductions that Python has met."""
    met: list[str] = []
    handlers = server._running.dispatch._handlers
    judge = handlers[fake_core.Introduction]

    def introduced(event: fake_core.Introduction, now: int) -> None:
        met.append(event.kind)
        judge(event, now)

    monkeypatch.setitem(handlers, fake_core.Introduction, introduced)
    return met


async def test_python_meets_only_what_it_is_to_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as server:
        met = await let_in_by_itself(server, monkeypatch)
        await server.happen(Opened(1), ready(1, "a", config=FULL, reconnection=True))
        assert met == []
        await server.happen(Opened(2), beat(2, "b"), Opened(3), back(3, "c"))
        assert met == []
        await server.happen(Opened(4), ready(4, "d", config={"x": 0.5}))
        await server.happen(Opened(5), beat(5, "e", timestamp=-1))
        assert met == ["app_ready", "heartbeat"]
        assert [agent.id for agent in server.fleet.agents()] == ["a", "b", "c", "d", "e"]


async def test_a_server_that_stops_or_asks_for_tokens_lets_none_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as server:
        met = await let_in_by_itself(server, monkeypatch)
        server.set_maintenance(enabled=True)
        await server.happen(Opened(1), ready(1, "a"))
        server.set_maintenance(enabled=False)
        await server.happen(Opened(2), ready(2, "b"))
        required = server.config.auth.model_copy(update={"required": True})
        server.reload(server.config.model_copy(update={"auth": required}))
        await server.happen(Opened(3), ready(3, "c"))
        assert met == ["app_ready", "app_ready"]
        assert [agent.id for agent in server.fleet.agents()] == ["b"]
        await server.happen()
        server._running.live.stop_taking()
        await server.happen(Opened(4), ready(4, "d"))
        assert len(met) == 3
        assert server.pool.closes(4) == [(1013, "Server shutting down")]


@pytest.mark.parametrize("policy", [None, Judge()])
async def test_a_return_without_an_audience_is_not_told_later(policy: Policy | None) -> None:
    async with running(policy=policy) as server:
        await server.happen(Opened(1), ready(1, "a"), Closed(1, 1006))
        await server.happen(Opened(2), ready(2, "a", reconnection=True))
        await server.watch(9)
        await server.happen(fake_core.message(2, "reconnection_success", clientName="a"))
        assert server.told(9, "client_reconnected") == []
