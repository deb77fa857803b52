import orjson
import pytest

from clocks import Hands
from dscore.store import Entry, MemoryStore, Session
from dscore.store.rows import SERVER
from dscore.store.timeline import TIMELINE_LENGTH
from outboxes import taken

LATER = 2_000_000_000_000


@pytest.fixture
def store() -> MemoryStore:
    store = MemoryStore()
    store.put("a", Session())
    return store


def queue(store: MemoryStore, *texts: bytes, limit: int = 100, max_bytes: int = 1000) -> int:
    return sum(store.queue("a", text, limit=limit, max_bytes=max_bytes) for text in texts)


def test_outbox_is_taken_in_order_and_once(store: MemoryStore) -> None:
    queue(store, b"1", b"2", b"3")
    assert taken(store, "a") == [b"1", b"2", b"3"]
    assert list(taken(store, "a")) == []


def test_outbox_drops_and_counts_the_oldest_past_the_limit(store: MemoryStore) -> None:
    assert queue(store, b"1", b"2", b"3", limit=2) == 1
    assert taken(store, "a") == [b"2", b"3"]
    session = store.get("a")
    assert session is not None
    assert session.dropped == 1


def test_outbox_drops_the_oldest_past_its_bytes(store: MemoryStore) -> None:
    assert queue(store, b"1" * 600, b"2" * 600) == 1
    assert taken(store, "a") == [b"2" * 600]


def test_outbox_keeps_one_message_of_any_size(store: MemoryStore) -> None:
    assert queue(store, b"1" * 5000) == 0


def test_outbox_limit_of_nothing_keeps_nothing(store: MemoryStore) -> None:
    assert queue(store, b"1", limit=0) == 1
    assert list(taken(store, "a")) == []


def test_a_dropped_session_is_gone_with_its_outbox(store: MemoryStore) -> None:
    queue(store, b"1")
    store.drop("a")
    store.drop("a")
    assert store.get("a") is None
    assert list(taken(store, "a")) == []


def test_expires_only_sessions_of_agents_that_left_before(store: MemoryStore) -> None:
    for agent_id, left_at in (("b", 10.0), ("c", 20.0)):
        store.put(agent_id, Session(left_at=left_at))
    assert store.expire(15.0) == 1
    assert [name for name in "abc" if store.get(name)] == ["a", "c"]


async def test_a_timeline_is_read_newest_first_in_pages() -> None:
    store = MemoryStore()
    for at in range(5):
        store.append("a", at, "connected", b"{}")
        store.append("b", at, "connected", b"{}")
    newest = await store.timeline("a", limit=2)
    assert [entry.at for entry in newest] == [4, 3]
    rest = await store.timeline("a", limit=9, before=newest[-1].number)
    assert [entry.at for entry in rest] == [2, 1, 0]


async def test_a_timeline_of_one_entry_is_one_like_any_other() -> None:
    store = MemoryStore()
    store.append("a", 7, "connected", b"{}")
    assert await store.timeline("a", limit=9) == [Entry(1, "a", 7, "connected", b"{}")]
    assert await store.timeline("a", limit=9, before=1) == []


async def test_a_timeline_is_bounded_by_length() -> None:
    store = MemoryStore()
    for at in range(TIMELINE_LENGTH + 5):
        store.append("a", at, "connected", b"{}")
    assert len(await store.timeline("a", limit=1000)) == TIMELINE_LENGTH


async def test_a_timeline_is_bounded_by_age_and_not_by_what_a_wall_clock_says() -> None:
    hands = Hands()
    store = MemoryStore(hands.age_clock())
    store.append("a", LATER, "connected", b"{}")
    store.prune(store.clock.now() - 60_000)
    hands.pass_by(59)
    store.append("a", 0, "missed", b"{}")
    store.prune(store.clock.now() - 60_000)
    assert len(await store.timeline("a", limit=9)) == 2
    hands.pass_by(2)
    store.prune(store.clock.now() - 60_000)
    assert [entry.at for entry in await store.timeline("a", limit=9)] == [0]


async def test_a_forgotten_agent_has_no_session_and_no_timeline(store: MemoryStore) -> None:
    queue(store, b"1")
    store.append("a", 1, "connected", b"{}")
    store.forget(["a", "b"])
    assert store.get("a") is None
    assert store.undelivered() == 0
    assert await store.timeline("a", limit=9) == []


def test_counts_what_is_undelivered(store: MemoryStore) -> None:
    queue(store, b"1", b"2", b"3", limit=2)
    store.put("b", Session())
    store.queue("b", b"4", limit=9, max_bytes=99)
    assert store.undelivered() == 3
    taken(store, "a")
    assert store.undelivered() == 1
    store.drop("b")
    assert store.undelivered() == 0


async def test_timelines_of_all_agents_are_bounded_in_bytes(store: MemoryStore) -> None:
    store.bound(outboxes=1 << 30, history=100_000)
    store.append(SERVER, 1, "started", b"{}")
    store.append("quiet", 1, "connected", b"{}")
    for number in range(200):
        store.append(f"a-{number}", 1, "connected", orjson.dumps({"reason": "x" * 1000}))
    kept = [number for number in range(200) if await store.timeline(f"a-{number}", limit=9)]
    # Those that grew last stay, and the server's own whatever its age.
    assert kept == list(range(200 - len(kept), 200))
    assert 80 < len(kept) < 100
    assert await store.timeline("quiet", limit=9) == []
    assert len(await store.timeline(SERVER, limit=9)) == 1
    assert store.health().lost_total == 201 - len(kept)
