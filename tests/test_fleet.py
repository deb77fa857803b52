import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dscore._core import AgentRow, ConnectedScan, Fleet, LastSeen, StatusScan
from dscore.filters import Filter
from dscore.policy.liveness import TABLE, new_fleet
from dscore.server.fleet import Fleet as ServerFleet
from dscore.store import MemoryStore, StoredAgent
from dscore.store.behind import Behind
from fake_fleet import paged


def fleet_with(*agents: str, max_disconnected: int = 100) -> Fleet:
    fleet = new_fleet(max_disconnected=max_disconnected)
    fleet.configure(
        max_missed=3,
        heartbeat_grace_ms=60_000,
        reconnection_grace_ms=120_000,
        offline_timeout_ms=180_000,
    )
    for conn, agent_id in enumerate(agents, 1):
        fleet.open(conn, "10.0.0.1")
        introduce(fleet, conn, agent_id)
    return fleet


def introduce(fleet: Fleet, conn: int, agent_id: str, now: int = 0) -> AgentRow:
    introduced = fleet.introduce(conn, agent_id, "app_ready", now)
    assert introduced is not None
    return introduced.agent


def known(fleet: Fleet, agent_id: str) -> AgentRow:
    agent = fleet.agent(agent_id)
    assert agent is not None
    return agent


def leave(fleet: Fleet, agent_id: str, now: int) -> AgentRow:
    """It times out, so it is offline at once."""
    agent = known(fleet, agent_id)
    conn = agent.conn
    fleet.release(agent, now)
    fleet.feed(agent, "timed_out", now)
    fleet.close(conn)
    return agent


def ids(agents: list[AgentRow]) -> list[str]:
    return [agent.agent_id for agent in agents]


def looked_at(scan: ConnectedScan | StatusScan) -> list[Any]:
    return [found for step in iter(scan.step, None) for found in step]


def test_counts_unauthenticated_agents_and_watchers_in_one_reading() -> None:
    fleet = fleet_with("a", "b")
    fleet.open(3, "10.0.0.1")
    fleet.open(4, "10.0.0.1")
    fleet.watch(4)
    assert fleet.counts() == (4, 3, 1)


def test_takeover_names_the_connection_it_ends_and_raises_the_generation() -> None:
    fleet = fleet_with("a")
    fleet.open(2, "10.0.0.2")
    introduced = fleet.introduce(2, "a", "app_ready", 5)
    assert introduced is not None
    agent = introduced.agent
    assert (introduced.previous, introduced.changed, introduced.was_away) == (1, False, False)
    assert (agent.conn, agent.generation, agent.ip, agent.connected_at) == (2, 2, "10.0.0.2", 5)
    assert fleet.owner(1) is None
    assert fleet.named_by(1) == fleet.owner(2) == agent


def test_end_of_a_stale_connection_leaves_its_successor_alone() -> None:
    fleet = fleet_with("a")
    fleet.open(2, "10.0.0.1")
    introduce(fleet, 2, "a")
    fleet.close(1)
    assert fleet.owner(2) == fleet.agent("a")
    assert fleet.counts()[0] == 1
    assert ids(fleet.connected()) == ["a"]


def test_connected_skips_agents_that_were_released() -> None:
    fleet = fleet_with("a", "b")
    fleet.release(known(fleet, "a"), 0)
    assert ids(fleet.connected()) == ["b"]
    assert fleet.counts()[0] == 2, "the connection counts until it is closed"


def test_an_agent_that_watches_stays_an_agent() -> None:
    fleet = fleet_with("a")
    fleet.watch(1)
    assert fleet.owner(1) == fleet.agent("a")
    assert fleet.only_watching() == []
    assert fleet.close(1), "it watched"
    assert fleet.is_empty()


def test_a_watcher_may_become_an_agent_only_if_it_has_not_asked_to_watch() -> None:
    fleet = fleet_with()
    for conn in (1, 2):
        fleet.open(conn, "10.0.0.1", "token", dialect="socketio")
        fleet.watch(conn, until_introduced=conn == 1)
    assert fleet.introduce(2, "b", "heartbeat", 7) is None
    shown = fleet.unauthenticated(1)
    assert shown is not None
    assert (shown.token, shown.dialect, shown.ip) == ("token", "socketio", "10.0.0.1")
    agent = fleet.introduce(1, "a", "heartbeat", 7, ip="10.9.9.9")
    assert agent is not None
    assert (agent.agent.ip, agent.agent.last_heartbeat) == ("10.9.9.9", 7)
    assert fleet.unauthenticated(1) is None
    assert fleet.only_watching() == [2]


