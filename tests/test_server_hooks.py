import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import pytest
import uvloop

import fake_core
from dscore.policy import Candidate, Policy
from dscore.policy.agent import Agent
from dscore.server.hooks import Hooks
from dscore.server.tasks import Tasks
from fake_core import introduction, message
from faked import FakeServer, eventually, running


def test_a_policy_that_overrides_nothing_costs_nothing() -> None:
    hooks = Hooks(Policy(), Tasks())
    assert (hooks.authenticate, hooks.on_message, hooks.on_connect) == (None, None, None)


async def test_a_policys_own_defaults_can_be_called() -> None:
    policy = Policy()
    assert policy.authenticate(Candidate("agent", "a", "", None, "app_ready", False)) is True
    assert policy.on_drain("terminate") is None


def test_hooks_may_be_set_on_the_object() -> None:
    policy = Policy()
    heard: list[str] = []
    policy.on_drain = heard.append  # type: ignore[method-assign, assignment]
    hooks = Hooks(policy, Tasks())
    hooks.fire(hooks.on_drain, "restart")
    assert heard == ["restart"]


async def test_an_async_hook_that_raises_is_counted() -> None:
    class Broken(Policy):
        async def on_connect(self, agent: Agent) -> None:
            await asyncio.sleep(0)
            raise LookupError

    tasks = Tasks()
    hooks = Hooks(Broken(), tasks)
    hooks.fire(hooks.on_connect, None)
    await eventually(lambda: not tasks)
    assert hooks.errors_total == 1


def event(kind: str, number: int) -> fake_core.Message:
    """A Socket.IO event of connection 1 that asks for an ack."""
    data = json.dumps({"type": kind, "n": number}).encode()
    return fake_core.Message(1, kind, data, namespace="/", ack=number)


class Strange(BaseException):
    """What no `except Exception` sees."""


RAISED = [asyncio.CancelledError, GeneratorExit, Strange, RecursionError]
if sys.version_info >= (3, 11):
    RAISED.append(lambda: BaseExceptionGroup("several", [Strange()]))  # noqa: F821 -- 3.11


class Raising(Policy):
    """Every hook but `authenticate` raises."""

    def __init__(self, what: Callable[[], BaseException]) -> None:
        self.what = what
        self.called: list[str] = []

    def _raise(self, name: str) -> NoReturn:
        self.called.append(name)
        raise self.what()

    def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> None:
        self._raise("on_message")

    def on_namespace_message(
        self, agent: Agent, namespace: str, kind: str, message: dict[str, Any]
    ) -> None:
        self._raise("on_namespace_message")

    def on_connect(self, agent: Agent) -> None:
        self._raise("on_connect")

    def on_disconnect(self, agent: Agent, close_code: int, reason: str) -> None:
        self._raise("on_disconnect")

    def on_status_change(self, agent: Agent, status: str, reason_code: str | None) -> None:
        self._raise("on_status_change")

    def on_drain(self, intent: str) -> None:
        self._raise("on_drain")

    def on_drained(self, report: Any) -> None:
        self._raise("on_drained")


