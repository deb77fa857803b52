import asyncio
import json
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fake_core
from dscore._core import AgentRow
from dscore.config import Config
from dscore.messages import WatchFilter
from dscore.policy.liveness import new_fleet
from dscore.server import snapshots as snapshots_module
from dscore.server import watchers as watchers_module
from dscore.server.watchers import WINDOW, Watchers
from fake_core import introduction, message
from faked import FakeServer, eventually, running

FLEET = WINDOW + 50
"""More than a watcher is sent before it must have read some."""
QUICK = {"monitoring": {"reconnection_grace_period": 0.02, "heartbeat_grace_period": 0.02}}


def changes(server: FakeServer, conn: int) -> list[tuple[str, str, str | None]]:
    told = server.told(conn, "client_status_changed")
    return [(one["id"], one["status"], one["reason_code"]) for one in told]


async def introduce_all(server: FakeServer, agents: int) -> None:
    for conn in range(1, agents + 1):
        ready = introduction(conn, "app_ready", instance_id=f"a{conn}")
        server.pool.push(fake_core.Opened(conn), ready)
    await server.happen()


async def wake(server: FakeServer, conn: int) -> None:
    """It reads again, and all that was sent to it."""
    server.pool.deaf.discard(conn)
    await server.happen(fake_core.Drained(conn))


async def test_watchers_hear_of_a_first_introduction() -> None:
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "a")
        assert server.told(9) == [
            {
                "type": "client_status_changed",
                "id": "a",
                "name": "a",
                "status": "online",
                "reason": None,
                "reason_code": None,
                "lastHeartbeat": None,
            }
        ]


async def test_watchers_hear_of_an_agent_that_does_not_come_back() -> None:
    async with running(QUICK) as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.happen(fake_core.Closed(1))
        await eventually(lambda: len(server.told(9)) == 2)
        first, offline = server.told(9)
        assert first["status"] == "online"
        assert (offline["status"], offline["reason_code"]) == ("offline", "reconnect_timeout")
        assert offline["reason"] == "reconnect timeout"


async def test_liveness_4_back_in_time_is_only_client_reconnected() -> None:
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.happen(fake_core.Closed(1))
        await server.introduce(2, "a", reconnection=True)
        assert [one["type"] for one in server.told(9)] == [
            "client_status_changed",
            "client_reconnected",
        ]
        assert server.told(9)[1]["clientName"] == "a"


async def test_client_reconnected_comes_at_most_once_for_a_connection() -> None:
    async with running() as server:
        await server.watch(9)
        await server.introduce(1, "a")
        await server.happen(fake_core.Closed(1))
        await server.introduce(2, "a", reconnection=True)
        success = message(2, "reconnection_success", clientName="a")
        await server.happen(success, success)
        assert len(server.told(9, "client_reconnected")) == 1
        await server.happen(fake_core.Closed(2))
        back = introduction(3, "reconnection_success", clientName="a")
        await server.happen(fake_core.Opened(3), back)
        assert len(server.told(9, "client_reconnected")) == 2


async def test_a_filter_by_status_and_by_part_of_the_id() -> None:
    async with running(QUICK) as server:
        await server.watch(8, filter={"status": "offline"})
        await server.watch(9, filter={"q": "CAM"})
        await server.introduce(1, "cam-1")
        await server.introduce(2, "door-1")
        await server.happen(fake_core.Closed(1), fake_core.Closed(2))
        await eventually(lambda: len(server.told(8)) == 2)
        assert {one[0] for one in changes(server, 8)} == {"cam-1", "door-1"}
        assert changes(server, 9) == [
            ("cam-1", "online", None),
            ("cam-1", "offline", "reconnect_timeout"),
        ]


async def test_snapshot_comes_first_and_fits_the_filter() -> None:
    async with running() as server:
        await server.introduce(1, "cam-1")
        await server.introduce(2, "door-1")
        await server.watch(9, snapshot=True, filter={"q": "door"})
        (only,) = server.told(9)
        assert (only["id"], only["status"], only["snapshot"]) == ("door-1", "online", True)


