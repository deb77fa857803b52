from dscore import registry as registry_module
from dscore.messages import WatchFilter
from dscore.registry import AgentRecord, Counts, Registry


def registry_with(*agents: str) -> Registry:
    registry = Registry()
    for conn, agent_id in enumerate(agents, 1):
        registry.open(conn, "10.0.0.1", None)
        registry.introduce_agent(conn, agent_id, 0).record.state = "connected"
    return registry


def leave(registry: Registry, agent_id: str, now: int) -> AgentRecord:
    record = registry.agents[agent_id]
    conn = record.conn
    record.state = "offline"
    registry.release(record, now)
    registry.close(conn)
    return record


def test_counts_unauthenticated_agents_and_watchers_in_one_reading() -> None:
    registry = registry_with("a", "b")
    registry.open(3, "10.0.0.1", None)
    registry.open(4, "10.0.0.1", None)
    registry.watch(4, WatchFilter())
    assert registry.counts() == Counts(total=4, authenticated=3, unauthenticated=1)


def test_takeover_names_the_connection_it_ends_and_raises_the_generation() -> None:
    registry = registry_with("a")
    registry.open(2, "10.0.0.2", None)
    record, previous = registry.introduce_agent(2, "a", 5)
    assert (previous, record.conn, record.generation, record.ip) == (1, 2, 2, "10.0.0.2")
    assert registry.owner(1) is None
    assert registry.owner(2) is record


def test_end_of_a_stale_connection_leaves_its_successor_alone() -> None:
    registry = registry_with("a")
    registry.open(2, "10.0.0.1", None)
    registry.introduce_agent(2, "a", 0)
    registry.close(1)
    assert registry.owner(2) is registry.agents["a"]
    assert registry.counts().total == 1
    assert [record.agent_id for record in registry.connected()] == ["a"]


def test_connected_skips_agents_that_were_released() -> None:
    registry = registry_with("a", "b")
    registry.release(registry.agents["a"], 0)
    assert [record.agent_id for record in registry.connected()] == ["b"]
    assert registry.counts().total == 2, "the connection counts until it is closed"


def test_an_agent_that_watches_stays_an_agent() -> None:
    registry = registry_with("a")
    registry.watch(1, WatchFilter())
    assert registry.owner(1) is registry.agents["a"]
    assert 1 in registry.watchers
    registry.close(1)
    assert registry.watchers == {}
    assert registry.is_empty()


def test_forgets_agents_that_are_gone_for_long() -> None:
    registry = registry_with("a", "b", "c")
    leave(registry, "a", 10)
    leave(registry, "b", 20)
    assert registry.forget_absent(15) == ["a"]
    assert set(registry.agents) == {"b", "c"}


def test_does_not_forget_an_agent_that_may_still_come_back() -> None:
    registry = registry_with("a")
    leave(registry, "a", 10).state = "reconnecting"
    assert registry.forget_absent(15) == []


def test_does_not_forget_an_agent_that_came_back() -> None:
    registry = registry_with("a")
    leave(registry, "a", 10)
    registry.open(7, "10.0.0.1", None)
    registry.introduce_agent(7, "a", 11)
    assert registry.forget_absent(1_000) == []


def test_bounds_how_many_absent_agents_are_remembered(monkeypatch) -> None:
    monkeypatch.setattr(registry_module, "MAX_ABSENT", 1)
    registry = registry_with("a", "b", "c")
    for agent_id in "abc":
        leave(registry, agent_id, 10)
    assert registry.forget_absent(0) == ["a", "b"]
    assert set(registry.agents) == {"c"}


def test_closing_an_unknown_connection_changes_nothing() -> None:
    registry = registry_with("a")
    registry.close(99)
    assert registry.counts().total == 1


def test_those_who_listen_are_watchers_and_everybody_over_socketio() -> None:
    registry = registry_with("a", "b")
    for conn, dialect in ((3, "raw"), (4, "raw"), (5, "socketio"), (6, "socketio")):
        registry.open(conn, "10.0.0.1", None, dialect=dialect)
    registry.watch(2, WatchFilter())
    registry.watch(3, WatchFilter())
    registry.introduce_agent(5, "c", 0)
    assert sorted(registry.listeners()) == [2, 3, 5, 6]