class RaisingLater(Raising):
    """The same, each hook a coroutine."""

    async def _later(self, name: str) -> None:
        await asyncio.sleep(0)
        self._raise(name)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *_: self._later(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("policy", [Raising, RaisingLater])
async def test_whatever_a_hook_raises_a_batch_of_events_is_dealt_with_to_its_end(
    policy: type[Raising], what: Callable[[], BaseException]
) -> None:
    hooks = policy(what)
    grace = {"monitoring": {"reconnection_grace_period": 0, "heartbeat_grace_period": 0}}
    async with running(grace, policy=hooks) as server:
        for conn in range(1, 101):
            ready = introduction(conn, "app_ready", instance_id=f"a{conn}")
            server.pool.push(fake_core.Opened(conn), ready)
        await server.happen()
        assert len(server.fleet.connected_ids()) == 100
        await server.happen(*(fake_core.Closed(conn) for conn in range(1, 101)))
        await eventually(lambda: all(agent.status == "offline" for agent in server.fleet.agents()))
        await eventually(lambda: not server._tasks)
        counted = Counter(hooks.called)
        assert counted == {"on_connect": 100, "on_disconnect": 100, "on_status_change": 200}
        assert server.core_stats()["hook_errors_total"] == 400


@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("policy", [Raising, RaisingLater])
async def test_whatever_a_hook_raises_a_drain_adds_up(
    policy: type[Raising], what: Callable[[], BaseException]
) -> None:
    hooks = policy(what)
    async with running(policy=hooks) as server:
        for conn in range(1, 61):
            await server.introduce(conn, f"a{conn}")
        drain = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        outcomes = [fake_core.Outcome(conn, str(conn), "acked") for conn in range(1, 61)]
        await server.happen(*outcomes)
        report = await drain
        assert (report.total, report.acked) == (60, 60)
        await eventually(lambda: not server._tasks)
    assert Counter(hooks.called)["on_drain"] == Counter(hooks.called)["on_drained"] == 1
    assert Counter(hooks.called)["on_disconnect"] == 60


@pytest.mark.parametrize("what", RAISED)
async def test_an_async_on_message_that_raises_anything_keeps_the_queue_of_its_agent(
    what: Callable[[], BaseException],
) -> None:
    heard: list[int] = []

    class Moody(Policy):
        async def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> int:
            await asyncio.sleep(0)
            heard.append(message["n"])
            if message["n"] % 2:
                raise what()
            return int(message["n"])

    async with running(policy=Moody()) as server:
        await server.join(1)
        await server.happen(introduction(1, "app_ready", instance_id="a"))
        await server.happen(*(event("shot", n) for n in range(10)))
        await eventually(lambda: len(server.pool.named("send_ack")) == 10)
        assert heard == list(range(10))
        acks = [(number, argument) for _, number, argument, *_ in server.pool.named("send_ack")]
        assert acks == [(n, [] if n % 2 else [n]) for n in range(10)]
        assert server.core_stats()["hook_errors_total"] == 5


async def test_a_hook_that_cancels_its_own_task_has_failed_and_the_next_message_is_heard() -> None:
    heard: list[str] = []

    class Suicidal(Policy):
        async def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> None:
            heard.append(kind)
            if kind == "first":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(5)

    async with running(policy=Suicidal()) as server:
        await server.introduce(1, "a")
        await server.happen(message(1, "first"), message(1, "second"))
        await eventually(lambda: heard == ["first", "second"])
        assert server.core_stats()["hook_errors_total"] == 1


class Judge(Policy):
    """`authenticate` does what it was made with."""

    def __init__(self, verdict: Callable[[], Any]) -> None:
        self.verdict = verdict

    def authenticate(self, candidate: Candidate) -> Any:
        return self.verdict()


def raising(what: Callable[[], BaseException]) -> Callable[[], Any]:
    def verdict() -> Any:
        raise what()

    return verdict


def raising_later(what: Callable[[], BaseException]) -> Callable[[], Any]:
    async def verdict() -> Any:
        await asyncio.sleep(0)
        raise what()

    return verdict


class NoBool:
    def __bool__(self) -> bool:
        raise LookupError


async def no_bool_later() -> NoBool:
    return NoBool()


@pytest.mark.parametrize(
    "verdict",
    [
        *(raising(what) for what in RAISED),
        *(raising_later(what) for what in [*RAISED, TimeoutError, asyncio.TimeoutError]),
        NoBool,
        no_bool_later,
    ],
)
async def test_an_authenticate_that_fails_in_any_way_closes_1011(verdict: Any) -> None:
    async with running(policy=Judge(verdict)) as server:
        await server.introduce(1, "a")
        await eventually(lambda: server.pool.closes(1))
        assert server.pool.closes(1) == [(1011, "internal error")]
        assert server.core_stats()["hook_errors_total"] == 1


async def test_an_authenticate_that_is_deaf_to_its_cancellation_is_too_late_all_the_same() -> None:
    go_on = asyncio.Event()

    async def deaf() -> bool:
        while not go_on.is_set():
            with suppress(asyncio.CancelledError):
                await go_on.wait()
        return True

    async with running({"auth": {"timeout": 0.05}}, policy=Judge(deaf)) as server:
        await server.introduce(1, "a")
        await eventually(lambda: server.pool.closes(1))
        assert server.pool.closes(1) == [(1008, "authentication timeout")]
        go_on.set()
        await eventually(lambda: not server._tasks)
        assert server.fleet.connected_ids() == []
        assert server.core_stats()["hook_errors_total"] == 0


async def test_a_socketio_watcher_whose_authenticate_raises_cancelled_error_is_none() -> None:
    settings = {"socketio": {"watch_on_connect": True}}
    for verdict in (raising(asyncio.CancelledError), raising_later(asyncio.CancelledError)):
        async with running(settings, policy=Judge(verdict)) as server:
            await server.join(1)
            await server.join(2)
            await eventually(lambda: server.core_stats()["hook_errors_total"] == 2)
            assert server._table.only_watching() == []


class Junk:
    """Fails at whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise Strange(name)

    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise Strange


async def test_what_a_hook_returns_may_be_anything() -> None:
    class Odd(Policy):
        answers = iter([Junk(), {1}, object(), float, (n for n in ()), [[]]])

        def on_message(self, agent: Agent, kind: str, message: dict[str, Any]) -> Any:
            return next(self.answers)

        def on_connect(self, agent: Agent) -> Any:
            return Junk()

    async with running(policy=Odd()) as server:
        await server.join(1)
        await server.happen(introduction(1, "app_ready", instance_id="a"))
        await server.happen(*(event("x", n) for n in range(6)))
        acks = [(number, argument) for _, number, argument, *_ in server.pool.named("send_ack")]
        assert acks == [(0, []), (1, []), (2, []), (3, []), (4, []), (5, [[[]]])]


def test_a_hook_needs_no_name_of_its_own() -> None:
    policy = Policy()
    policy.on_drain = partial(max, 1)  # type: ignore[method-assign, assignment]
    hooks = Hooks(policy, Tasks())
    hooks.fire(hooks.on_drain, "restart")
    assert hooks.errors_total == 1


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_hook_that_exits_ends_the_program_after_its_batch_of_events(
    run: Callable[[Any], None], is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Leaving(Policy):
        def on_disconnect(self, agent: Agent, close_code: int, reason: str) -> Any:
            if agent.id == "a1":
                return self._leave() if is_async else sys.exit(7)
            return None

        async def _leave(self) -> None:
            sys.exit(7)

    servers: list[FakeServer] = []

    async def program() -> None:
        async with running(policy=Leaving()) as server:
            servers.append(server)
            for conn in range(1, 11):
                await server.introduce(conn, f"a{conn}")
            server.pool.push(*(fake_core.Closed(conn) for conn in range(1, 11)))
            await server.wait()

    with pytest.raises(SystemExit) as exit:
        run(program())
    assert exit.value.code == 7
    (server,) = servers
    assert server.fleet.connected_ids() == []
    assert server.pool.closed
    assert "hook_failed hook=on_disconnect" in caplog.text
