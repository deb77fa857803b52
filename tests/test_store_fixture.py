"""A `dscore.db` that an earlier version has written opens whole.

`fixtures/dscore-0.1.db` was written by main at f5d1076: a server with one agent of each kind, which
died without a close while one of them was connected. What it holds is compared here with what a
server on a copy of it says, whatever the store is made of by now.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import orjson
import pytest

from dscore.store import open_store
from faked import FakeServer, running

FIXTURE = Path(__file__).parent / "fixtures" / "dscore-0.1.db"
AGENTS = {
    # id: (status, state, reason_code, ip, dialect)
    "away": ("offline", "offline", "reconnect_timeout", "10.0.0.1", "raw"),
    "beating": ("offline", "offline", "reconnect_timeout", "10.9.8.7", "raw"),
    "connected": ("online", "unknown", None, "10.0.0.1", "raw"),
    "late": ("offline", "offline", "reconnect_timeout", "10.0.0.1", "raw"),
    "stopped": ("offline", "terminated", "terminated", "10.0.0.1", "raw"),
    "unanswered": ("offline", "offline", "reconnect_timeout", "10.0.0.1", "raw"),
    "über agent": ("offline", "offline", "reconnect_timeout", "10.0.0.1", "socketio"),
}
CONFIGS = {
    "away": {"labels": {"site": "oslo"}},
    "connected": {"labels": {"site": "berlin", "line": "7"}, "fps": 25},
}


@pytest.fixture
def path(tmp_path: Path) -> str:
    copy = tmp_path / "dscore.db"
    shutil.copy(FIXTURE, copy)
    return str(copy)


@contextmanager
def database(path: str | Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        yield db


def seconds(unix_ms: int | None) -> object:
    return None if unix_ms is None else pytest.approx(unix_ms / 1000, abs=0.01)


async def test_every_agent_is_what_it_was(path: str) -> None:
    with database(FIXTURE) as db:
        connected_at = dict(db.execute("SELECT agent_id, connected_at FROM agents"))
        heartbeat_at = dict(db.execute("SELECT agent_id, heartbeat_at FROM last_seen"))
    async with running(store=open_store(path)) as server:
        agents = {agent.id: agent for agent in server.fleet.agents()}
        found = {
            name: (one.status, one.state, one.reason_code, one.ip, one.dialect)
            for name, one in agents.items()
        }
        assert found == AGENTS
        for name, agent in agents.items():
            assert agent.connected is False
            assert agent.config == CONFIGS.get(name)
            assert dict(agent.labels) == CONFIGS.get(name, {}).get("labels", {})
            assert agent.connected_at == seconds(connected_at[name])
            assert agent.last_heartbeat == seconds(heartbeat_at[name])
        assert server.store_health().is_ok
        assert server.core_stats()["store_damaged_total"] == 0


async def test_sessions_and_outboxes_go_on(path: str) -> None:
    async with running(store=open_store(path)) as server:
        assert server.core_stats()["sessions"] == 6
        assert server.core_stats()["undelivered_messages"] == 4
        away = server.fleet.agent("away")
        assert away is not None
        assert (away.undelivered, away.dropped) == (4, 0)
        await server.introduce(1, "away", reconnection=True)
        told = server.told(1)
        assert told[0]["session_restored"] is True
        assert [one.get("message_id") for one in told[1:]] == ["m-0", "m-1", "m-2", "m-3"]
        assert server.core_stats()["undelivered_messages"] == 0
        # A session that ended with the agent is none to go on with.
        await server.introduce(2, "stopped", reconnection=True)
        assert server.told(2)[0]["session_restored"] is False


async def test_timelines_are_read_to_their_last_entry(path: str) -> None:
    with database(FIXTURE) as db:
        rows = db.execute("SELECT number, agent_id, at, kind, data FROM events").fetchall()
    async with running(store=open_store(path)) as server:
        for name in AGENTS:
            entries, rest = await server.fleet.timeline(name, limit=1000)
            own = [entry for entry in entries if entry.agent_id]
            kept = [row for row in reversed(rows) if row[1] == name]
            assert [(e.number, e.agent_id, e.at, e.kind) for e in own] == [row[:4] for row in kept]
            assert [orjson.loads(e.data) for e in own] == [orjson.loads(row[4]) for row in kept]
            assert rest is None


async def test_numbers_and_generations_go_on_where_they_stood(path: str) -> None:
    async with running(store=open_store(path)) as server:
        await server.introduce(1, "connected")
        entries, _ = await server.fleet.timeline("connected", limit=1)
        assert entries[0].number > 33
        assert orjson.loads(entries[0].data)["generation"] == 3


async def test_what_another_program_reads_in_it_is_what_it_was(path: str) -> None:
    """Of the view that is made for them."""
    query = "SELECT id, name, ip, status, last_seen FROM clients ORDER BY id"
    async with running(store=open_store(path)) as server:
        await server.introduce(1, "connected", reconnection=True)
    with database(FIXTURE) as before, database(path) as after:
        then = {row[0]: row for row in before.execute(query)}
        now = {row[0]: row for row in after.execute(query)}
    assert set(now) == set(then)
    for name in set(AGENTS) - {"connected"}:
        assert now[name] == then[name]


def known(server: FakeServer) -> set[str]:
    return {agent.id for agent in server.fleet.agents()}


async def test_an_agent_that_is_removed_leaves_nothing_in_it(path: str) -> None:
    async with running(store=open_store(path)) as server:
        away = server.fleet.agent("away")
        assert away is not None
        number = away._record.number
        await server.fleet.remove("away")
        assert known(server) == set(AGENTS) - {"away"}
    with database(path) as db:
        tables = [row[1] for row in db.execute("PRAGMA table_list") if "sqlite" not in row[1]]
        assert {"agents", "outbox", "timelines"} <= set(tables)
        for table in tables:
            rows = db.execute(f"SELECT * FROM {table}").fetchall()
            assert not [row for row in rows if "away" in row], table
        assert db.execute("SELECT * FROM timelines WHERE agent = ?", (number,)).fetchall() == []