def test_what_a_socketio_connect_shows_is_kept_until_it_is_introduced() -> None:
    fleet = fleet_with()
    fleet.open(1, "10.0.0.1", dialect="socketio")
    fleet.show_token(1, "secret", is_wrong=True)
    fleet.show_auth(1, b'{"a":1}')
    shown = fleet.unauthenticated(1)
    assert shown is not None
    assert (shown.token, shown.is_token_wrong, shown.auth) == ("secret", True, b'{"a":1}')
    fleet.show_token(99, "nothing")
    assert fleet.unauthenticated(99) is None


def test_forgets_agents_that_are_gone_for_long() -> None:
    fleet = fleet_with("a", "b", "c")
    leave(fleet, "a", 10)
    leave(fleet, "b", 20)
    fleet.forget_absent(15)
    assert sorted(ids(fleet.agents())) == ["b", "c"]


def test_does_not_forget_an_agent_that_may_still_come_back() -> None:
    fleet = fleet_with("a")
    agent = known(fleet, "a")
    fleet.release(agent, 10)
    fleet.feed(agent, "lost", 10)
    fleet.forget_absent(15)
    assert ids(fleet.agents()) == ["a"]


def test_does_not_forget_an_agent_that_came_back() -> None:
    fleet = fleet_with("a")
    leave(fleet, "a", 10)
    fleet.open(7, "10.0.0.1")
    introduce(fleet, 7, "a", 11)
    fleet.forget_absent(1_000)
    assert ids(fleet.agents()) == ["a"]


def test_bounds_how_many_absent_agents_are_remembered() -> None:
    fleet = fleet_with("a", "b", "c", max_disconnected=1)
    for agent_id in "abc":
        leave(fleet, agent_id, 10)
    fleet.forget_absent(0)
    assert ids(fleet.agents()) == ["c"]
    assert fleet.is_full("new")
    assert not fleet.is_full("c")
    longest = fleet.longest_absent()
    assert longest is not None
    assert longest.agent_id == "c"


def test_a_handle_of_a_forgotten_agent_says_what_was_known_last() -> None:
    fleet = fleet_with("a")
    agent = known(fleet, "a")
    fleet.set_config(agent, b'{"labels":{"site":"x"}}')
    fleet.feed(agent, "removed", 1)
    fleet.forget(agent)
    assert fleet.agent("a") is None
    assert (agent.is_known, agent.state, agent.reason_code) == (False, "offline", "operator")
    assert agent.labels == ("site=x",)
    # Its connection names it until it closes; an agent of the same id is another one.
    assert fleet.named_by(1) == agent
    fleet.open(2, "10.0.0.1")
    again = introduce(fleet, 2, "a")
    assert again != agent
    assert (again.generation, again.config) == (1, None)
    fleet.release(agent, 2)
    fleet.close(1)
    assert fleet.counts()[0] == 1
    assert (agent.state, again.state) == ("offline", "connected")


def test_a_slot_is_used_again_only_when_no_handle_names_its_agent() -> None:
    fleet = fleet_with()
    kept = []
    for conn in range(1, 1_001):
        fleet.open(conn, "10.0.0.1")
        agent = introduce(fleet, conn, f"a{conn}")
        if conn % 10 == 0:
            kept.append(agent)
        fleet.feed(agent, "removed", 1)
        fleet.forget(agent)
        fleet.close(conn)
    del agent
    assert ids(kept) == [f"a{conn}" for conn in range(10, 1_001, 10)]
    assert all(agent.state == "offline" and not agent.is_known for agent in kept)
    assert len(fleet) == 0


