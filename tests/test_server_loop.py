import asyncio
from itertools import count, pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from dscore.policy.liveness import new_fleet
from dscore.server import loop as loop_module
from dscore.server.loop import Loop
from fake_core import CoreConfig, HttpGone, HttpRequest, Message, Opened, ReactorPool
from faked import eventually

URGENT = (HttpRequest, HttpGone)


def said(count: int, size: int = 1) -> list[Message]:
    """Messages, which are Python's to deal with."""
    return [Message(conn, "x", b"x" * size) for conn in range(count)]


class Desk:
    """A loop of its own, and what was dealt with. It stands for all that decides."""

    def __init__(self) -> None:
        self.pool = ReactorPool(CoreConfig())
        self.fleet = new_fleet()
        self.done: list[object] = []
        self.slices: list[int] = []
        self.noted = 0
        self.begun = asyncio.Event()
        self.notes = SimpleNamespace(write_down=self._write_down)
        config = SimpleNamespace(limits=SimpleNamespace(input_bytes=400_000))
        parts = {"config": config, "clock": SimpleNamespace(read=lambda: None)}
        store = SimpleNamespace(changed=lambda: None)
        live: Any = SimpleNamespace(pool=self.pool, fleet=self.fleet, store=store, **parts)
        timers: Any = SimpleNamespace(rearm=lambda now: None)
        dispatch: Any = self
        self.loop = Loop(live, dispatch, timers, URGENT)

    def want(self) -> None:
        self.slices.append(0)

    def handle(self, event: object, now: int) -> None:
        self.done.append(event)
        if self.slices:
            self.slices[-1] += 1
        self.begun.set()

    def _write_down(self, now: int) -> None:
        self.noted += 1


async def test_events_are_dealt_with_in_order_and_for_so_long_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An event takes a tenth of a turn.
    monkeypatch.setattr(loop_module, "monotonic_ns", count(0, loop_module.TURN_NS // 10).__next__)
    desk = Desk()
    events = said(95)
    desk.pool.push(*events)
    await eventually(lambda: len(desk.done) == 95)
    assert desk.done == events
    assert max(desk.slices) == 10
    desk.loop.close()


async def test_requests_overtake_and_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "TURN_NS", 0)
    desk = Desk()
    request, gone = HttpRequest(500, "GET", "/"), HttpGone(500)
    desk.pool.push(*said(95), request, gone)
    await eventually(lambda: len(desk.done) == 97)
    assert desk.done[:2] == [request, gone]
    desk.loop.close()


async def test_a_request_overtakes_what_was_taken_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop_module, "TURN_NS", 0)
    desk = Desk()
    desk.pool.push(*said(1000))
    await desk.begun.wait()
    request = HttpRequest(5000, "GET", "/")
    desk.pool.push(request)
    await eventually(lambda: request in desk.done)
    assert desk.done.index(request) < 20
    desk.loop.close()


async def test_past_high_water_events_stay_in_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "TURN_NS", 0)
    monkeypatch.setattr(loop_module, "HIGH_WATER", 20)
    monkeypatch.setattr(loop_module, "LOOKAHEAD", 10)
    desk = Desk()
    longest = 0
    desk.pool.push(*said(200))
    while len(desk.done) < 200:
        await asyncio.sleep(0)
        longest = max(longest, len(desk.loop))
    assert longest <= 30
    desk.loop.close()


async def test_what_waits_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "TURN_NS", 0)
    monkeypatch.setattr(loop_module, "LOOKAHEAD", 10)
    desk = Desk()
    longest = 0
    desk.pool.push(*said(100, 10_000))
    while len(desk.done) < 100:
        await asyncio.sleep(0)
        longest = max(longest, len(desk.loop))
    assert longest <= 20
    desk.loop.close()


async def test_after_close_nothing_is_dealt_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "TURN_NS", 0)
    desk = Desk()
    desk.pool.push(*said(100))
    await eventually(lambda: desk.done)
    desk.loop.close()
    done = len(desk.done)
    await asyncio.sleep(0.01)
    assert len(desk.done) == done


async def test_the_fleet_applies_what_needs_no_decision() -> None:
    desk = Desk()
    message = said(1)[0]
    desk.pool.push(*(Opened(n) for n in range(100)), message, *(Opened(n) for n in range(100, 150)))
    await eventually(lambda: desk.fleet.counts() == (150, 0, 150))
    assert desk.done == [message]
    assert desk.noted == 2, "notes are taken before a decision, and at the end"
    desk.loop.close()


async def test_a_slice_bounds_what_the_fleet_applies_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "SLICE", 10)
    monkeypatch.setattr(loop_module, "TURN_NS", 0)
    desk = Desk()
    desk.pool.push(*(Opened(n) for n in range(95)))
    seen = set()
    while desk.fleet.counts()[0] < 95:
        await asyncio.sleep(0)
        seen.add(desk.fleet.counts()[0])
    assert max(b - a for a, b in pairwise(sorted({0, *seen}))) == 10
    desk.loop.close()
