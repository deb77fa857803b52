"""Writing behind a store that keeps nothing: the fleet has the timelines."""

import outboxes
from clocks import Hands
from dscore.policy.liveness import new_fleet
from dscore.store import Entry, MemoryStore
from dscore.store.behind import Behind

LATER = 2_000_000_000_000


async def test_a_timeline_is_bounded_by_age_and_not_by_what_a_wall_clock_says() -> None:
    hands, fleet = Hands(), new_fleet()
    behind = Behind(fleet, MemoryStore(hands.age_clock()))
    await behind.start(lambda: (0, 0, 0))
    agent = outboxes.introduced(fleet, "a")
    fleet.record(agent, LATER, "connected", b"{}")
    behind.prune(behind.clock.now() - 60_000)
    hands.pass_by(59)
    fleet.record(agent, 0, "missed", b"{}")
    behind.prune(behind.clock.now() - 60_000)
    assert len(await behind.timeline(agent, limit=9)) == 2
    hands.pass_by(2)
    behind.prune(behind.clock.now() - 60_000)
    assert await behind.timeline(agent, limit=9) == [Entry(2, "a", 0, "missed", b"{}")]
    await behind.close()


async def test_nothing_waits_to_be_written() -> None:
    fleet = new_fleet()
    behind = Behind(fleet, MemoryStore())
    behind.bound(history=1000)
    await behind.start(lambda: (0, 0, 0))
    outboxes.left(fleet, "a")
    outboxes.queued(fleet, "a", b"1")
    behind.changed(urgent=True)
    await behind.written()
    for at in range(100):
        fleet.record(outboxes.introduced(fleet, f"a-{at}"), at, "connected", b"{}")
    health = behind.health()
    assert (health.is_ok, health.waiting, health.written_total) == (True, 0, 0)
    assert health.lost_total > 50
    await behind.close()
