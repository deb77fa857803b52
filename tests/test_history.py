"""The fleet's history: rings in memory, minutes in the store."""

from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from dscore.history import STATES, Counter, Rings, Sample
from dscore.server.server import Server
from dscore.store import MemoryStore, Minute, open_store
from dscore.store.rows import SAMPLE
from faked import eventually
from keeper import kept_in, opened

DAY = 86_400_000
NOW = 1_700_000_000_000 // 60_000 * 60_000


def sample(at: int, *, connects: int = 0, disconnects: int = 0) -> Sample:
    return Sample(at, (at % 97, *[0] * (len(STATES) - 1)), connects, disconnects)


def filled(seconds: int) -> tuple[Rings, list[Minute]]:
    rings = Rings()
    added = (rings.add(sample(NOW + n * 1000, connects=1)) for n in range(0, seconds, 5))
    return rings, [minute for minute in added if minute is not None]


def test_an_hour_of_samples_and_a_day_of_minutes_are_held() -> None:
    rings, minutes = filled(26 * 3600)
    hour, day = rings.read("hour"), rings.read("day")
    assert (len(hour), len(day)) == (720, 1440)
    assert hour[-1].at == NOW + 26 * 3_600_000 - 5_000
    assert day[-1] == sample(minutes[-1].number * 60_000 + 55_000, connects=12)
    assert all(later.at - one.at == 60_000 for one, later in pairwise(day))


def test_only_what_is_later_is_read() -> None:
    rings, _ = filled(60)
    assert [each.at - NOW for each in rings.read("hour", NOW + 45_000)] == [50_000, 55_000]


def test_another_process_goes_on_where_the_last_has_ended() -> None:
    rings, minutes = filled(2 * 3600 + 7)
    last = rings.close_minute()
    assert last is not None
    restored = Rings()
    restored.restore([*minutes, last], NOW + 2 * 3_600_000 + 60_000)
    # The hour before the restore, of which the last minute was hardly filled.
    assert restored.read("hour")[-1] == rings.read("hour")[-1]
    assert restored.read("day") == rings.read("day")


def test_a_minute_goes_on_over_a_restart_within_it() -> None:
    rings, _ = filled(20)
    before = rings.close_minute()
    assert before is not None
    restored = Rings()
    restored.restore([before], NOW + 20_000)
    assert restored.add(sample(NOW + 25_000)) is None
    whole = restored.close_minute()
    assert whole is not None
    assert (whole.number, whole.samples[: len(before.samples)]) == (before.number, before.samples)
    assert len(whole.samples) == len(before.samples) + SAMPLE.size
    assert [each.at for each in restored.read("day")] == [NOW + 25_000]


def test_what_is_too_old_or_of_a_time_that_has_not_come_is_left() -> None:
    _, minutes = filled(600)
    restored = Rings()
    restored.restore(minutes, NOW + DAY + 300_000)
    assert all(each.at > NOW + 300_000 for each in restored.read("day"))
    assert restored.read("hour") == []
    early = Rings()
    early.restore(minutes, NOW + 100_000)
    assert [each.at for each in early.read("hour")][-1] == NOW + 100_000


def test_times_grow_when_the_clock_is_set_back() -> None:
    rings, _ = filled(300)
    rings.add(sample(NOW + 120_000))
    for span in ("hour", "day"):
        times = [each.at for each in rings.read(span)]  # type: ignore[arg-type]
        assert times == sorted(set(times))
        assert times[-1] <= NOW + 120_000


def test_introductions_follow_from_who_is_there_and_who_has_gone() -> None:
    counter = Counter()
    first = counter.sample(1, {"connected": 5}, 5, 0)
    assert (first.connects, first.disconnects, first.states[0]) == (5, 0, 5)
    # Two went, one of them came back.
    assert counter.sample(2, {"connected": 4}, 4, 2)[2:] == (1, 2)
    assert counter.sample(3, {}, 4, 2)[2:] == (0, 0)


async def test_a_store_keeps_it_over_restarts(tmp_path: Path) -> None:
    path = str(tmp_path / "dscore.db")
    async with Server(store=open_store(path)) as server:
        (first,) = server.fleet.history("hour")
        assert server.fleet.history("day") == []
    async with Server(store=open_store(path)) as server:
        one, two = server.fleet.history("hour")
        assert one == first
        assert two.at > one.at
        # The minute that both are in is not over.
        ended = [] if one.at // 60_000 == two.at // 60_000 else [first.at]
        assert [each.at for each in server.fleet.history("day")] == ended
        host, port = server.address
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
            document = (await client.get("/api/v1/history")).json()
        assert document["at"] == [one.at, two.at]


async def test_damaged_minutes_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "dscore.db"
    whole = Minute(7, SAMPLE.pack(NOW, *range(9)))
    async with opened(path) as (keeper, _):
        keeper.behind.keep_history(whole, 0)
        keeper.behind.keep_history(Minute(8, b"odd"), 0)
        keeper.behind.keep_history(Minute(9, b""), 0)
    async with opened(path) as (keeper, loaded):
        assert loaded.history == [whole]
        assert keeper.store.damaged_total == 2
        keeper.behind.keep_history(Minute(2000, whole.samples), 8)
    assert [each.number for each in (await kept_in(path)).history] == [2000]


async def test_no_more_waits_for_a_disk_than_a_day(tmp_path: Path) -> None:
    async with opened(tmp_path / "dscore.db") as (keeper, _):
        for number in range(3000):
            keeper.behind.keep_history(Minute(number, b"x" * SAMPLE.size), number - 1440)
        assert keeper.health().waiting == 1441
    kept = (await kept_in(tmp_path / "dscore.db")).history
    assert [each.number for each in kept] == [*range(1559, 3000)]


async def test_samples_are_taken_as_time_goes_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dscore.server.sampler.INTERVAL", 0.01)
    async with Server(store=MemoryStore()) as server:
        await eventually(lambda: len(server.fleet.history("hour")) >= 3, 20)