def test_configs_of_the_longest_absent_go_first() -> None:
    fleet = fleet_with("a", "b", "c", "d")
    for agent_id in "abc":
        fleet.set_config(known(fleet, agent_id), b'{"n":%b}' % (b"1" * 100))
    fleet.set_config(known(fleet, "d"), b"{}" * 1_000)
    for now, agent_id in enumerate("bac"):
        leave(fleet, agent_id, now)
    assert ids(fleet.drop_configs(250)) == ["b"], "those that are connected do not count"
    assert ids(fleet.drop_configs(0)) == ["a", "c"]
    assert fleet.drop_configs(0) == []
    assert known(fleet, "d").config is not None


def test_closing_an_unknown_connection_changes_nothing() -> None:
    fleet = fleet_with("a")
    assert not fleet.close(99)
    fleet.watch(99)
    fleet.unwatch(99)
    assert fleet.counts() == (1, 1, 0)


def test_those_who_listen_are_watchers_and_all_that_speak_socketio() -> None:
    fleet = fleet_with("a", "b")
    fleet.open(3, "10.0.0.1")
    fleet.open(4, "10.0.0.1")
    fleet.open(5, "10.0.0.1", dialect="socketio")
    fleet.open(6, "10.0.0.1", dialect="socketio")
    fleet.watch(2)
    fleet.watch(3)
    introduce(fleet, 5, "c")
    assert fleet.listeners() == [2, 3, 5, 6]
    assert fleet.audience(unauthenticated=False) == [1, 2, 3, 5]
    assert fleet.audience(unauthenticated=True) == [1, 2, 3, 5, 6]
    assert fleet.conns() == [1, 2, 3, 4, 5, 6]
    assert dict(fleet.dialects()) == {"raw": 2, "socketio": 1}


def test_a_missing_cell_raises_is_counted_and_changes_nothing() -> None:
    fleet = fleet_with("a")
    agent = known(fleet, "a")
    fleet.feed(agent, "terminated", 0)
    with pytest.raises(RuntimeError, match="liveness: beat of a while terminated"):
        fleet.feed(agent, "beat", 0)
    assert (agent.state, fleet.missing_cells_total) == ("terminated", 1)


@pytest.mark.parametrize("place", range(5))
def test_a_table_with_an_unknown_word_is_refused(place: int) -> None:
    cell: list[object] = ["connected", "beat", "connected", "keep", "operator"]
    cell[place] = "nonsense"
    with pytest.raises(ValueError, match="nonsense"):
        Fleet([tuple(cell)], max_disconnected=1)  # type: ignore[list-item]


def test_a_table_with_a_cell_twice_is_refused() -> None:
    (state, what), step = next(iter(TABLE.items()))
    with pytest.raises(ValueError, match="two cells"):
        Fleet([(state, what, *step), (state, what, *step)], max_disconnected=1)


IDS = st.text(alphabet="abAB-1ßẞ\u017f", min_size=1, max_size=4)
STATES_THERE = st.sampled_from(["connected", "offline", "terminated"])
TIMES = st.none() | st.integers(-5_000, 5_000)
SORTS = (
    "id",
    "natural",
    "problem",
    "status",
    "state",
    "connected_at",
    "last_heartbeat",
    "since",
    "rtt",
)


def boot(rows: dict[str, tuple[str, int, int | None, bytes | None]]) -> ServerFleet:
    """Agents of an earlier process."""
    table = new_fleet()
    stored = []
    for number, (agent_id, row) in enumerate(rows.items(), 1):
        state, connected_at, heartbeat, config = row
        reason = None if state == "connected" else "operator"
        words = (state, reason, f"10.0.0.{len(agent_id)}", "raw", 1, "app_ready")
        rest = (connected_at, 0, None, heartbeat, None, None, 0, config)
        stored.append(StoredAgent(number, agent_id, *words, *rest))
    table.restore(stored, last_entry=0, age=0, now=0, times=(1 << 50, 0, 0))
    return ServerFleet(table, Behind(table, MemoryStore()))


