"""A store's file: held by one server whatever it is called, put back when it is gone, 0600."""

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dscore.errors import NotKeptError, StoreError
from dscore.store.sqlite import SqliteStore
from faked import eventually
from keeper import opened, rows


def removed(path: Path) -> None:
    path.unlink()


def removed_with_its_log(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink()


def without_its_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


def replaced_by_a_copy(path: Path) -> None:
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def replaced_by_rubbish(path: Path) -> None:
    rubbish = path.with_suffix(".rubbish")
    rubbish.write_bytes(b"rubbish" * 1000)
    rubbish.replace(path)


def with_its_directory_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def with_everything_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


ACCIDENTS: list[Callable[[Path], None]] = [
    removed,
    removed_with_its_log,
    without_its_log,
    replaced_by_a_copy,
    replaced_by_rubbish,
    with_its_directory_moved,
    with_everything_removed,
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "dscore.db"


@pytest.mark.parametrize("accident", ACCIDENTS)
@pytest.mark.parametrize("changes", [True, False])
async def test_a_file_that_is_gone_is_put_back_with_all_it_held(
    path: Path,
    accident: Callable[[Path], None],
    changes: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("before")
        keeper.queue("before", b'{"type":"a"}')
        keeper.append("before", 1, "connected", b"{}")
        await keeper.written()
        accident(path)
        if changes:
            keeper.begin("after")
            await keeper.written()
        else:
            # An idle store looks by itself.
            await eventually(lambda: "store_restored" in caplog.text)
        assert keeper.health().is_ok
    kept_agents = [name for (name,) in rows(path, "SELECT agent_id FROM agents ORDER BY 1")]
    assert kept_agents == (["after", "before"] if changes else ["before"])
    async with opened(path) as (keeper, _):
        assert keeper.taken("before") == [b'{"type":"a"}']
        assert [entry.at for entry in await keeper.timeline("before", limit=9)] == [1]


@pytest.mark.parametrize("accident", ACCIDENTS)
async def test_a_file_that_goes_just_before_the_end_is_put_back(
    path: Path, accident: Callable[[Path], None]
) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a")
        await keeper.written()
        accident(path)
    assert rows(path, "SELECT agent_id FROM agents") == [("a",)]


async def test_what_had_taken_its_place_is_put_aside(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a")
        await keeper.written()
        replaced_by_rubbish(path)
        keeper.begin("b")
        await keeper.written()
        [aside] = [one for one in path.parent.glob("*.replaced-*") if one.suffix[-1].isdigit()]
        assert aside.read_bytes() == b"rubbish" * 1000


async def test_health_says_that_a_file_cannot_be_put_back_and_when_it_can(path: Path) -> None:
    async with opened(path) as (keeper, _):
        keeper.begin("a")
        await keeper.written()
        path.parent.rename(path.parent.with_name("moved"))
        # Where the directory was there is a file now: none can be made there.
        path.parent.write_text("in the way")
        await eventually(lambda: not keeper.health().is_ok)
        assert "removed or moved" in str(keeper.health().reason)
        with pytest.raises(NotKeptError, match="removed or moved"):
            await keeper.behind.written()
        path.parent.unlink()
        await eventually(lambda: keeper.health().is_ok, 10.0)
        keeper.queue("a", b'{"type":"b"}')
        await keeper.behind.written()
        assert rows(path, "SELECT message FROM outbox") == [(b'{"type":"b"}',)]


async def test_a_link_that_leads_elsewhere_is_followed(path: Path) -> None:
    elsewhere, link = path.with_name("elsewhere.db"), path.with_name("link.db")
    link.symlink_to(path.name)
    async with opened(link) as (keeper, _):
        keeper.begin("a")
        await keeper.written()
        link.unlink()
        link.symlink_to(elsewhere.name)
        keeper.begin("b")
        await keeper.written()
        assert len(rows(elsewhere, "SELECT agent_id FROM agents")) == 2


@pytest.mark.parametrize("kind", ["symlink", "hard link", "directory link", "relative", "dotted"])
async def test_two_servers_never_share_a_file_whatever_its_name(
    path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(path) as (first, _):
        await first.written()
        other = path.with_name("other.db")
        if kind == "symlink":
            other.symlink_to(path)
        elif kind == "hard link":
            other.hardlink_to(path)
        elif kind == "directory link":
            linked = path.parent.with_name("linked")
            linked.symlink_to(path.parent)
            other = linked / path.name
        elif kind == "relative":
            monkeypatch.chdir(path.parent)
            other = Path(path.name)
        else:
            other = path.parent / ".." / path.parent.name / path.name
        with pytest.raises(StoreError, match="another server uses it; choose another --store"):
            await SqliteStore(str(other)).load()


async def test_a_removed_file_is_no_place_for_another_server(path: Path) -> None:
    async with opened(path):
        removed(path)
        with pytest.raises(StoreError, match="another server"):
            await SqliteStore(str(path)).load()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def readable_by_all(path: Path) -> None:
    path.touch()
    path.chmod(0o644)


@pytest.mark.parametrize("umask", [0o000, 0o022])
async def test_all_files_are_for_their_user_alone(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        async with opened(path) as (keeper, _):
            keeper.begin("a")
            await keeper.written()
            modes = {one.name: mode(one) for one in path.parent.iterdir()}
            assert modes == dict.fromkeys(
                ("dscore.db", "dscore.db-wal", "dscore.db-shm", "dscore.db.lock"), 0o600
            )
            removed(path)
            keeper.begin("b")
            await keeper.written()
            assert mode(path) == 0o600
    finally:
        os.umask(before)


async def test_a_file_that_others_may_read_is_warned_of(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    readable_by_all(path)
    async with opened(path):
        assert f"chmod 600 {path}" in caplog.text


async def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as caught:
        await SqliteStore(str(path)).load()
    return str(caught.value)


async def test_each_refusal_has_its_remedy(path: Path) -> None:
    assert "make the directory" in await refusal(path.parent / "no-such" / "dscore.db")
    assert "name a file in it" in await refusal(path.parent)
    not_one = path.with_name("text.db")
    not_one.write_text("no database, but long enough to be looked at" * 100)
    assert "move it away, or choose another --store" in await refusal(not_one)
    loop = path.with_name("loop.db")
    loop.symlink_to(loop.name)
    assert "; " in await refusal(loop)
    foreign = path.with_name("foreign.db")
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE agents (name)")
    db.close()
    assert "already exists; move it away, or choose another --store" in await refusal(foreign)
    # Nothing is left beside what is none of ours.
    assert not list(path.parent.glob("*.lock"))
    assert not path.parent.with_name(f"{path.parent.name}.lock").exists()


async def test_a_file_that_another_program_locks_is_refused_with_the_remedy(path: Path) -> None:
    async with opened(path):
        pass
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        assert "end the program that has it open" in await refusal(path)
    finally:
        db.close()
    await asyncio.wait_for(SqliteStore(str(path)).load(), 30.0)
