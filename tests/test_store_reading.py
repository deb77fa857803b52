"""Damaged rows: each is left out and named, and everything else is there."""

import json
import sqlite3
from pathlib import Path

import pytest

from dscore.store import open_store
from protocol.support import agents, running
from test_store_sqlite import agent, begin, opened, queue, rows, taken, written


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dscore.db"


async def filled(path: Path) -> None:
    async with opened(path) as (store, _):
        for agent_id in ("bad", "good"):
            begin(store, agent_id)
            store.keep(agent(agent_id, config=b'{"labels":{"a":"b"}}', seen_at=1, heartbeat_at=1))
            queue(store, agent_id, b'{"type":"note"}')
            store.append(agent_id, 1, "connected", b"{}")
        store.prune(0)
        await written(store)


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
        "status = 'offline'",
        "status = NULL",
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
        async with opened(path) as (store, kept):
            assert [one.agent_id for one in kept.agents] == ["good"]
            # Named once: it is taken out.
            assert store.damaged_total == (0 if restart else 3)
            assert ("store_row_dropped" in caplog.text) is not restart
    assert rows(path, "SELECT count(*) FROM agents") == [(1,)]


@pytest.mark.parametrize(
    "change", ["seen_at = 'then'", "heartbeat_at = 1e300", "heartbeat_at = -5", "seen_at = NULL"]
)
async def test_an_agent_is_whole_without_news_of_it(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE last_seen SET {change} WHERE agent_id = 'bad'")
    async with opened(path) as (_, kept):
        assert {one.agent_id for one in kept.agents} == {"bad", "good"}


@pytest.mark.parametrize(
    "change",
    [
        "last_close = 70000",
        "last_close = NULL",
        "left_at = 'then'",
        "left_at = 1e300",
        "dropped = -1",
    ],
)
async def test_a_damaged_session_is_left_out_with_its_messages(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE sessions SET {change} WHERE agent_id = 'bad'")
    async with opened(path) as (store, kept):
        assert [session.agent_id for session in kept.sessions] == ["good"]
        assert store._fleet.sessions()[1] == 1
        assert store.damaged_total == 2


@pytest.mark.parametrize(
    "change", ["message = NULL", "message = 'text'", "message = x'7b'", "message = x'22ff22'"]
)
async def test_a_damaged_message_is_left_out(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE outbox SET {change} WHERE agent_id = 'bad'")
    async with opened(path) as (store, kept):
        assert {session.agent_id for session in kept.sessions} == {"bad", "good"}
        assert list(taken(store, "bad")) == []
        assert taken(store, "good") == [b'{"type":"note"}']
        assert store.damaged_total == 1


@pytest.mark.parametrize(
    "change",
    ["data = NULL", "data = x'7b'", "data = x'5b5d'", "at = NULL", "at = 1e300", "kind = x'ff'"],
)
async def test_a_damaged_entry_is_left_out(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE events SET {change} WHERE agent_id = 'bad'")
    async with opened(path) as (store, _):
        assert await store.timeline("bad", limit=9) == []
        assert len(await store.timeline("good", limit=9)) == 1
        assert store.damaged_total == 1


async def test_a_damaged_entry_hides_nothing_that_is_older_and_is_counted_once(path: Path) -> None:
    async with opened(path) as (store, _):
        for at in range(30):
            store.append("a", at, "missed", b"{}")
        await written(store)
    damage(path, "UPDATE events SET data = NULL WHERE at = 25")
    async with opened(path) as (store, _):
        for _ in range(3):
            page = await store.timeline("a", limit=10)
            assert [entry.at for entry in page] == [29, 28, 27, 26, 24, 23, 22, 21, 20, 19]
            assert store.damaged_total == 1


@pytest.mark.parametrize(
    "change", ["age = NULL", "age = 9e300", "age = 200000000000000", "alive_at = NULL", "age = -1"]
)
async def test_a_damaged_clock_makes_nothing_old(path: Path, change: str) -> None:
    await filled(path)
    damage(path, f"UPDATE process SET {change}")
    async with opened(path) as (store, kept):
        assert {one.agent_id for one in kept.agents} == {"bad", "good"}
        assert abs(store.clock.now() - kept.agents[0].changed_at) < 60_000_000_000_000
        store.prune(store.clock.now() - 30 * 86_400_000)
        await written(store)
        assert len(await store.timeline("good", limit=9)) == 1


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
        here.server._store.append("a-1", 1_700_000_000_000, kind, text)
        answer = await here.pages.get("/api/v1/agents/a-1/events")
        assert answer.status_code == 200, answer.text
        assert "connected" in [one["kind"] for one in answer.json()["items"]]


async def test_a_server_starts_and_lists_though_rows_are_damaged(path: Path) -> None:
    await filled(path)
    damage(path, "UPDATE agents SET config = x'7b', changed_at = 1e300 WHERE agent_id = 'bad'")
    damage(path, "UPDATE events SET data = x'7b22', at = NULL")
    async with running(store=open_store(str(path))) as here:
        listed = (await here.pages.get("/api/v1/agents")).json()["items"]
        assert [one["id"] for one in listed] == ["good"]
        assert (await here.pages.get("/api/v1/agents/good/events")).status_code == 200
        metrics = (await here.pages.get("/metrics")).text
        assert "dscore_store_damaged_total 4.0" in metrics