async def test_a_long_snapshot_waits_for_a_slow_watcher() -> None:
    agents = 2 * WINDOW + 10
    async with running() as server:
        await introduce_all(server, agents)
        await server.watch(9_999, snapshot=True)
        await eventually(lambda: len(server.told(9_999)) == agents)
        assert len({one["id"] for one in server.told(9_999)}) == agents


async def test_a_watcher_may_go_in_the_middle_of_its_snapshot() -> None:
    async with running() as server:
        await introduce_all(server, 3 * WINDOW)
        server.pool.push(fake_core.Opened(9_999), introduction(9_999, "watch", snapshot=True))
        server.pool.push(fake_core.Closed(9_999))
        await server.happen()
        assert len(server.told(9_999)) <= 2 * WINDOW


async def test_an_agent_may_watch_besides_and_stop_again() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(message(1, "watch"))
        await server.introduce(2, "b")
        assert changes(server, 1) == [("b", "online", None)]
        await server.happen(message(1, "unwatch"))
        await server.introduce(3, "c")
        assert len(changes(server, 1)) == 1
        assert server.fleet.counts().authenticated == 3
        assert server.fleet.connected_ids() == ["a", "b", "c"]


async def test_watching_again_replaces_the_filter() -> None:
    async with running() as server:
        await server.watch(9, filter={"q": "x"})
        await server.introduce(1, "a")
        await server.happen(message(9, "watch", filter={"q": "b"}, snapshot=True))
        await server.introduce(2, "b")
        assert changes(server, 9) == [("b", "online", None)]


async def test_broadcast_to_agents_tells_everybody() -> None:
    async with running({"monitoring": {"broadcast_to_agents": True}}) as server:
        await server.introduce(1, "a")
        await server.introduce(2, "b")
        assert changes(server, 1) == [("a", "online", None), ("b", "online", None)]


async def test_last_heartbeat_is_told_as_a_timestamp() -> None:
    async with running(QUICK) as server:
        await server.watch(9)
        await server.introduce(1, "a")
        now = server.pool.now_ms()
        await server.happen(fake_core.LastSeen([1, 77], [now, now], [now, now], [0, 0]))
        await server.happen(fake_core.Closed(1))
        await eventually(lambda: len(server.told(9)) == 2)
        moment = server.told(9)[1]["lastHeartbeat"]
        assert moment.endswith("Z")


async def test_a_snapshot_is_the_state_of_one_moment_and_what_changed_meanwhile_comes_after() -> (
    None
):
    async with running() as server:
        await introduce_all(server, FLEET)
        server.pool.deaf.add(9_999)
        await server.watch(9_999, snapshot=True)
        last = f"a{FLEET}"
        await server.happen(fake_core.Outcome(FLEET, "r", "acked", drain=False))
        assert len(server.told(9_999)) == WINDOW, "it has not read that yet"
        await wake(server, 9_999)
        told = server.told(9_999)
        assert all(one["snapshot"] and one["status"] == "online" for one in told[:FLEET])
        assert told[FLEET - 1]["id"] == last
        assert [(one["id"], one["reason_code"]) for one in told[FLEET:]] == [(last, "terminated")]
        assert "snapshot" not in told[-1]


async def test_a_watcher_that_does_not_read_is_told_the_last_word_on_each_agent_later() -> None:
    async with running() as server:
        server.pool.deaf.add(9_999)
        await server.watch(9_999)
        await introduce_all(server, FLEET)
        assert len(server.told(9_999)) == WINDOW
        # The first comes back anew, a late one goes, and another is asked for and goes as well.
        await server.fleet.remove("a1")
        await server.introduce(5_001, "a1")
        await server.fleet.remove("a2")
        await server.happen(fake_core.Outcome(FLEET, "r", "acked", drain=False))
        assert len(server.told(9_999)) == WINDOW
        await wake(server, 9_999)
        after = [(one["id"], one["status"], one["reason_code"]) for one in server.told(9_999)]
        after = after[WINDOW:]
        assert after[: FLEET - WINDOW - 1] == [
            (f"a{n}", "online", None) for n in range(WINDOW + 1, FLEET)
        ]
        assert after[FLEET - WINDOW - 1 :] == [
            # Away and back again before a watcher was told: no change.
            ("a2", "offline", "operator"),
            (f"a{FLEET}", "offline", "terminated"),
        ]


