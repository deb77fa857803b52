"""What is left of a store whose process was killed in the middle of everything."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

import store_migrating
import store_writer
from dscore.store import schema
from dscore.store.timelines import TIMELINE_LENGTH
from keeper import opened, rows

KILLS = 8


def test_kill_9_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "dscore.db"
    chance = random.Random(4711)
    safe = 0
    for _ in range(KILLS):
        safe = max(safe, run_and_kill(path, chance.uniform(0.01, 0.4)))
        assert look_into(path) >= safe, "a round that was safe is gone"
    assert safe > 0


def run_and_kill(path: Path, seconds: float) -> int:
    """Lets the writer write for a while after its first safe round; the last safe one."""
    command = [sys.executable, store_writer.__file__, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        first = int(writer.stdout.readline())
        # Not a wait for anything: the moment is what is random here.
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read()
    # The last line may be half a number.
    return max([first, *map(int, rest[: rest.rfind("\n") + 1].split())])


def look_into(path: Path) -> int:
    """The round in the file: the same in every table."""
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        [(number, agents)] = db.execute("SELECT last_close, count(*) FROM agents GROUP BY 1")
        assert agents == store_writer.AGENTS
        for column in ("seen_at FROM agents", "CAST(message AS INTEGER) FROM outbox"):
            assert db.execute(f"SELECT DISTINCT {column}").fetchall() == [(number,)]
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (agents,)
        for (entries,) in db.execute(
            "SELECT entries FROM timelines GROUP BY agent HAVING max(number)"
        ):
            assert orjson.loads(entries)[-1][1] == number
        [(longest,)] = db.execute(
            "SELECT max(n) FROM (SELECT sum(count) AS n FROM timelines GROUP BY agent)"
        )
        # Rows of entries go as a whole, and what has come since the last pruning comes on top.
        assert longest <= 2 * TIMELINE_LENGTH
    finally:
        db.close()
    assert isinstance(number, int)
    return number


async def test_kill_9_while_a_file_is_brought_to_new_tables_leaves_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file as it was before timelines were found by parts."""
    path, old = tmp_path / "dscore.db", 6
    monkeypatch.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:old])
    async with opened(path) as (keeper, _):
        for at in range(30_000):
            keeper.append(f"a-{at % 3_000}", at, "missed")
            if at % 3_000 == 0:
                await keeper.behind.written()
        last = await keeper.timeline("a-7", limit=9)
    held = rows(path, "SELECT * FROM timelines ORDER BY number")
    monkeypatch.undo()
    kills, steps = 0, 1
    while migrate_and_kill(path, steps):
        assert rows(path, "PRAGMA user_version") == [(old,)]
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        kills, steps = kills + 1, 2 * steps
    assert kills > 5
    assert rows(path, "PRAGMA user_version") == [(len(schema.MIGRATIONS),)]
    assert rows(path, "SELECT * FROM timelines ORDER BY number") == held
    async with opened(path) as (keeper, loaded):
        assert len(loaded.agents) == 3_000
        assert await keeper.timeline("a-7", limit=9) == last
        assert keeper.store.damaged_total == 0


def migrate_and_kill(path: Path, steps: int) -> bool:
    """Whether it was killed before it was done."""
    command = [sys.executable, store_migrating.__file__, str(path), str(steps)]
    code = subprocess.run(command, check=False).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0
