"""The SQLite store: what it gives back after a restart, and what it does when the disk will not."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson
import pytest

import outboxes
from clocks import Hands
from dscore.errors import StoreError
from dscore.store import Entry, Kept, SessionRow, StoredAgent, database, open_store, schema, sqlite
from dscore.store import batch as batches
from dscore.store.memory import MemoryStore
from dscore.store.sqlite import SqliteStore
from dscore.store.timeline import TIMELINE_LENGTH
from faked import eventually
from outboxes import keeping_fleet, queued, restore

Connect = Callable[[str], sqlite3.Connection]


def agent(agent_id: str, **fields: object) -> StoredAgent:
    words = ("online", "connected", None, "10.0.0.1", "raw", 1, "app_ready")
    return StoredAgent(agent_id, *words, 1000, 2000, None, None, None)._replace(**fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dscore.db"


@asynccontextmanager
async def opened(path: Path, hands: Hands | None = None) -> AsyncIterator[tuple[SqliteStore, Kept]]:
    store = (
        SqliteStore(str(path))
        if hands is None
        else SqliteStore(str(path), hands.age_clock(), hands.wall)
    )
    fleet = keeping_fleet()
    kept = await store.start(fleet)
    restore(fleet, kept)
    try:
        yield store, kept
    finally:
        await store.close()


async def kept_in(path: Path) -> Kept:
    async with opened(path) as (_, kept):
        return kept


def begin(store: SqliteStore, agent_id: str) -> None:
    """An agent with a session."""
    store.keep(agent(agent_id))
    outboxes.left(store._fleet, agent_id)
    store.changed()


def queue(store: SqliteStore, agent_id: str, text: bytes) -> None:
    queued(store._fleet, agent_id, text)
    store.changed(urgent=True)


def taken(store: SqliteStore, agent_id: str) -> list[bytes]:
    texts = outboxes.taken(store._fleet, agent_id)
    store.changed(urgent=True)
    return texts


async def written(store: SqliteStore) -> None:
    await eventually(lambda: not store.health().waiting)


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    """What another program reads in the file."""
    with sqlite3.connect(path) as db:
        found = db.execute(query).fetchall()
    db.close()
    return found


@contextmanager
def broken(monkeypatch: pytest.MonkeyPatch, connect: Connect) -> Iterator[None]:
    """Opens files another way; a store opens its file anew after every failure."""
    with monkeypatch.context() as patched:
        patched.setattr(database, "_connect", connect)
        patched.setattr(sqlite, "RETRY_AFTER", (0.01, 0.02))
        yield


def read_only(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


def full(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")
    return db


async def break_down(store: SqliteStore) -> None:
    """Lets the store meet its broken file: the connection it has is still a good one."""
    await asyncio.wrap_future(store._thread.submit(store._database._disconnect))
    begin(store, "filler")
    queue(store, "filler", b"x" * 100_000)
    await eventually(lambda: not store.health().is_ok)


async def test_a_new_file_holds_nothing(path: Path) -> None:
    assert await kept_in(path) == Kept([], [], [], None, [])


async def test_an_agent_comes_back_as_it_was_last(path: Path) -> None:
    last = agent("a", status="offline", state="offline", reason_code="no_connection", config=b"{}")
    async with opened(path) as (store, _):
        store.keep(agent("a"))
        store.seen([("a", 5000, 4000), ("b", 6000, None)])
        store.keep(last)
        store.keep(agent("b", changed_at=1))
    kept = await kept_in(path)
    assert kept.agents == [
        agent("b", changed_at=1, seen_at=6000),
        last._replace(seen_at=5000, heartbeat_at=4000),
    ]
    assert kept.alive_at is not None


async def test_news_without_a_heartbeat_leave_the_last_one(path: Path) -> None:
    async with opened(path) as (store, _):
        store.keep(agent("a", seen_at=5000, heartbeat_at=4000))
        await written(store)
        store.seen([("a", 7000, None)])
    assert (await kept_in(path)).agents == [agent("a", seen_at=7000, heartbeat_at=4000)]


async def test_a_session_comes_back_with_its_outbox_in_order(path: Path) -> None:
    async with opened(path) as (store, _):
        store._fleet.bound_outboxes(2, 99, 99)
        store.keep(agent("a"))
        outboxes.left(store._fleet, "a", code=1001, age=12_500)
        for text in (b"1", b"2", b"3"):
            queue(store, "a", text)
    async with opened(path) as (store, kept):
        assert kept.sessions == [SessionRow("a", 1001, 12_500, 1)]
        assert store._fleet.sessions() == (1, 2, 2)
        queue(store, "a", b"4")
        assert taken(store, "a") == [b"2", b"3", b"4"]


async def test_a_message_that_was_taken_is_gone_for_good(path: Path) -> None:
    async with opened(path) as (store, _):
        begin(store, "a")
        queue(store, "a", b"1")
        await written(store)
        taken(store, "a")
        queue(store, "a", b"2")
    async with opened(path) as (store, _):
        assert taken(store, "a") == [b"2"]


async def test_a_dropped_session_is_gone_with_its_outbox(path: Path) -> None:
    async with opened(path) as (store, _):
        begin(store, "a")
        queue(store, "a", b"1")
        await written(store)
        store._fleet.expire_sessions(1)
        store.changed()
    assert (await kept_in(path)).sessions == []
    assert rows(path, "SELECT * FROM outbox") == []


async def test_a_forgotten_agent_leaves_nothing(path: Path) -> None:
    async with opened(path) as (store, _):
        for agent_id in ("a", "b"):
            begin(store, agent_id)
            store.seen([(agent_id, 1, 1)])
            store.append(agent_id, 1, "connected", b"{}")
        await written(store)
        store.append("a", 2, "removed", b"{}")
        store._fleet.forget(outboxes.known(store._fleet, "a"))
        store.forget(["a"])
        await written(store)
        assert await store.timeline("a", limit=9) == []
        store.append("a", 3, "connected", b"{}")
        assert [entry.at for entry in await store.timeline("a", limit=9)] == [3]
    for table in ("agents", "last_seen", "sessions"):
        assert rows(path, f"SELECT agent_id FROM {table}") == [("b",)]


async def test_one_forgotten_and_met_again_at_once_is_kept(path: Path) -> None:
    async with opened(path) as (store, _):
        store.keep(agent("a", config=b'{"n":1}'))
        store.forget(["a"])
        store.keep(agent("a", config=b'{"n":2}'))
    assert [stored.config for stored in (await kept_in(path)).agents] == [b'{"n":2}']


async def test_a_timeline_is_read_across_restarts_and_before_it_is_written(path: Path) -> None:
    async with opened(path) as (store, _):
        store.append("a", 1, "connected", b'{"ip":1}')
        store.append("b", 2, "connected", b"{}")
    async with opened(path) as (store, _):
        store.append("a", 3, "lost", b"{}")
        newest = await store.timeline("a", limit=9)
        assert newest == [
            Entry(3, "a", 3, "lost", b"{}"),
            Entry(1, "a", 1, "connected", b'{"ip":1}'),
        ]
        assert await store.timeline("a", limit=1) == newest[:1]
        assert await store.timeline("a", limit=9, before=3) == newest[1:]
        await written(store)
        assert await store.timeline("a", limit=9) == newest


async def test_a_timeline_is_bounded_by_length(path: Path) -> None:
    async with opened(path) as (store, _):
        for at in range(TIMELINE_LENGTH + 50):
            store.append("a", at, "missed", b"{}")
        store.append("b", TIMELINE_LENGTH + 50, "missed", b"{}")
        store.prune(0)
        await written(store)
        entries = await store.timeline("a", limit=1000)
        assert [entry.at for entry in entries] == list(range(TIMELINE_LENGTH + 49, 49, -1))


async def test_a_timeline_is_bounded_by_age_across_restarts_and_steps(path: Path) -> None:
    hands, minute = Hands(), 60_000
    async with opened(path, hands) as (store, _):
        store.append("a", round(hands.wall() * 1000), "connected", b"{}")
        store.prune(store.clock.now() - minute)
        hands.pass_by(30)
        hands.set_wall(20 * 365 * 86_400)
        store.append("a", 0, "missed", b"{}")
        store.prune(store.clock.now() - minute)
        await written(store)
    # No server runs, and the machine's next clock is another one altogether.
    later = Hands(monotonic_s=5.0, wall_s=hands.wall_s + 40 * 86_400)
    async with opened(path, later) as (store, _):
        store.prune(store.clock.now() - minute)
        await written(store)
        assert len(await store.timeline("a", limit=9)) == 2
        later.pass_by(31)
        store.prune(store.clock.now() - minute)
        await written(store)
        assert [entry.at for entry in await store.timeline("a", limit=9)] == [0]


async def test_all_timelines_together_are_bounded_in_bytes(path: Path) -> None:
    async with opened(path) as (store, _):
        store.bound(history=100_000)
        for number in range(200):
            store.append(f"a-{number}", 1, "connected", orjson.dumps({"reason": "x" * 1000}))
        store.prune(0)
        await written(store)
        kept = [number for number in range(200) if await store.timeline(f"a-{number}", limit=9)]
        # The newest, as many as fit.
        assert kept == list(range(200 - len(kept), 200))
        assert 80 < len(kept) < 100


async def test_all_timelines_together_are_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "TIMELINES_LENGTH", 100)
    async with opened(path) as (store, _):
        for number in range(150):
            store.append(f"a-{number}", 1, "connected", b"{}")
        store.prune(0)
        await written(store)
    [(first, count)] = rows(path, "SELECT min(number), count(*) FROM events")
    assert (first, count) == (50, 101)


@pytest.mark.alone
async def test_a_change_is_on_disk_within_a_second(path: Path) -> None:
    async with opened(path) as (store, _):
        began = asyncio.get_running_loop().time()
        store.keep(agent("a"))
        await eventually(lambda: rows(path, "SELECT agent_id FROM agents"))
        assert asyncio.get_running_loop().time() - began < 1.0


async def test_a_fleet_is_written_in_few_statements_and_comes_back(path: Path) -> None:
    names = [f"agent-{number:05}" for number in range(3_000)]
    async with opened(path) as (store, _):
        for name in names:
            begin(store, name)
        store.seen((name, 1, None) for name in names)
    kept = await kept_in(path)
    assert sorted(stored.agent_id for stored in kept.agents) == names
    assert len(kept.sessions) == len(names)


async def test_the_socketio_contract_s_table_can_be_read(path: Path) -> None:
    async with opened(path) as (store, _):
        store.keep(agent("a"))
        store.seen([("a", 1_700_000_000_123, None)])
    assert rows(path, "SELECT id, name, ip, status, last_seen FROM clients") == [
        ("a", "a", "10.0.0.1", "online", "2023-11-14T22:13:20.123Z")
    ]


@pytest.mark.parametrize("connect", [read_only, full])
async def test_goes_on_without_a_disk_and_catches_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    async with opened(path) as (store, _):
        begin(store, "a")
        queue(store, "a", b"1")
        await written(store)
        with broken(monkeypatch, connect):
            await break_down(store)
            health = store.health()
            assert health.reason is not None
            assert health.waiting > 0
            # All of this meets a file that takes nothing.
            store.keep(agent("a"))
            assert taken(store, "a") == [b"1"]
            queue(store, "a", b"2")
            store.append("a", 1, "connected", b"{}")
            assert [entry.at for entry in await store.timeline("a", limit=9)] == [1]
            store._fleet.forget(outboxes.known(store._fleet, "filler"))
            store.forget(["filler"])
        await written(store)
        assert store.health() == (True, None, 0, 0, store.health().written_total)
    async with opened(path) as (store, kept):
        assert [stored.agent_id for stored in kept.agents] == ["a"]
        assert taken(store, "a") == [b"2"]
        assert [session.agent_id for session in kept.sessions] == ["a"]


async def test_without_a_disk_the_oldest_entries_go_and_are_counted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_ENTRIES", 10)
    async with opened(path) as (store, _):
        with broken(monkeypatch, read_only):
            await break_down(store)
            for at in range(30):
                store.append("a", at, "missed", b"{}")
            assert store.health().lost_total == 20
        await written(store)
        assert store.health().lost_total == 20
        assert [entry.at for entry in await store.timeline("a", limit=99)] == [*range(29, 19, -1)]


async def test_says_what_a_broken_disk_did_not_take(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as (store, _):
        with broken(monkeypatch, read_only):
            await break_down(store)
            await asyncio.wait_for(store.close(), 30.0)
            assert store.health().waiting > 0


async def test_what_an_attempt_during_the_close_has_left_is_written_with_what_came_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as (store, _):
        write, failed = store._write, []

        async def fail_once() -> bool:
            if failed:
                return await write()
            failed.append(True)
            store._closing.set()
            store.keep(agent("late"))
            return False

        monkeypatch.setattr(store, "_write", fail_once)
        store.keep(agent("early"))
    names = {stored.agent_id for stored in (await kept_in(path)).agents}
    assert names == {"early", "late"}


async def test_a_row_that_cannot_be_written_holds_no_other_up(path: Path) -> None:
    async with opened(path) as (store, _):
        store.keep(agent("a", generation=1 << 70))
        await written(store)
        assert store.health().lost_total == 1
        store.keep(agent("b"))
    assert [stored.agent_id for stored in (await kept_in(path)).agents] == ["b"]


async def test_no_two_servers_use_one_file(path: Path) -> None:
    async with opened(path):
        with pytest.raises(StoreError, match="another server"):
            await SqliteStore(str(path)).start(keeping_fleet())
    assert await kept_in(path)


async def test_refuses_what_is_no_database(path: Path) -> None:
    path.write_text("no database, but long enough to be looked at" * 100)  # noqa: ASYNC240
    with pytest.raises(StoreError, match="not a database"):
        await SqliteStore(str(path)).start(keeping_fleet())
    with pytest.raises(StoreError, match=r"no-such"):
        await SqliteStore(str(path.parent / "no-such" / "dscore.db")).start(keeping_fleet())


async def test_refuses_a_file_of_a_later_version(path: Path) -> None:
    await kept_in(path)
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(StoreError, match="version"):
        await SqliteStore(str(path)).start(keeping_fleet())


async def test_migrates_a_file_step_by_step(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(path) as (store, _):
        begin(store, "a")
    step = "ALTER TABLE sessions ADD COLUMN more;"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    assert [one.agent_id for one in (await kept_in(path)).sessions] == ["a"]
    assert rows(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]


async def test_a_migration_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kept_in(path)
    step = "ALTER TABLE sessions ADD COLUMN more; SELECT nonsense;"
    with monkeypatch.context() as patched:
        patched.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
        with pytest.raises(StoreError, match="nonsense"):
            await kept_in(path)
    assert rows(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    assert await kept_in(path)


async def test_may_be_opened_again_after_it_was_closed(path: Path) -> None:
    store = SqliteStore(str(path))
    for number in range(2):
        assert len((await store.start(keeping_fleet())).agents) == number
        store.keep(agent(f"a-{number}"))
        await store.close()
        await store.close()


def test_a_path_is_a_file_and_memory_is_none(path: Path) -> None:
    assert isinstance(open_store(":memory:"), MemoryStore)
    assert isinstance(open_store(str(path)), SqliteStore)
    assert not path.exists()
