import asyncio
from typing import cast

import pytest

from dscore import core
from dscore.server import backlog as backlog_module
from dscore.server.backlog import Backlog
from fake_core import CoreConfig, HttpGone, HttpRequest, Message, Opened, ReactorPool
from faked import eventually

URGENT = frozenset({HttpRequest, HttpGone})


class Desk:
    """A pool, its backlog, and what was dealt with."""

    def __init__(self) -> None:
        self.pool = ReactorPool(CoreConfig())
        self.done: list[object] = []
        self.slices: list[int] = []
        self.begun = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.backlog = Backlog(
            cast(core.ReactorPool, self.pool),
            loop,
            self.deal_with,  # type: ignore[arg-type]
            URGENT,
            max_bytes=100_000,
        )

    def deal_with(self, events: list[object]) -> None:
        self.done += events
        self.slices.append(len(events))
        self.begun.set()


async def test_events_are_dealt_with_in_order_and_in_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog_module, "SLICE", 10)
    desk = Desk()
    events = [Opened(n) for n in range(95)]
    desk.pool.push(*events)
    await eventually(lambda: len(desk.done) == 95)
    assert desk.done == events
    assert max(desk.slices) == 10
    desk.backlog.close()


async def test_requests_overtake_and_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "SLICE", 10)
    desk = Desk()
    request, gone = HttpRequest(500, "GET", "/"), HttpGone(500)
    desk.pool.push(*(Opened(n) for n in range(95)), request, gone)
    await eventually(lambda: len(desk.done) == 97)
    assert desk.done[:2] == [request, gone]
    desk.backlog.close()


async def test_a_request_overtakes_what_was_taken_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backlog_module, "SLICE", 1)
    desk = Desk()
    desk.pool.push(*(Opened(n) for n in range(1000)))
    await desk.begun.wait()
    request = HttpRequest(5000, "GET", "/")
    desk.pool.push(request)
    await eventually(lambda: request in desk.done)
    assert desk.done.index(request) < 20
    desk.backlog.close()


async def test_past_high_water_events_stay_in_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "SLICE", 1)
    monkeypatch.setattr(backlog_module, "HIGH_WATER", 20)
    monkeypatch.setattr(backlog_module, "LOOKAHEAD", 10)
    desk = Desk()
    longest = 0
    desk.pool.push(*(Opened(n) for n in range(200)))
    while len(desk.done) < 200:
        await asyncio.sleep(0)
        longest = max(longest, len(desk.backlog))
    assert longest <= 30
    desk.backlog.close()


async def test_what_waits_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "SLICE", 1)
    monkeypatch.setattr(backlog_module, "LOOKAHEAD", 10)
    desk = Desk()
    longest = 0
    desk.pool.push(*(Message(n, "x", b"x" * 10_000) for n in range(100)))
    while len(desk.done) < 100:
        await asyncio.sleep(0)
        longest = max(longest, len(desk.backlog))
    assert longest <= 20
    desk.backlog.close()


async def test_after_close_nothing_is_dealt_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "SLICE", 1)
    desk = Desk()
    desk.pool.push(*(Opened(n) for n in range(100)))
    await eventually(lambda: desk.done)
    desk.backlog.close()
    done = len(desk.done)
    await asyncio.sleep(0.01)
    assert len(desk.done) == done
