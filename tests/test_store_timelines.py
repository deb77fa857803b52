"""Timelines in a file that holds a long history: what a new row costs, what is read and pruned."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dscore.store import Pruning, reading, schema, timelines

Row = tuple[int, int, int, bytes]
KEEP_ALL = Pruning(to=0, max_bytes=1 << 40, marks=(), before=0)
PART = 1 << 14
LARGEST = (1 << 63) - 1


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "dscore.db", isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;")
        schema.migrate(db)
        db.text_factory = reading.text
        yield db


def row(agent: int, *numbers: int) -> Row:
    entries = ",".join(f'[{number},{number},"missed",{{}}]' for number in numbers)
    return numbers[-1], agent, len(numbers), f"[{entries}]".encode()


def write(db: sqlite3.Connection, *rows: Row) -> None:
    db.execute("BEGIN")
    db.executemany(timelines.WRITE.format("(?, ?, ?, ?)"), rows)
    db.execute("COMMIT")


def own(
    db: sqlite3.Connection, agent: int, limit: int = 1000, before: int | None = None
) -> list[int]:
    entries, damages = timelines.read(db, agent, limit, before)
    assert not damages
    return [number for number, *_ in entries]


def count(db: sqlite3.Connection) -> int:
    (found,) = db.execute("SELECT count(*) FROM timelines").fetchone()
    assert isinstance(found, int)
    return found


def shuffled(agents: int, rounds: int) -> Iterator[Row]:
    """A row of each agent in each round, in no order of agents."""
    order, chance, number = list(range(1, agents + 1)), random.Random(1), 0
    for _ in range(rounds):
        chance.shuffle(order)
        for agent in order:
            number += 1
            yield row(agent, number)


def pages_of_new_rows(db: sqlite3.Connection, first: int) -> int:
    """Pages that go to disk for a batch of a row for each of 500 agents."""
    [(_, _, path), *_] = db.execute("PRAGMA database_list")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    agents = random.Random(first).sample(range(1, 5_001), 500)
    write(db, *(row(agent, first + index) for index, agent in enumerate(agents)))
    return Path(f"{path}-wal").stat().st_size // 4096


def test_a_new_row_costs_the_same_however_long_the_history_is(db: sqlite3.Connection) -> None:
    write(db, *shuffled(agents=5_000, rounds=2))
    short = pages_of_new_rows(db, first=1_000_001)
    write(db, *((number + 2_000_000, *rest) for number, *rest in shuffled(5_000, rounds=20)))
    assert pages_of_new_rows(db, first=3_000_001) <= 1.5 * short


def test_a_timeline_is_read_and_forgotten_as_in_a_model(db: sqlite3.Connection) -> None:
    """Numbers leave gaps of whole parts, are at their ends, or are what damage made of them."""
    chance = random.Random(11)
    starts = (-3 * PART, -PART - 5, -20, PART - 10, 5 * PART - 3, 1 << 40, (1 << 62) - 9)
    model: dict[int, list[int]] = {agent: [] for agent in range(5)}
    for start in starts:
        number = start
        for _ in range(20):
            agent, length = chance.randrange(5), chance.randrange(1, 4)
            number += length
            db.execute(timelines.WRITE.format("(?, ?, ?, ?)"), (number, agent, 1, b"[%d]" % number))
            model[agent].append(number)
    statement = timelines._READ
    for agent, numbers in model.items():
        found = [number for number, *_ in db.execute(statement, (agent, LARGEST, LARGEST))]
        assert found == numbers[::-1]
        for before in numbers:
            found = [number for number, *_ in db.execute(statement, (agent, before, before))]
            assert found == [number for number in numbers[::-1] if number <= before]
    db.execute(timelines.FORGET.format("?, ?"), (1, 3))
    kept = sorted(number for agent in (0, 2, 4) for number in model[agent])
    rows = db.execute("SELECT number FROM timelines ORDER BY number")
    assert [number for (number,) in rows] == kept


def test_pages_of_a_timeline_meet_where_parts_do(db: sqlite3.Connection) -> None:
    numbers = [*range(PART - 7, PART + 8), *range(4 * PART - 7, 4 * PART + 8)]
    for start in range(0, len(numbers), 3):
        write(db, row(1, *numbers[start : start + 3]), row(2, numbers[start] + 100_000))
    found: list[int] = []
    while page := own(db, 1, limit=4, before=found[-1] if found else None):
        found += page
    assert found == numbers[::-1]


def test_what_reads_and_prunes_looks_for_agents_by_the_index(db: sqlite3.Connection) -> None:
    seen = []
    db.set_trace_callback(seen.append)
    timelines.read(db, 1, 10, None)
    timelines.prune(db, KEEP_ALL, 0)
    write(db, row(1, 1))
    timelines.prune(db, KEEP_ALL, 0)
    db.execute(timelines.FORGET.format("1, 2"))
    db.set_trace_callback(None)
    of_agents = [statement for statement in seen if "CROSS JOIN" in statement]
    assert len(of_agents) == 3
    for statement in of_agents:
        plan = " ".join(step for *_, step in db.execute(f"EXPLAIN QUERY PLAN {statement}"))
        assert "INDEX timelines_of_agent (<expr>=? AND agent=?)" in plan
        assert "SCAN timelines" not in plan


def test_a_prune_looks_at_a_few_that_have_grown_and_the_next_goes_on(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "TIMELINE_LENGTH", 3)
    monkeypatch.setattr(timelines, "TRIM_SLICE", 2)
    write(db, *(row(1 + number % 4, number) for number in range(1, 41)))
    trimmed, left = 36, list[int]()
    for _ in range(3):
        trimmed = timelines.prune(db, KEEP_ALL, trimmed)
        left.append(count(db))
    assert left == [40 - 14, 40 - 28, 40 - 28]
    # Rows 37 and 38 are of agents 2 and 3, 39 and 40 of 4 and 1.
    assert [own(db, agent) for agent in (1, 2, 3, 4)] == [
        [number, number - 4, number - 8] for number in (40, 37, 38, 39)
    ]


def test_what_waits_for_too_long_to_be_looked_at_is_passed_over(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timelines, "TIMELINE_LENGTH", 3)
    monkeypatch.setattr(timelines, "TRIM_SLICE", 4)
    write(db, *(row(1, number) for number in range(1, 11)))
    late = 11 + timelines.TRIM_BEHIND
    write(db, *(row(2, number) for number in range(late, late + 10)))
    assert timelines.prune(db, KEEP_ALL, 0) > 10
    assert len(own(db, 1)) == 10
    assert own(db, 2) == [late + 9, late + 8, late + 7]


@pytest.mark.parametrize("damaged", [LARGEST, -(10**9), 0, "many", b"", None])
def test_counts_that_are_damaged_stop_no_prune_and_cost_no_other_agent_anything(
    db: sqlite3.Connection, damaged: object
) -> None:
    db.executescript(
        "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = "
        "replace(sql, ' NOT NULL', ''); PRAGMA writable_schema = RESET;"
    )
    write(db, *(row(1 + number % 2, number) for number in range(1, 21)))
    db.execute("UPDATE timelines SET count = ? WHERE agent = 1", (damaged,))
    pruning = KEEP_ALL._replace(max_bytes=100_000)
    assert timelines.prune(db, pruning, 0) == 20
    assert own(db, 2) == [*range(19, 0, -2)]