@settings(deadline=None)
@given(
    st.dictionaries(
        IDS,
        st.tuples(
            STATES_THERE,
            st.integers(-5_000, 5_000),
            TIMES,
            st.sampled_from([None, b'{"labels":{"site":"x"}}', b'{"labels":{"site":"y","n":"1"}}']),
        ),
        max_size=12,
    ),
    st.sampled_from([*SORTS, *(f"-{sort}" for sort in SORTS)]),
    st.integers(1, 4),
    st.sampled_from(
        [{}, {"status": "online"}, {"states": ["terminated", "late"]}, {"reason": "operator"}]
    ),
    st.sampled_from([(), (("site", None),), (("site", "x"),), (("site", "y"), ("n", "1"))]),
    st.none() | IDS | st.sampled_from(["0.0.2", "SS", ""]),
)
def test_pages_hold_every_agent_that_fits_once_and_in_order(
    rows: dict[str, tuple[str, int, int | None, bytes | None]],
    sort: str,
    limit: int,
    fits: dict[str, Any],
    labels: tuple[tuple[str, str | None], ...],
    text: str | None,
) -> None:
    fleet = boot(rows)
    clock = SimpleNamespace(offsets=lambda: (0, 7_000_000, 9_000_000))
    live = SimpleNamespace(
        times=clock, unix=lambda ms: (ms + (7_000_000 if ms < 0 else 9_000_000)) / 1000
    )
    fleet.started(SimpleNamespace(live=live))  # type: ignore[arg-type]
    wanted = Filter(**fits, labels=labels, text=text)
    after, more = None, True
    while more:
        page, more, total = fleet.page(wanted, sort=sort, limit=limit, after=after)
        simple = paged(list(fleet.agents()), wanted, sort=sort, limit=limit, after=after)
        found = [agent.id for agent in page], more, total
        assert found == ([agent.id for agent in simple[0]], *simple[1:])
        after = mark_of(page[-1], sort) if page else None
    for offset in range(len(rows) + 2):
        page, more, total = fleet.page(wanted, sort=sort, limit=limit, offset=offset)
        in_steps = asyncio.run(fleet.read_page(wanted, sort=sort, limit=limit, offset=offset))
        assert [agent.id for agent in in_steps[0]] == [agent.id for agent in page]
        assert in_steps[1:] == (more, total)
        simple = paged(list(fleet.agents()), wanted, sort=sort, limit=limit, offset=offset)
        found = [agent.id for agent in page], more, total
        assert found == ([agent.id for agent in simple[0]], *simple[1:])


async def test_what_is_asked_of_a_hundred_thousand_is_done_in_many_turns_of_the_loop() -> None:
    rows: dict[str, tuple[str, int, int | None, bytes | None]] = {
        f"cam-{n * 7_919 % 100_003}": ("connected", 0, None, b'{"labels":{"site":"%d"}}' % (n % 9))
        for n in range(100_000)
    }
    fleet = boot(rows)
    live = SimpleNamespace(times=SimpleNamespace(offsets=lambda: (0, 0, 0)))
    fleet.started(SimpleNamespace(live=live))  # type: ignore[arg-type]
    in_order = sorted(rows, key=lambda each: int(each.removeprefix("cam-")))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    for sort, offset, shown in [
        ("natural", 0, in_order[:72]),
        ("natural", 50_000, in_order[50_000:50_072]),
        ("-problem", 99_990, in_order[9::-1]),
    ]:
        turns = 0
        page, more, total = await fleet.read_page(sort=sort, limit=72, offset=offset)
        assert ([agent.id for agent in page], total) == (shown, 100_000)
        assert more == (offset < 99_990)
        # Each looks at some thousand, whatever is asked for.
        assert turns > 20, (sort, offset)
    turns = 0
    facets = await fleet.read_facets(Filter(text="CAM"))
    assert facets.states == {"unknown": 100_000}
    assert sum(sum(states.values()) for _, states in facets.labels[0].values) == 100_000
    assert turns > 20
    turns = 0
    assert await fleet.read_connected_ids() == []
    assert turns > 20
    counting.cancel()


def test_what_is_heard_of_a_large_fleet_is_taken_in_steps_and_never_replaces_what_is_newer() -> (
    None
):
    count = 10_000
    fleet = fleet_with(*(f"a{n}" for n in range(count)))
    conns = list(range(1, count + 1))
    seen = LastSeen(conns, [7] * count, [7] * count, [5] * count)
    at, steps = fleet.hear_some(seen, 0), 1
    last = known(fleet, f"a{count - 1}")
    assert last.last_heartbeat is None
    # A heartbeat that comes between two steps is newer than what was read before.
    fleet.heard(last, heartbeat_ms=9, seen_ms=9)
    while at is not None:
        at, steps = fleet.hear_some(seen, at), steps + 1
    assert steps > 2
    assert (last.last_heartbeat, last.rtt_us) == (9, 5)
    assert {row.last_heartbeat for row in fleet.agents()} == {7, 9}
    # Of a later reading it is.
    assert fleet.hear_some(LastSeen([count], [11], [11], [6]), 0) is None
    assert (last.last_heartbeat, last.rtt_us) == (11, 6)