async def test_a_return_is_told_later_to_a_watcher_that_does_not_read() -> None:
    async with running() as server:
        server.pool.deaf.add(9_999)
        await server.watch(9_999)
        await introduce_all(server, WINDOW)
        await server.happen(fake_core.Closed(1), fake_core.Closed(2))
        await server.introduce(5_001, "a1", reconnection=True)
        await server.introduce(5_002, "a2", reconnection=True)
        await server.fleet.remove("a2")
        await wake(server, 9_999)
        told = [(one["type"], one.get("clientName")) for one in server.told(9_999)[WINDOW:]]
        assert told == [("client_reconnected", "a1"), ("client_status_changed", None)]


async def test_a_slow_watcher_costs_the_others_nothing() -> None:
    async with running() as server:
        server.pool.deaf.add(9_999)
        await server.watch(9_999)
        await server.watch(9_998)
        await introduce_all(server, 3 * WINDOW)
        assert len(server.told(9_999)) == WINDOW
        assert [one["id"] for one in server.told(9_998)] == [f"a{n + 1}" for n in range(3 * WINDOW)]


async def test_a_window_that_was_read_again_and_again_never_holds_up_a_watcher() -> None:
    async with running() as server:
        await server.watch(9_999)
        for number in range(WINDOW):
            await server.introduce(10_000 + number, "a")
            await server.fleet.remove("a")
        assert len(server.told(9_999)) == 2 * WINDOW


async def test_watchers_that_do_not_read_are_ended_where_all_are_behind_with_too_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each kept the whole fleet, for as long as it read nothing; there was no bound for all."""
    monkeypatch.setattr(watchers_module, "WHOLE_FLEETS", 0)
    monkeypatch.setattr(watchers_module, "MAX_BEHIND", 5 * FLEET // 2)
    async with running(QUICK) as server:
        await introduce_all(server, FLEET)
        await server.watch(9_990)
        server.pool.deaf.update((9_991, 9_992, 9_993))
        for conn in (9_991, 9_992):
            await server.watch(conn, snapshot=True)
            # On a busy machine a snapshot may take so long that the next one waits.
            await eventually(lambda conn=conn: len(server.told(conn)) == WINDOW, 30.0)
        assert not any(server.pool.closes(conn) for conn in (9_990, 9_991, 9_992))
        await server.watch(9_993, snapshot=True)

        def all_ended() -> list[int]:
            return [conn for conn in range(9_990, 9_994) if server.pool.closes(conn)]

        await eventually(all_ended, 30.0)
        ended = all_ended()
        assert len(ended) == 1
        assert 9_990 not in ended
        assert server.pool.closes(ended[0]) == [(1013, "slow consumer")]
        # What changes is kept as well, for each of them.
        for conn in range(1, FLEET + 1):
            server.pool.push(fake_core.Closed(conn))
        await server.happen()
        await eventually(lambda: len(server.told(9_990, "client_status_changed")) >= FLEET)
        assert not server.pool.closes(9_990)
        assert sum(bool(server.pool.closes(conn)) for conn in (9_991, 9_992, 9_993)) == 2


async def test_snapshots_of_a_large_fleet_leave_the_loop_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each looks at all agents: some watchers that asked for one after the other held the loop."""
    ticks = count(0, 1)
    monkeypatch.setattr(snapshots_module, "perf_counter", lambda: float(next(ticks)))
    async with running() as server:
        await introduce_all(server, 3)
        await server.watch(9_998, snapshot=True)
        assert len(server.told(9_998)) == 3
        for _ in range(5):
            await server.happen(message(9_998, "watch", snapshot=True))
        await server.watch(9_999, snapshot=True)
        assert (len(server.told(9_998)), len(server.told(9_999))) == (3, 0)
        monkeypatch.setattr(snapshots_module, "perf_counter", lambda: 0.0)
        await eventually(lambda: len(server.told(9_999)) == 3, 30.0)
        # However often it asked meanwhile, it was for one.
        assert len(server.told(9_998)) == 6


