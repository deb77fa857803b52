import fake_core
from dscore.watchers import SNAPSHOT_SLICE
from fake_core import introduction, message
from faked import FakeServer, eventually, running

QUICK = {"monitoring": {"reconnection_grace_period": 0.02, "heartbeat_grace_period": 0.02}}


def changes(server: FakeServer, conn: int) -> list[tuple[str, str, str | None]]:
    told = server.told(conn, "client_status_changed")
    return [(one["id"], one["status"], one["reason_code"]) for one in told]


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
        assert len(server.told(9)) == 1, "it has time to come back"
        await eventually(lambda: len(server.told(9)) == 2)
        (_, offline) = server.told(9)
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
    agents = 2 * SNAPSHOT_SLICE + 10
    async with running() as server:
        for conn in range(1, agents + 1):
            ready = introduction(conn, "app_ready", instance_id=f"a{conn}")
            server.pool.push(fake_core.Opened(conn), ready)
        await server.happen()
        await server.watch(9_999, snapshot=True)
        await eventually(lambda: len(server.told(9_999)) == agents)
        assert len({one["id"] for one in server.told(9_999)}) == agents


async def test_a_watcher_may_go_in_the_middle_of_its_snapshot() -> None:
    async with running() as server:
        for conn in range(1, 3 * SNAPSHOT_SLICE):
            ready = introduction(conn, "app_ready", instance_id=f"a{conn}")
            server.pool.push(fake_core.Opened(conn), ready)
        await server.happen()
        server.pool.push(fake_core.Opened(9_999), introduction(9_999, "watch", snapshot=True))
        server.pool.push(fake_core.Closed(9_999))
        await server.happen()
        await eventually(lambda: not server._tasks)
        assert len(server.told(9_999)) <= 2 * SNAPSHOT_SLICE


async def test_an_agent_may_watch_besides_and_stop_again() -> None:
    async with running() as server:
        await server.introduce(1, "a")
        await server.happen(message(1, "watch"))
        await server.introduce(2, "b")
        assert changes(server, 1) == [("b", "online", None)]
        await server.happen(message(1, "unwatch"))
        await server.introduce(3, "c")
        assert len(changes(server, 1)) == 1
        assert server.counts().authenticated == 3
        assert server.connected_ids() == ["a", "b", "c"]


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
