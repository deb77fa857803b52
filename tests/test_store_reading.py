"""Damaged rows: each is left out and named, and everything else is there."""

import json
import sqlite3
from pathlib import Path

import pytest

from dscore.store import open_store
from keeper import opened, rows
from protocol.support import agents, running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dscore.db"


async def filled(path: Path) -> None:
    async with opened(path) as (keeper, _):
        for agent_id in ("bad", "good"):
            agent = keeper.begin(agent_id, config=b'{"labels":{"a":"b"}}')
            keeper.fleet.heard(agent, heartbeat_ms=1, seen_ms=1)
            keeper.queue(agent_id, b'{"type":"note"}')
            keeper.append(agent_id, 1, "connected")
        keeper.prune(1 << 40)
        await keeper.written()


def damage(path: Path, statement: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.executescript(
            "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = "
            "replace(sql, ' NOT NULL', ''); PRAGMA writable_schema = RESET;"
        )
        db.execute(statement)
    finally:
        db.close()


@pytest.mark.parametrize(
    "change",
    [
        "config = x'7b22'",
        "config = x'5b5d'",
        "config = 'text'",
        "config = 7",
        "config = x'7b2261223a22ff227d'",
        "state = NULL",
        "state = 'odd'",
        "state = x'00'",
        "reason_code = 'odd'",
        "ip = NULL",
        "ip = CAST(x'ff' AS TEXT)",
        "dialect = 'odd'",
        "generation = -1",
        "generation = 9223372036854775807",
        "generation = 'many'",
        "introduced_by = NULL",
        "connected_at = 1e300",
        "connected_at = 9223372036854775807",
        "changed_at = 'yesterday'",
        "agent_id = CAST(x'ff' AS TEXT)",
        "agent_id = x'6162'",
        "agent_id = ''",
        "agent_id = hex(zeroblob(200))",
    ],
)
async def test_a_damaged_agent_is_left_out_and_named(
    path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(path)
    damage(path, f"UPDATE agents SET {change} WHERE agent_id = 'bad'")
    for restart in range(2):
        caplog.clear()
        async with opened(path) as (keeper, kept):
            assert [one.agent_id for one in kept.agents] == ["good"]
            # Named once: it is taken out, with the message that waited for it.
            assert keeper.store.damaged_total == (0 if restart else 2)
            assert ("store_row_dropped" in caplog.text) is not restart
    assert rows(path, "SELECT count(*) FROM agents") == [(1,)]


async def test_of_two_rows_of_one_agent_the_later_is_kept_and_the_other_named(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(path)
    damage(path, "UPDATE agents SET agent_id = 'good', changed_at = 0 WHERE agent_id = 'bad'")
    for restart in range(2):
        caplog.clear()
        async with opened(path) as (keeper, kept):
            assert [(one.agent_id, one.changed_at > 0) for one in kept.agents] == [("good", True)]
            assert len(await keeper.timeline("good", limit=10)) == 1
            # With the message of the id that is in no row any more.
            assert keeper.store.damaged_total == (0 if restart else 2)
        assert ("a later row has its agent_id" in caplog.text) is not bool(restart)
    assert rows(path, "SELECT count(*) FROM agents") == [(1,)]
    assert rows(path, "SELECT count(*) FROM timelines") == [(1,)]


@pytest.mark.parametrize(
    "change", ["seen_at = 'then'", "heartbeat_at = 1e300", "heartbeat_at = -5", "seen_at = NULL"]
)
async def test_an_agent_is_whole_without_news_of_it(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE agents SET {change} WHERE agent_id = 'bad'")
    async with opened(path) as (_, kept):
        assert {one.agent_id for one in kept.agents} == {"bad", "good"}


@pytest.mark.parametrize(
    "change",
    [
        "last_close = 70000",
        "last_close = 'odd'",
        "left_at = 'then'",
        "left_at = 1e300",
        "dropped = -1",
    ],
)
async def test_a_damaged_session_is_left_out_with_its_messages(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE agents SET {change} WHERE agent_id = 'bad'")
    async with opened(path) as (keeper, kept):
        assert [one.last_close is None for one in kept.agents] == [True, False]
        assert keeper.fleet.sessions()[:2] == (1, 1)
        assert keeper.store.damaged_total == 2
    async with opened(path) as (keeper, kept):
        assert [one.agent_id for one in kept.agents] == ["bad", "good"]
        assert keeper.store.damaged_total == 0


@pytest.mark.parametrize(
    "change", ["message = NULL", "message = 'text'", "message = x'7b'", "message = x'22ff22'"]
)
async def test_a_damaged_message_is_left_out(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE outbox SET {change} WHERE agent_id = 'bad'")
    async with opened(path) as (keeper, kept):
        assert all(stored.last_close is not None for stored in kept.agents)
        assert keeper.taken("bad") == []
        assert keeper.taken("good") == [b'{"type":"note"}']
        assert keeper.store.damaged_total == 1


@pytest.mark.parametrize(
    "entries",
    [
        "NULL",
        "7",
        "'[[1,1,\"connected\",{}]]'",
        *(
            f"CAST('{text}' AS BLOB)"
            for text in (
                "[[",
                "{}",
                "[]",
                "[[1,1,7,{}]]",
                '[[1,1e300,"connected",{}]]',
                '[[-1,1,"connected",{}]]',
                '[[1,1,"connected",[]]]',
                '[[1,1,"connected"]]',
                "[7]",
            )
        ),
        "x'5b5b312c312c22ff222c7b7d5d5d'",
    ],
)
async def test_damaged_entries_are_left_out(path: Path, entries: str) -> None:
    await filled(path)
    damage(path, f"UPDATE timelines SET entries = {entries} WHERE agent = 1")
    async with opened(path) as (keeper, _):
        assert await keeper.timeline("bad", limit=9) == []
        assert len(await keeper.timeline("good", limit=9)) == 1
        assert keeper.store.damaged_total == 1


async def test_damaged_entries_hide_nothing_that_is_older_and_are_counted_once(path: Path) -> None:
    async with opened(path) as (keeper, _):
        for at in range(30):
            keeper.append("a", at, "missed")
            await keeper.behind.written()
    damage(path, "UPDATE timelines SET entries = NULL WHERE number = 26")
    async with opened(path) as (keeper, _):
        for _ in range(3):
            page = await keeper.timeline("a", limit=10)
            assert [entry.at for entry in page] == [29, 28, 27, 26, 24, 23, 22, 21, 20, 19]
            assert keeper.store.damaged_total == 1


async def test_a_damaged_agent_takes_its_entries_with_it(path: Path) -> None:
    await filled(path)
    damage(path, "UPDATE agents SET ip = NULL WHERE agent_id = 'good'")
    async with opened(path) as (keeper, _):
        # Whatever number the next one is given, it has no history.
        keeper.begin("new")
        assert await keeper.timeline("new", limit=9) == []


@pytest.mark.parametrize(
    "change", ["age = NULL", "age = 9e300", "age = 200000000000000", "alive_at = NULL", "age = -1"]
)
async def test_a_damaged_clock_makes_nothing_old(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE process SET {change}")
    async with opened(path) as (keeper, kept):
        assert {one.agent_id for one in kept.agents} == {"bad", "good"}
        assert abs(keeper.store.clock.now() - kept.agents[0].changed_at) < 60_000_000_000_000
        keeper.prune(30 * 86_400_000)
        await keeper.written()
        assert len(await keeper.timeline("good", limit=9)) == 1


ODD = [
    ("connected", {}),
    ("connected", {"ip": []}),
    ("disconnected", {"stale": False}),
    ("offline", {"reason_code": 7}),
    ("offline", {}),
    ("clock", {"seconds": "many"}),
    ("missed", {"misses": None, "silent_ms": {}}),
    ("odd", {}),
]


@pytest.mark.parametrize(("kind", "data"), ODD)
async def test_an_entry_that_says_nothing_is_no_500(kind: str, data: dict[str, object]) -> None:
    async with running() as here, agents(here.ws, "a-1"):
        text = json.dumps(data).encode()
        table = here.server._table
        table.record(table.agent("a-1"), 1_700_000_000_000, kind, text)
        answer = await here.pages.get("/api/v1/agents/a-1/events")
        assert answer.status_code == 200, answer.text
        assert "connected" in [one["kind"] for one in answer.json()["items"]]


async def test_a_server_starts_and_lists_though_rows_are_damaged(path: Path) -> None:
    await filled(path)
    damage(path, "UPDATE agents SET config = x'7b', changed_at = 1e300 WHERE agent_id = 'bad'")
    damage(path, "UPDATE timelines SET entries = x'7b22'")
    async with running(store=open_store(str(path))) as here:
        listed = (await here.pages.get("/api/v1/agents")).json()["items"]
        assert [one["id"] for one in listed] == ["good"]
        assert (await here.pages.get("/api/v1/agents/good/events")).status_code == 200
        metrics = (await here.pages.get("/metrics")).text
        assert "dscore_store_damaged_total 3.0" in metrics
