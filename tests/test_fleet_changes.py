"""What a fleet says is not saved, and its timelines, without a server."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from dscore._core import Changes, Fleet
from dscore.policy.liveness import new_fleet
from dscore.store import StoredAgent
from outboxes import introduced, keeping_fleet, known, left, queued, taken

TIMES = (0, 0, 0)


def unsaved(fleet: Fleet) -> Changes:
    return fleet.unsaved(1000, TIMES)


def read(rows: Callable[[int, int], list[Any]]) -> list[Any]:
    """All values, a row at a time, as SQLite takes them: NaN for NULL."""
    values, start = [], 0
    while part := rows(start, start + 1):
        values += [None if isinstance(value, float) else value for value in part]
        start += 1
    assert rows(0, 1 << 62) or not values
    return values


def rows(changes: Changes) -> dict[str, StoredAgent]:
    values, columns = read(changes.rows), len(StoredAgent._fields)
    found = (StoredAgent(*values[at : at + columns]) for at in range(0, len(values), columns))
    return {row.agent_id: row for row in found}


def messages(changes: Changes) -> list[Any]:
    return read(changes.messages)[2::3]


def entries(changes: Changes) -> list[Any]:
    values = read(changes.entries)
    return [(values[at + 1], orjson.loads(values[at + 3])) for at in range(0, len(values), 4)]


@pytest.fixture
def fleet() -> Fleet:
    return keeping_fleet()


def test_unsaved_is_the_last_word_until_it_is_saved(fleet: Fleet) -> None:
    left(fleet, "a", code=1001, age=7)
    queued(fleet, "a", b"1", b"2")
    first = unsaved(fleet)
    assert rows(first)["a"].last_close == 1001
    assert rows(first)["a"].left_at == 7
    assert rows(first)["a"].changed_at == 1000
    assert messages(first) == [b"1", b"2"]
    assert (first.forgotten, first.delivered) == ([], [])
    # It was not written: all of it comes again, with what has changed since.
    assert taken(fleet, "a") == [b"1", b"2"]
    again = unsaved(fleet)
    assert rows(again)["a"].left_at is None
    assert messages(again) == []
    assert again.delivered == [1, 2]
    fleet.saved(again.version)
    assert fleet.unsaved_total() == 0
    assert len(unsaved(fleet)) == 0


def test_what_changes_while_it_is_written_is_written_next(fleet: Fleet) -> None:
    left(fleet, "a")
    left(fleet, "b")
    queued(fleet, "a", b"1")
    given = unsaved(fleet)
    taken(fleet, "a")
    queued(fleet, "b", b"2")
    fleet.saved(given.version)
    rest = unsaved(fleet)
    assert set(rows(rest)) == {"a"}
    assert messages(rest) == [b"2"]
    assert rest.delivered == [1]


def test_an_agent_that_is_forgotten_goes_with_all_it_had(fleet: Fleet) -> None:
    agent = left(fleet, "a")
    number = agent.number
    queued(fleet, "a", b"1")
    fleet.record(agent, 1, "connected", b"{}")
    fleet.saved(unsaved(fleet).version)
    fleet.record(agent, 2, "removed", b"{}")
    fleet.forget(agent)
    changes = unsaved(fleet)
    assert (changes.forgotten, changes.delivered) == ([number], [1])
    assert (read(changes.rows), read(changes.entries)) == ([], [])
    assert fleet.timeline(agent, limit=9) == []
    # Met again at once, it is another one.
    again = introduced(fleet, "a")
    assert again.number > number
    changes = unsaved(fleet)
    assert changes.forgotten == [number]
    assert rows(changes)["a"].number == again.number


def test_what_happens_to_many_is_one_statement(fleet: Fleet) -> None:
    agents = [introduced(fleet, f"a-{n}") for n in range(20)]
    fleet.saved(unsaved(fleet).version)
    for agent in agents[:15]:
        fleet.feed(agent, "terminated", 5)
    for agent in agents[15:17]:
        fleet.feed(agent, "removed", 5)
    changes = unsaved(fleet)
    first, last = agents[0].number, agents[14].number
    which = f"number BETWEEN {first} AND {last}"
    assert changes.states() == [("terminated", "terminated", 0, None, 0, None, which)]
    assert set(rows(changes)) == {"a-15", "a-16"}


def test_those_that_answer_in_no_order_are_one_statement_for_a_tenth_of_a_second(
    fleet: Fleet,
) -> None:
    agents = [introduced(fleet, f"a-{n}") for n in range(40)]
    fleet.saved(unsaved(fleet).version)
    for agent in agents:
        # In two tenths of a second, by turns.
        fleet.heard(agent, seen_ms=100 * (agent.number % 2) + agent.number)
        fleet.feed(agent, "terminated", 5)
    states = unsaved(fleet).states()
    assert [seen_at for *_, seen_at, _ in states] == [40, 139]


def test_what_is_only_heard_is_no_row(fleet: Fleet) -> None:
    agent, other = introduced(fleet, "a"), introduced(fleet, "b")
    fleet.saved(unsaved(fleet).version)
    fleet.heard(agent, heartbeat_ms=40, seen_ms=50)
    fleet.heard(other, heartbeat_ms=60, seen_ms=70, is_kept=False)
    changes = unsaved(fleet)
    assert read(changes.rows) == []
    assert read(changes.seen) == [agent.number, 50, 40]
    fleet.saved(changes.version)
    # The same once more, to be kept this time.
    fleet.heard(other, heartbeat_ms=60, seen_ms=70)
    assert read(unsaved(fleet).seen) == [other.number, 70, 60]


def test_a_state_that_the_next_process_takes_for_the_same_is_not_written(fleet: Fleet) -> None:
    agent = introduced(fleet, "a")
    fleet.configure(
        max_missed=3, heartbeat_grace_ms=1, reconnection_grace_ms=1, offline_timeout_ms=1
    )
    fleet.saved(unsaved(fleet).version)
    fleet.missed(agent, 3, 1)
    assert agent.state == "late"
    assert fleet.unsaved_total() == 0


def test_entries_are_here_until_they_are_saved(fleet: Fleet) -> None:
    agent = introduced(fleet, "a")
    fleet.record(None, 1, "started", b'{"version":"1"}')
    fleet.record(agent, 2, "connected", b'{"ip":"x"}')
    fleet.record(agent, 3, "missed", b"{}")
    changes = unsaved(fleet)
    assert entries(changes) == [
        (0, [[1, 1, "started", {"version": "1"}]]),
        (agent.number, [[2, 2, "connected", {"ip": "x"}], [3, 3, "missed", {}]]),
    ]
    fleet.record(agent, 4, "offline", b"{}")
    fleet.saved(changes.version)
    assert fleet.timeline(agent, limit=9) == [(4, 4, "offline", b"{}")]
    assert fleet.timeline(None, limit=9) == []
    assert entries(unsaved(fleet)) == [(agent.number, [[4, 4, "offline", {}]])]


def test_without_a_store_nothing_is_noted_and_entries_stay() -> None:
    fleet = new_fleet()
    agent = left(fleet, "a")
    queued(fleet, "a", b"1")
    for at in range(5):
        fleet.record(agent, at, "connected", b"{}")
    assert fleet.unsaved_total() == 0
    assert len(unsaved(fleet)) == 0
    newest = fleet.timeline(agent, limit=2)
    assert [at for _, at, _, _ in newest] == [4, 3]
    rest = fleet.timeline(agent, limit=9, before=newest[-1][0])
    assert [at for _, at, _, _ in rest] == [2, 1, 0]


def test_a_timeline_is_bounded_by_length() -> None:
    fleet = new_fleet()
    agent = introduced(fleet, "a")
    for at in range(205):
        fleet.record(agent, at, "connected", b"{}")
    assert [at for _, at, _, _ in fleet.timeline(agent, limit=1000)] == [*range(204, 4, -1)]


def test_timelines_of_all_agents_are_bounded_in_bytes() -> None:
    fleet = new_fleet()
    fleet.bound_timelines(100_000)
    fleet.record(None, 1, "started", b"{}")
    fleet.record(introduced(fleet, "quiet"), 1, "connected", b"{}")
    data = orjson.dumps({"reason": "x" * 1000})
    for number in range(200):
        fleet.record(introduced(fleet, f"a-{number}"), 1, "connected", data)
    kept = [n for n in range(200) if fleet.timeline(known(fleet, f"a-{n}"), limit=9)]
    # Those that grew last stay, and the server's own whatever its age.
    assert kept == list(range(200 - len(kept), 200))
    assert 80 < len(kept) < 100
    assert fleet.timeline(known(fleet, "quiet"), limit=9) == []
    assert len(fleet.timeline(None, limit=9)) == 1
    assert fleet.lost_entries_total == 201 - len(kept)


def test_what_is_too_old_is_not_read() -> None:
    fleet = new_fleet()
    agent = introduced(fleet, "a")
    for at in range(4):
        fleet.record(agent, at, "connected", b"{}")
    fleet.prune_timelines(fleet.last_entry - 1)
    assert [at for _, at, _, _ in fleet.timeline(agent, limit=9)] == [3]
