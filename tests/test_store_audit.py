"""The audit in both stores: in order, within its age, and each kind of line within its number."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from dscore.policy.liveness import new_fleet
from dscore.store import audit, audit_lines, open_store
from dscore.store.behind import Behind


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Behind]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "dscore.db")
    made = await started(path)
    yield made
    await made.close()


async def started(path: str) -> Behind:
    behind = Behind(new_fleet(), open_store(path))
    await behind.start(lambda: (0, 0, 0))
    return behind


async def told(store: Behind, **page: int) -> list[bytes]:
    return [line.data for line in await store.read_audit(**{"limit": 100, **page})]


async def test_lines_are_read_newest_first_and_page_by_page(store: Behind) -> None:
    for number in range(5):
        store.audit(number, b'{"n":%d}' % number, refused=number % 2 == 1)
    first = await store.read_audit(limit=2)
    assert [line.data for line in first] == [b'{"n":4}', b'{"n":3}']
    assert [(line.at, line.refused) for line in first] == [(4, 0), (3, 1)]
    rest = await told(store, before=first[-1].number)
    assert rest == [b'{"n":2}', b'{"n":1}', b'{"n":0}']
    assert await told(store, before=1) == []


async def test_lines_go_with_their_age(store: Behind) -> None:
    store.audit(1, b'{"n":1}', refused=False)
    store.audit(1, b'{"n":2}', refused=True)
    await asyncio.sleep(0.01)
    store.prune(store.clock.now())
    store.audit(2, b'{"n":3}', refused=False)
    await eventually_told(store, [b'{"n":3}'])


async def eventually_told(store: Behind, expected: list[bytes]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while (found := await told(store)) != expected:
        assert asyncio.get_running_loop().time() < deadline, found
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_in_memory_what_is_refused_pushes_nothing_out_that_was_done(store: Behind) -> None:
    store.audit(0, b'{"done":1}', refused=False)
    for number in range(audit_lines.LENGTH + 5):
        store.audit(number, b'{"n":%d}' % number, refused=True)
    lines = await store.read_audit(limit=1_000_000)
    assert len(lines) == audit_lines.LENGTH + 1
    assert lines[-1].data == b'{"done":1}'


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_in_sqlite_what_is_refused_pushes_nothing_out_that_was_done(
    store: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "REFUSED_LENGTH", 3)
    store.audit(0, b'{"done":1}', refused=False)
    for number in range(10):
        store.audit(number, b'{"n":%d}' % number, refused=True)
    store.prune(0)
    await eventually_told(store, [b'{"n":9}', b'{"n":8}', b'{"n":7}', b'{"done":1}'])


async def test_numbers_go_on_in_the_next_process_and_damage_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "dscore.db"
    for number in range(3):
        store = await started(str(path))
        store.audit(number, b'{"n":%d}' % number, refused=False)
        await store.close()
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT number, data FROM audit ORDER BY number").fetchall()
        assert rows == [(1, b'{"n":0}'), (2, b'{"n":1}'), (3, b'{"n":2}')]
        db.execute("UPDATE audit SET data = 'rubbish' WHERE number = 2")
        db.commit()
    store = await started(str(path))
    assert await told(store) == [b'{"n":2}', b'{"n":0}']
    assert store.damaged_total == 1
    await store.close()