@pytest.mark.parametrize("offset", [0, 2])
def test_agents_that_go_while_a_page_is_made_are_left_out(offset: int) -> None:
    fleet = fleet_with(*(f"a{n}" for n in range(10)))
    scan = fleet.scan_page(
        Filter(), sort="natural", limit=4, after=None, offset=offset, times=(0, 0, 0)
    )
    while not scan.step():
        pass
    fleet.forget(known(fleet, "a3"))
    # In its slot, perhaps.
    fleet.open(100, "10.0.0.1")
    introduce(fleet, 100, "z")
    rows, more, total = scan.take()
    expected = [f"a{n}" for n in range(offset, offset + 4) if n != 3]
    assert (ids(rows), more, total) == (expected, True, 10)


def mark_of(agent: Any, sort: str) -> tuple[Any, str]:
    """What names an agent to the page behind it."""
    name = sort.removeprefix("-")
    if name in ("id", "natural"):
        return "", agent.id
    if name == "problem":
        return agent.state, agent.id
    return getattr(agent, name) or 0.0, agent.id


def test_facets_count_states_reasons_and_labels() -> None:
    rows: dict[str, tuple[str, int, int | None, bytes | None]] = {
        "a": ("offline", -1000, None, b'{"labels":{"site":"x","n":"1"}}'),
        "b": ("terminated", -1000, None, b'{"labels":{"site":"x"}}'),
        "c": ("terminated", -1000, None, b'{"labels":{"site":"y"}}'),
        "d": ("terminated", -1000, None, None),
    }
    fleet = boot(rows)
    found = fleet.facets()
    assert found.states == {"offline": 1, "terminated": 3}
    assert sum(found.reasons.values()) == sum(
        agent.reason_code is not None for agent in fleet.agents()
    )
    assert [(label.name, label.values, label.more) for label in found.labels] == [
        ("n", [("1", {"offline": 1})], 0),
        ("site", [("x", {"offline": 1, "terminated": 1}), ("y", {"terminated": 1})], 0),
    ]
    some = fleet.facets(Filter(labels=[("site", "x")], states=["terminated"]))
    assert (some.states, some.labels[0].values) == ({"terminated": 1}, [("x", {"terminated": 1})])


def test_facets_tell_so_many_values_of_a_label_and_count_the_rest() -> None:
    rows: dict[str, tuple[str, int, int | None, bytes | None]] = {
        f"a{n}": ("offline", -1000, None, b'{"labels":{"serial":"%d","site":"x"}}' % (n % 60))
        for n in range(61)
    }
    serial, site = boot(rows).facets().labels
    assert (len(serial.values), serial.more, serial.values[0]) == (50, 10, ("0", {"offline": 2}))
    assert site.values == [("x", {"offline": 61})]


def test_ids_and_statuses_are_those_of_the_rows() -> None:
    fleet = fleet_with("a", "b", "ü")
    leave(fleet, "b", 7)
    fleet.heard(known(fleet, "a"), heartbeat_ms=5)
    assert looked_at(fleet.scan_connected()) == ids(fleet.connected()) == ["a", "ü"]
    statuses = looked_at(fleet.scan_statuses())
    assert statuses == [
        (row.agent_id, row.status, row.reason_code, row.last_heartbeat) for row in fleet.agents()
    ]
    assert {(status, last) for _, status, _, last in statuses} == {
        ("online", 5),
        ("online", None),
        ("offline", None),
    }


def test_states_are_counted_zeros_included() -> None:
    fleet = fleet_with("a", "b")
    leave(fleet, "b", 1)
    states = dict(fleet.states())
    assert (states["connected"], states["offline"], states["late"]) == (1, 1, 0)
    assert len(states) == 7