class Page:
    """One watcher and what it hears, with no server: it reads when the test says so."""

    def __init__(self) -> None:
        self.fleet = new_fleet()
        self.conns = count(2)
        self.heard: list[dict[str, Any]] = []
        self.owed: list[int] = []
        self.watchers = Watchers(
            SimpleNamespace(  # type: ignore[arg-type]
                fleet=self.fleet,
                config=Config(),
                pool=self,
                hooks=SimpleNamespace(on_status_change=None),
                unix=lambda ms: ms / 1000,
            )
        )
        self.fleet.open(1, "10.0.0.1")
        self.watchers.begin(1, WatchFilter(), snapshot=False)

    def send(self, conn: int, text: bytes, *, notify: bool = False) -> None:
        self.heard.append(json.loads(text))
        if notify:
            self.owed.append(conn)

    def send_many(self, conns: list[int], *texts: bytes) -> None:
        assert conns == [1]
        for text in texts:
            self.send(1, text)

    def read(self) -> None:
        if self.owed:
            self.watchers.drained(self.owed.pop())

    def flip(self, agent_id: str) -> None:
        """It goes offline, or comes online."""
        agent = self.fleet.agent(agent_id)
        if agent is not None and agent.status == "online":
            assert self.fleet.feed(agent, "timed_out", 1)
        else:
            agent = self.connect(agent_id)
        self.watchers.announce(agent)

    def connect(self, agent_id: str) -> AgentRow:
        conn = next(self.conns)
        self.fleet.open(conn, "10.0.0.1")
        introduced = self.fleet.introduce(conn, agent_id, "app_ready", 1)
        assert introduced is not None
        return introduced.agent

    def come_back(self, agent_id: str) -> None:
        agent = self.fleet.agent(agent_id)
        if agent is not None and agent.status == "online":
            self.watchers.reconnected(self.connect(agent_id), 1)

    def forget(self, agent_id: str) -> None:
        agent = self.fleet.agent(agent_id)
        if agent is not None and agent.status == "offline":
            self.fleet.forget(agent)


async def test_a_snapshot_of_a_large_fleet_is_taken_down_in_steps() -> None:
    page, agents, turns = Page(), 12_000, 0
    for number in range(agents):
        page.connect(f"a{number}")
    page.watchers.begin(1, WatchFilter(), snapshot=True)
    while page.watchers.by_conn[1].wants_snapshot:
        await asyncio.sleep(0)
        turns += 1
        # Some are looked at already, some are not.
        page.flip(f"a{turns}")
        page.flip(f"a{agents - turns}")
    page.flip("a9")
    assert turns > 2
    while page.owed:
        page.read()
    page.watchers.flush()
    page.watchers.close()
    told = [(one["id"], one["status"]) for one in page.heard]
    assert {agent_id for agent_id, _ in told} == {f"a{number}" for number in range(agents)}
    assert len(set(told)) == len(told), "nothing is told twice"
    for agent_id, status in dict(told).items():
        agent = page.fleet.agent(agent_id)
        assert agent is not None
        assert agent.status == status
    assert [one.get("snapshot", False) for one in page.heard] == [True] * agents + [False] * (
        len(told) - agents
    )


EVENTS = st.sampled_from(["flip", "flip", "come_back", "forget", "read"])


async def play(history: list[tuple[str, str]]) -> Page:
    page = Page()
    page.watchers.by_conn[1].credit = 4
    for what, agent_id in history:
        page.read() if what == "read" else getattr(page, what)(agent_id)
    behind = dict(page.watchers.by_conn[1].behind)
    assert len(behind) <= 4, "no more than there are agents"
    while page.owed:
        page.read()
    page.watchers.flush()
    page.watchers.close()
    return page


@settings(deadline=None)
@given(st.lists(st.tuples(EVENTS, st.sampled_from("abcd")), max_size=120))
def test_whatever_happens_the_last_word_on_each_agent_is_true_and_no_change_is_told_twice(
    history: list[tuple[str, str]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watchers_module, "WINDOW", 4)
        page = asyncio.run(play(history))
    view: dict[str, str] = {}
    for one in page.heard:
        if one["type"] == "client_status_changed":
            assert (one["status"], view.get(one["id"])) != ("online", "online")
            view[one["id"]] = one["status"]
        else:
            assert view[one["clientName"]] == "online"
    for agent in page.fleet.agents():
        assert view[agent.agent_id] == agent.status
    assert set(view) == {agent_id for what, agent_id in history if what == "flip"}
