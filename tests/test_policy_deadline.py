"""`shutdown.deadline`: what is cut, in which order, and that the end comes in time, for fleets that
answer, are mute and ask for more. Time is virtual."""

import asyncio
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fake_core
from dscore.config import Config
from dscore.policy.deadline import MARGIN_MS, Deadline, Times, needed, short_of, wanted
from dscore.policy.drain import DrainReport
from fake_core import Closed, Outcome
from faked import FakeServer
from virtual_loop import VirtualLoop

ASKED = Times(timeout=10, max_extension=20, notice=2, spread=30, close_timeout=2)


@pytest.mark.parametrize(
    ("seconds", "given"),
    [
        (None, (10, 20, 2)),
        (60, (10, 20, 2)),
        (31, (10, 20, 2)),
        (21, (10, 10, 2)),
        (11, (10, 0, 2)),
        (6, (5, 0, 2)),
        (2, (1, 0, 1)),
        (0, (0, 0, 0)),
    ],
)
def test_the_wait_for_answers_is_cut_last(
    seconds: float | None, given: tuple[float, float, float]
) -> None:
    planned = Deadline(500, seconds).plan("terminate", ASKED, 500)
    assert (planned.timeout, planned.max_extension, planned.notice) == given


@pytest.mark.parametrize(
    ("seconds", "notice", "spread"),
    [(None, 2, 30), (35, 2, 30), (30, 2, 25), (5, 2, 0), (4, 1, 0), (3, 0, 0), (0, 0, 0)],
)
def test_a_restart_spreads_less_first_then_gives_less_notice(
    seconds: float | None, notice: float, spread: float
) -> None:
    planned = Deadline(0, seconds).plan("restart", ASKED, 0)
    assert (planned.notice, planned.spread) == (notice, spread)


def test_what_will_be_cut_is_known_at_the_start() -> None:
    def shutdown(**given: Any) -> Any:
        return Config.model_validate({"shutdown": given}).shutdown

    assert needed(shutdown()) == 10 + 20 + 2 * 2 + 0.5 + 1
    assert short_of(shutdown()) == []
    assert short_of(shutdown(deadline=45)) == []
    assert short_of(shutdown(deadline=34)) == ["close_timeout"]
    assert short_of(shutdown(deadline=20)) == ["max_extension"]
    assert short_of(shutdown(deadline=5)) == ["timeout", "max_extension"]
    assert short_of(shutdown(intent="restart", deadline=5, spread=60)) == ["spread"]
    assert wanted(shutdown(timeout=3), 7).timeout == 7


class Agent(NamedTuple):
    """What one does when it is asked to stop."""

    answers_after: float
    """Seconds; past what it is given it is mute."""
    asks_for_more: bool
    closes: bool
    """Whether it ever ends a closing handshake."""


class LivingPool(fake_core.ReactorPool):
    """Plays the reactors' part in a drain, as PROTOCOL.md §6 has it."""

    fleet: dict[int, Agent]

    def now_ms(self) -> int:
        return round(asyncio.get_running_loop().time() * 1000)

    def terminate_all(
        self,
        timeout_ms: int,
        notice_ms: int,
        max_extension_ms: int,
        reason: str = "Server shutting down",
    ) -> None:
        super().terminate_all(timeout_ms, notice_ms, max_extension_ms, reason)
        for conn, agent in self.fleet.items():
            seconds = timeout_ms / 1000
            if agent.asks_for_more:
                longest = seconds + max_extension_ms / 1000
                seconds = max(seconds, min(agent.answers_after, longest))
            if agent.answers_after <= seconds:
                self._later(agent.answers_after, conn, "acked", 1000, "Client terminated")
            else:
                self._later(seconds, conn, "timed_out", 1001, "Server shutdown timeout")

    def close_all(
        self,
        code: int,
        reason: str,
        cause: str = "",
        *,
        spread_ms: int = 0,
        spare_watchers: bool = False,
    ) -> None:
        self.commands.append(("close_all", code, reason, cause, spread_ms))
        open_ = sorted(self.open)
        for index, conn in enumerate(open_):
            after = spread_ms / 1000 * index / len(open_)
            self._call(after, conn, Closed(conn, code, reason, "server", cause))

    def _later(self, after: float, conn: int, outcome: Any, code: int, reason: str) -> None:
        end = Closed(conn, code, reason, "server", "shutdown")
        self._call(after, conn, Outcome(conn, "r", outcome, latency_ms=after * 1000), end)

    def _call(self, after: float, conn: int, *events: object) -> None:
        agent = self.fleet[conn]
        happens = [one for one in events if agent.closes or not is_end(one)]
        asyncio.get_running_loop().call_later(after, self._happen, happens)

    def _happen(self, events: list[object]) -> None:
        if not self.closed and events:
            self.push(*events)


def is_end(event: object) -> bool:
    return type(event).__name__ == "Closed"


class LivingServer(FakeServer):
    _core = types.SimpleNamespace(**{**vars(fake_core), "ReactorPool": LivingPool})  # type: ignore[assignment]


@contextmanager
def virtual_time() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    try:
        with mock.patch("dscore.server.clock.elapsed", loop.time):
            yield loop
    finally:
        loop.close()


async def shut_down(
    given: dict[str, Any], agents: list[Agent], intent: Any
) -> tuple[DrainReport, float]:
    """The report, and how long all of it took, the server's close included."""
    loop = asyncio.get_running_loop()
    config = Config.model_validate({"shutdown": given})
    server = LivingServer(config)
    LivingPool.fleet = dict(enumerate(agents, 1))
    await server.start()
    for conn in LivingPool.fleet:
        await server.introduce(conn, f"a{conn}")
    began = loop.time()
    report = await server.drain(intent=intent)
    await server.close()
    return report, loop.time() - began


seconds = st.floats(0, 30, allow_nan=False).map(lambda value: round(value, 2))
agents = st.builds(Agent, seconds, st.booleans(), st.booleans())
SLOW = [HealthCheck.too_slow]


@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(
    deadline=st.one_of(st.none(), st.floats(0, 60, allow_nan=False)),
    given=st.fixed_dictionaries(
        {
            "timeout": seconds,
            "max_extension": seconds,
            "notice": st.floats(0, 5),
            "spread": seconds,
            "close_timeout": st.floats(0, 5),
        }
    ),
    fleet=st.lists(agents, max_size=5),
    intent=st.sampled_from(["terminate", "restart"]),
)
def test_a_shutdown_ends_in_time_and_cuts_answers_last(
    deadline: float | None, given: dict[str, float], fleet: list[Agent], intent: str
) -> None:
    with virtual_time() as loop:
        whole = {**given, "deadline": deadline}
        report, took = loop.run_until_complete(shut_down(whole, fleet, intent))
    assert report.total == len(fleet)
    if deadline is None:
        assert report.cut == []
        given_to_answers = float("inf")
    else:
        margin = min(MARGIN_MS / 1000, deadline / 2)
        # Half of the margin is the store's.
        assert took <= deadline - margin / 2 + 0.01
        given_to_answers = deadline - margin
    if intent == "terminate":
        limit = min(given["timeout"], given_to_answers)
        prompt = [one for one in fleet if one.answers_after < limit - 0.01]
        assert report.acked >= len(prompt)
        assert report.acked + report.timed_out == len(fleet)
        if given_to_answers >= given["timeout"] + given["max_extension"]:
            assert not {"timeout", "max_extension"} & set(report.cut)
    else:
        assert report.notified == len(fleet)
