"""The clocks: ages that no step of the wall clock touches, and times for people that follow it."""

import pytest

from clocks import Hands
from dscore.clock import JITTER, AgeClock, WallClock

YEARS = 20 * 365 * 86_400.0


def wall_clock(hands: Hands) -> WallClock:
    def pool_ms() -> int:
        return round(hands.monotonic() * 1000)

    return WallClock(pool_ms, hands.wall, hands.monotonic)


@pytest.mark.parametrize("step", [YEARS, -YEARS, 7200.0, -7200.0, 40 * 86_400.0])
def test_an_age_knows_nothing_of_the_wall_clock(step: float) -> None:
    hands = Hands()
    clock = hands.age_clock()
    began = clock.now()
    hands.pass_by(5)
    hands.set_wall(step)
    assert clock.now() - began == 5000


def test_an_age_goes_on_in_the_next_process() -> None:
    first = Hands().age_clock()
    later = Hands(monotonic_s=3.0, wall_s=0.0)
    clock = later.age_clock()
    clock.resume(first.now())
    later.pass_by(2)
    assert clock.now() - first.now() == 2000


def test_time_without_looking_is_no_age() -> None:
    hands = Hands()
    clock = AgeClock(hands.monotonic, hands.wall)
    began = clock.now()
    hands.pass_by(3600)
    clock.skip(3600)
    assert clock.now() == began


@pytest.mark.parametrize("step", [YEARS, -YEARS, 7200.0, -1.5])
def test_a_step_of_the_wall_clock_is_noticed_once_with_its_size(step: float) -> None:
    hands = Hands()
    clock = wall_clock(hands)
    hands.pass_by(1)
    assert clock.read() is None
    was = hands.wall()
    hands.set_wall(step)
    hands.pass_by(1)
    found = clock.read()
    assert found is not None
    assert (found.was, found.now) == pytest.approx((was + 1, was + 1 + step))
    assert found.seconds == pytest.approx(step)
    assert clock.read() is None
    assert clock.unix_ms(round(hands.monotonic() * 1000)) == round(hands.wall() * 1000)


def test_a_clock_that_is_slewed_is_followed_and_not_set() -> None:
    hands = Hands()
    clock = wall_clock(hands)
    for _ in range(10_000):
        hands.pass_by(1)
        hands.set_wall(0.0005)
        assert clock.read() is None
    shown = clock.unix_ms(round(hands.monotonic() * 1000))
    assert shown == pytest.approx(round(hands.wall() * 1000), abs=JITTER)


@pytest.mark.parametrize("boot", [-YEARS, 0.0, YEARS])
@pytest.mark.parametrize("step", [-YEARS, YEARS])
def test_what_was_kept_is_shown_as_it_was_whatever_the_clock_did(boot: float, step: float) -> None:
    hands = Hands()
    alive_at = round(hands.wall() * 1000)
    heartbeat_at = alive_at - 5000
    hands.pass_by(60)
    hands.set_wall(boot)
    clock = wall_clock(hands)
    clock.restore(alive_at)
    kept = clock.kept_ms(heartbeat_at)
    assert kept <= round(hands.monotonic() * 1000)
    hands.pass_by(1)
    hands.set_wall(step)
    clock.read()
    assert clock.unix_ms(kept) == heartbeat_at


def test_nothing_that_was_kept_lies_ahead() -> None:
    hands = Hands()
    clock = wall_clock(hands)
    clock.restore(None)
    assert clock.kept_ms(round((hands.wall() + YEARS) * 1000)) == round(hands.monotonic() * 1000)
