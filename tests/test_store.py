import orjson
import pytest

from clocks import Hands
from dscore.store import Entry, MemoryStore
from dscore.store.rows import SERVER
from dscore.store.timeline import TIMELINE_LENGTH

LATER = 2_000_000_000_000


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


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


async def test_a_forgotten_agent_has_no_timeline(store: MemoryStore) -> None:
    store.append("a", 1, "connected", b"{}")
    store.forget(["a", "b"])
    assert await store.timeline("a", limit=9) == []


async def test_timelines_of_all_agents_are_bounded_in_bytes(store: MemoryStore) -> None:
    store.bound(history=100_000)
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
