"""The SQLite store: what it gives back after a restart, and what it does when the disk will not."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from clocks import Hands
from dscore.errors import StoreError
from dscore.store import Entry, Loaded, StoredAgent, behind, database, open_store, schema, timelines
from dscore.store.memory import MemoryStore
from dscore.store.sqlite import SqliteStore
from dscore.store.timelines import TIMELINE_LENGTH
from faked import eventually
from keeper import Keeper, kept_in, opened, rows

Connect = Callable[[str], sqlite3.Connection]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dscore.db"


@contextmanager
def broken(monkeypatch: pytest.MonkeyPatch, connect: Connect) -> Iterator[None]:
    """Opens files another way; a store opens its file anew after every failure."""
    with monkeypatch.context() as patched:
        patched.setattr(database, "_connect", connect)
        patched.setattr(behind, "RETRY_AFTER", (0.01, 0.02))
        yield


def read_only(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


def full(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    return db


async def break_down(keeper: Keeper) -> None:
    """Lets the store meet its broken file: the connection it has is still a good one."""
    thread = keeper.store._thread
    assert thread is not None
    await asyncio.wrap_future(thread.submit(keeper.store._database._disconnect))
    keeper.begin("filler")
    keeper.queue("filler", b"x" * 100_000)
    await eventually(lambda: not keeper.health().is_ok)


async def test_a_new_file_holds_nothing(path: Path) -> None:
    assert await kept_in(path) == Loaded([], [], 0, 0, [], [], None)


async def test_an_agent_comes_back_as_it_was_last(path: Path) -> None:
    async with opened(path) as (keeper, _):
        agent = keeper.begin("a", config=b'{"n":1}')
        await keeper.written()
        keeper.fleet.heard(agent, heartbeat_ms=4000, seen_ms=5000)
        keeper.fleet.feed(agent, "lost", 6000)
        keeper.fleet.feed(agent, "grace_over", 6000)
        keeper.behind.changed()
        age = keeper.behind.clock.now()
    [stored] = (await kept_in(path)).agents
    assert stored == StoredAgent(
        1,
        "a",
        "offline",
        "reconnect_timeout",
        "10.0.0.1",
        "raw",
        1,
        "app_ready",
        0,
        stored.changed_at,
        5000,
        4000,
        1006,
        0,
        0,
        b'{"n":1}',
    )
    assert 0 <= stored.changed_at - age < 60_000


async def test_agents_come_back_in_the_order_of_their_last_change(path: Path) -> None:
    hands = Hands()
    async with opened(path, hands) as (keeper, _):
        for agent_id in ("a", "b", "c"):
            keeper.begin(agent_id)
            await keeper.written()
            hands.pass_by(1)
        keeper.fleet.leave_session(keeper.begin("a"), 1001, 5)
    kept = await kept_in(path)
    assert [stored.agent_id for stored in kept.agents] == ["b", "c", "a"]


async def test_news_without_a_heartbeat_leave_the_last_one(path: Path) -> None:
    async with opened(path) as (keeper, _):
        agent = keeper.begin("a")
        keeper.fleet.heard(agent, heartbeat_ms=4000, seen_ms=5000)
        await keeper.written()
        keeper.fleet.heard(agent, seen_ms=7000)
        keeper.behind.changed()
    [stored] = (await kept_in(path)).agents
    assert (stored.seen_at, stored.heartbeat_at) == (7000, 4000)


async def test_what_happens_to_a_fleet_at_once_is_in_every_row(path: Path) -> None:
    async with opened(path) as (keeper, _):
        agents = [keeper.begin(f"a-{n:03}") for n in range(300)]
        await keeper.written()
        # All of a range but a few, and a few of a range.
        for agent in [one for n, one in enumerate(agents[:200]) if n % 10]:
            keeper.fleet.feed(agent, "removed", 1)
        for agent in agents[200::10]:
            keeper.fleet.feed(agent, "lost", 1)
            keeper.fleet.feed(agent, "grace_over", 1)
        keeper.behind.changed()
    found = {stored.agent_id: stored.reason_code for stored in (await kept_in(path)).agents}
    removed = {f"a-{n:03}" for n in range(200) if n % 10}
    lost = {f"a-{n:03}" for n in range(200, 300, 10)}
    assert {name for name, reason in found.items() if reason == "operator"} == removed
    assert {name for name, reason in found.items() if reason == "reconnect_timeout"} == lost


async def test_a_session_comes_back_with_its_outbox_in_order(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.fleet.bound_outboxes(2, 99, 99)
        keeper.fleet.leave_session(keeper.begin("a"), 1001, 12_500)
        keeper.queue("a", b"1", b"2", b"3")
    async with opened(path) as (keeper, kept):
        [stored] = kept.agents
        assert (stored.last_close, stored.left_at, stored.dropped) == (1001, 12_500, 1)
        assert keeper.fleet.sessions() == (1, 2, 2)
        keeper.fleet.bound_outboxes(9, 99, 99)
        keeper.queue("a", b"4")
        assert keeper.taken("a") == [b"2", b"3", b"4"]


async def test_a_message_that_was_taken_is_gone_for_good(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a")
        keeper.queue("a", b"1")
        await keeper.written()
        keeper.taken("a")
        keeper.queue("a", b"2")
    async with opened(path) as (keeper, _):
        assert keeper.taken("a") == [b"2"]


async def test_a_dropped_session_is_gone_with_its_outbox(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a")
        keeper.queue("a", b"1")
        await keeper.written()
        keeper.fleet.expire_sessions(1)
        keeper.behind.changed()
    [stored] = (await kept_in(path)).agents
    assert stored.last_close is None
    assert rows(path, "SELECT * FROM outbox") == []


async def test_a_forgotten_agent_leaves_nothing(path: Path) -> None:
    async with opened(path) as (keeper, _):
        for agent_id in ("a", "b"):
            keeper.begin(agent_id)
            keeper.queue(agent_id, b"1")
            keeper.append(agent_id, 1, "connected")
        await keeper.written()
        keeper.append("a", 2, "removed")
        keeper.forget("a")
        await keeper.written()
        for table in ("agents", "timelines", "outbox"):
            assert rows(path, f"SELECT count(*) FROM {table}") == [(1,)], table
        keeper.append("a", 3, "connected")
        assert [entry.at for entry in await keeper.timeline("a", limit=9)] == [3]
    assert [stored.agent_id for stored in (await kept_in(path)).agents] == ["b", "a"]


async def test_one_forgotten_and_met_again_at_once_is_kept(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a", config=b'{"n":1}')
        await keeper.written()
        keeper.forget("a")
        keeper.begin("a", config=b'{"n":2}')
    assert [stored.config for stored in (await kept_in(path)).agents] == [b'{"n":2}']


async def test_a_timeline_is_read_across_restarts_and_before_it_is_written(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.append("a", 1, "connected", b'{"ip":1}')
        keeper.append("b", 2, "connected")
    async with opened(path) as (keeper, _):
        keeper.append("a", 3, "lost")
        newest = await keeper.timeline("a", limit=9)
        assert newest == [
            Entry(3, "a", 3, "lost", b"{}"),
            Entry(1, "a", 1, "connected", b'{"ip":1}'),
        ]
        assert await keeper.timeline("a", limit=1) == newest[:1]
        assert await keeper.timeline("a", limit=9, before=3) == newest[1:]
        await keeper.written()
        assert await keeper.timeline("a", limit=9) == newest


@pytest.mark.parametrize("at_once", [1, 3, 40])
async def test_a_timeline_is_read_page_by_page_however_it_was_written(
    path: Path, at_once: int
) -> None:
    async with opened(path) as (keeper, _):
        for at in range(40):
            keeper.append("a", at, "missed")
            keeper.append("b", at, "missed")
            if at % at_once == 0:
                await keeper.behind.written()
        await keeper.behind.written()
        found: list[int] = []
        before = None
        while page := await keeper.timeline("a", limit=7, before=before):
            found += [entry.at for entry in page]
            before = page[-1].number
        assert found == [*range(39, -1, -1)]


async def test_a_timeline_is_bounded_by_length(path: Path) -> None:
    async with opened(path) as (keeper, _):
        for at in range(TIMELINE_LENGTH + 50):
            keeper.append("a", at, "missed")
            if at % 50 == 0:
                await keeper.behind.written()
        keeper.append("b", TIMELINE_LENGTH + 50, "missed")
        await keeper.behind.written()
        keeper.prune(1 << 40)
        await keeper.written()
        entries = await keeper.timeline("a", limit=1000)
        assert [entry.at for entry in entries[:TIMELINE_LENGTH]] == list(
            range(TIMELINE_LENGTH + 49, 49, -1)
        )
        # Rows go as a whole.
        assert len(entries) <= TIMELINE_LENGTH + 50
    [(oldest,)] = rows(path, "SELECT min(number) FROM timelines WHERE agent = 1")
    assert isinstance(oldest, int)
    assert oldest > 1


async def test_a_timeline_is_bounded_by_age_across_restarts_and_steps(path: Path) -> None:
    hands, minute = Hands(), 60_000
    async with opened(path, hands) as (keeper, _):
        keeper.append("a", round(hands.wall() * 1000), "connected")
        await keeper.written()
        keeper.prune(minute)
        hands.pass_by(30)
        hands.set_wall(20 * 365 * 86_400)
        keeper.append("a", 0, "missed")
        await keeper.written()
        keeper.prune(minute)
        await keeper.written()
    # No server runs, and the machine's next clock is another one altogether.
    later = Hands(monotonic_s=5.0, wall_s=hands.wall_s + 40 * 86_400)
    async with opened(path, later) as (keeper, _):
        keeper.prune(minute)
        await keeper.written()
        assert len(await keeper.timeline("a", limit=9)) == 2
        later.pass_by(31)
        keeper.prune(minute)
        await keeper.written()
        assert [entry.at for entry in await keeper.timeline("a", limit=9)] == [0]


async def test_all_timelines_together_are_bounded_in_bytes(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.behind.bound(history=100_000)
        for number in range(200):
            data = orjson.dumps({"reason": "x" * 1000})
            keeper.append(f"a-{number}", 1, "connected", data)
            if number % 50 == 0:
                await keeper.behind.written()
        await keeper.behind.written()
        keeper.prune(1 << 40)
        await keeper.written()
        kept = [n for n in range(200) if await keeper.timeline(f"a-{n}", limit=9)]
        # The newest, as many as fit.
        assert kept == list(range(200 - len(kept), 200))
        assert 80 < len(kept) < 100


async def test_all_timelines_together_are_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "TIMELINES_LENGTH", 100)
    async with opened(path) as (keeper, _):
        for number in range(150):
            keeper.append(f"a-{number}", 1, "connected")
        await keeper.written()
        keeper.prune(1 << 40)
        await keeper.written()
    [(first, count)] = rows(path, "SELECT min(number), count(*) FROM timelines")
    assert (first, count) == (51, 100)


@pytest.mark.timed
async def test_a_change_is_on_disk_within_a_second(path: Path) -> None:
    async with opened(path) as (keeper, _):
        began = asyncio.get_running_loop().time()
        keeper.begin("a")
        await eventually(lambda: rows(path, "SELECT agent_id FROM agents"))
        assert asyncio.get_running_loop().time() - began < 1.0


async def test_a_fleet_is_written_and_comes_back(path: Path) -> None:
    names = [f"agent-{number:05}" for number in range(3_000)]
    async with opened(path) as (keeper, _):
        for name in names:
            keeper.begin(name)
    kept = await kept_in(path)
    assert sorted(stored.agent_id for stored in kept.agents) == names
    assert all(stored.last_close is not None for stored in kept.agents)


async def test_the_socketio_contract_s_table_can_be_read(path: Path) -> None:
    async with opened(path) as (keeper, _):
        agent = keeper.begin("a")
        keeper.fleet.heard(agent, seen_ms=1_700_000_000_123)
        keeper.fleet.feed(keeper.begin("b"), "terminated", 1)
    assert rows(path, "SELECT id, name, ip, status, last_seen FROM clients") == [
        ("a", "a", "10.0.0.1", "online", "2023-11-14T22:13:20.123Z"),
        ("b", "b", "10.0.0.1", "offline", "1970-01-01T00:00:00.000Z"),
    ]


@pytest.mark.parametrize("connect", [read_only, full])
async def test_goes_on_without_a_disk_and_catches_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a")
        keeper.queue("a", b"1")
        await keeper.written()
        with broken(monkeypatch, connect):
            await break_down(keeper)
            health = keeper.health()
            assert health.reason is not None
            assert health.waiting > 0
            # All of this meets a file that takes nothing.
            assert keeper.taken("a") == [b"1"]
            keeper.queue("a", b"2")
            keeper.append("a", 1, "connected")
            assert [entry.at for entry in await keeper.timeline("a", limit=9)] == [1]
            keeper.forget("filler")
        await keeper.written()
        assert keeper.health() == (True, None, 0, 0, keeper.health().written_total)
    async with opened(path) as (keeper, kept):
        assert [stored.agent_id for stored in kept.agents] == ["a"]
        assert keeper.taken("a") == [b"2"]


async def test_without_a_disk_the_oldest_entries_go_and_are_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "WAITING_BYTES", 1000)
    async with opened(path) as (keeper, _):
        keeper.behind.bound(history=1 << 30)
        with broken(monkeypatch, read_only):
            await break_down(keeper)
            for number in range(100):
                keeper.append(f"a-{number}", number, "missed")
            lost = keeper.health().lost_total
            assert 70 < lost < 90
        await keeper.written()
        assert keeper.health().lost_total == lost
        kept = [n for n in range(100) if await keeper.timeline(f"a-{n}", limit=99)]
        assert kept == [*range(lost, 100)]


async def test_says_what_a_broken_disk_did_not_take(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as (keeper, _):
        with broken(monkeypatch, read_only):
            await break_down(keeper)
            await asyncio.wait_for(keeper.close(), 5.0)
            assert keeper.health().waiting > 0


async def test_what_an_attempt_during_the_close_has_left_is_written_with_what_came_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as (keeper, _):
        write, failed = keeper.behind._write, []

        async def fail_once() -> bool:
            if failed:
                return await write()
            failed.append(True)
            keeper.behind._closing.set()
            keeper.begin("late")
            return False

        monkeypatch.setattr(keeper.behind, "_write", fail_once)
        keeper.begin("early")
    names = {stored.agent_id for stored in (await kept_in(path)).agents}
    assert names == {"early", "late"}


async def test_a_row_that_cannot_be_written_holds_no_other_up(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a")
        await keeper.written()
        with sqlite3.connect(path) as db:
            refuse = "SELECT raise(ABORT, 'no')"
            db.execute(f"CREATE TRIGGER no BEFORE UPDATE ON agents BEGIN {refuse}; END")
        db.close()
        keeper.fleet.set_introduced_by(keeper.fleet.agents()[0], "heartbeat")
        keeper.behind.changed()
        await keeper.written()
        assert keeper.health().lost_total == 1
        keeper.begin("b")
    found = [(stored.agent_id, stored.introduced_by) for stored in (await kept_in(path)).agents]
    assert found == [("a", "app_ready"), ("b", "app_ready")]


async def test_no_two_servers_use_one_file(path: Path) -> None:
    async with opened(path):
        with pytest.raises(StoreError, match="another server"):
            await SqliteStore(str(path)).load()
    assert await kept_in(path)


async def test_refuses_what_is_no_database(path: Path) -> None:
    path.write_text("no database, but long enough to be looked at" * 100)  # noqa: ASYNC240
    with pytest.raises(StoreError, match="not a database"):
        await SqliteStore(str(path)).load()
    with pytest.raises(StoreError, match=r"no-such"):
        await SqliteStore(str(path.parent / "no-such" / "dscore.db")).load()


async def test_refuses_a_file_of_a_later_version(path: Path) -> None:
    await kept_in(path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(StoreError, match="version"):
        await SqliteStore(str(path)).load()


async def test_migrates_a_file_step_by_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a")
    step = "ALTER TABLE outbox ADD COLUMN more;"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    assert [stored.agent_id for stored in (await kept_in(path)).agents] == ["a"]
    assert rows(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]


async def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept_in(path)
    step = "ALTER TABLE outbox ADD COLUMN more; SELECT nonsense;"
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
        with pytest.raises(StoreError, match="nonsense"):
            await kept_in(path)
    assert rows(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    assert await kept_in(path)


async def test_may_be_opened_again_after_it_was_closed(path: Path) -> None:
    store = SqliteStore(str(path))
    for number in range(2):
        keeper = Keeper(path)
        keeper.behind = behind.Behind(keeper.fleet, store)
        assert len((await keeper.start()).agents) == number
        keeper.begin(f"a-{number}")
        await keeper.close()
        await keeper.close()


def test_a_path_is_a_file_and_memory_is_none(path: Path) -> None:
    assert isinstance(open_store(":memory:"), MemoryStore)
    assert isinstance(open_store(str(path)), SqliteStore)
    assert not path.exists()
