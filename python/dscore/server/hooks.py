"""Calling the user's hooks: plain or async, never trusted to work.

A hook that was not overridden is None here, so that it costs nothing. Whatever a hook raises is
logged and counted, and goes no further: CancelledError too, which is no Exception. An async hook is
a task of its own, so that a cancellation has one meaning: the task was cancelled here, or the hook
has ended that way by itself. `Task.cancelling()` would say so too, from Python 3.11 on.

SystemExit and KeyboardInterrupt end the program, as everywhere; raised where the hook was called
they would also end the batch of events that it was called from. So they are logged, and raised by
the loop in its next turn. (Those of an async hook asyncio raises at once.)
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple, NoReturn, TypeAlias

from dscore.log import get_logger
from dscore.policy import Policy
from dscore.server.clock import Clock
from dscore.server.policy_check import check_policy
from dscore.server.tasks import Tasks

MAX_WAITING = 1000
"""Messages of one connection that may wait for an async on_message."""

_log = get_logger("dscore.policy")

Ack: TypeAlias = Callable[[Any], None]
"""Takes what a hook returned; None if it raised."""
Then: TypeAlias = Callable[[Any, BaseException | None], None]
"""Takes what a hook returned, or what it raised."""


class TooLateError(Exception):
    """An async hook has not answered in time. (A TimeoutError may be its own, of a database.)"""


class Hook(NamedTuple):
    """An overridden hook: any callable, so its name is not the callable's."""

    name: str
    call: Callable[..., Any]


class Call(NamedTuple):
    """A message that its hook has not dealt with yet."""

    hook: Hook
    args: tuple[object, ...]
    ack: Ack | None


class Hooks:
    """The overridden hooks of one policy."""

    def __init__(self, policy: Policy, tasks: Tasks) -> None:
        check_policy(policy)
        self._tasks = tasks
        self._waiting: dict[int, deque[Call]] = {}
        self.errors_total = 0
        self.authenticate = _overridden(policy, "authenticate")
        self.on_message = _overridden(policy, "on_message")
        self.on_namespace_message = _overridden(policy, "on_namespace_message")
        self.on_connect = _overridden(policy, "on_connect")
        self.on_disconnect = _overridden(policy, "on_disconnect")
        self.on_status_change = _overridden(policy, "on_status_change")
        self.on_drain = _overridden(policy, "on_drain")
        self.on_drained = _overridden(policy, "on_drained")

    def fire(self, hook: Hook | None, *args: object) -> None:
        """Calls a hook whose result does not matter; an async one goes on by itself."""
        if hook is not None:
            self._run(hook, args, _drop)

    def ask(
        self, hook: Hook, args: tuple[object, ...], then: Then, clock: Clock, seconds: float
    ) -> bool:
        """Asks a hook for a yes or no.

        Args:
            then: takes the answer as a bool, once: at once, or within `seconds`.
            clock: counts the seconds.
            seconds: how long an async hook has. Then it is cancelled, and the error is a
                TooLateError, whether it follows its cancellation or not.

        Returns:
            Whether the answer is still to come.
        """
        question = _Question(then)
        task = self._run(hook, args, partial(self._decide, hook, question))
        if task is not None and not question.is_answered:
            late = partial(self._too_late, hook, question, task)
            question.expire(clock, clock.read() + seconds, late)
        return not question.is_answered

    def message(self, conn: int, hook: Hook, args: tuple[object, ...], ack: Ack | None) -> bool:
        """Hands a message to its hook, after the earlier ones of its connection.

        Args:
            ack: None if the agent has asked for none.

        Returns:
            False if too many wait already: it was not taken.
        """
        call = Call(hook, args, ack)
        waiting = self._waiting.get(conn)
        if waiting is None:
            self._work_off(conn, deque((call,)))
        elif len(waiting) >= MAX_WAITING:
            return False
        else:
            waiting.append(call)
        return True

    def failed(self, name: str, error: BaseException) -> None:
        """Counts and logs what was raised where a hook was called, or in what it returned."""
        self._count(name, error)
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise_later(error)

    def _count(self, name: str, error: BaseException) -> None:
        self.errors_total += 1
        _log.error("hook_failed", hook=name, exc_info=error)

    def _run(
        self,
        hook: Hook,
        args: tuple[object, ...],
        then: Then,
        go_on: Callable[[], None] | None = None,
    ) -> "asyncio.Task[Any] | None":
        """Calls a hook.

        Args:
            then: hears of its end; before this returns, unless a task is returned.
            go_on: called after `then` at the end of a task.
        """
        try:
            value = hook.call(*args)
            is_async = inspect.isawaitable(value)
        except BaseException as error:
            self.failed(hook.name, error)
            self._tell(hook, then, None, error)
            return None
        if not is_async:
            self._tell(hook, then, value, None)
            return None
        done = partial(self._ended, hook, then, go_on)
        task = self._tasks.spawn(_finish(value), hook.name, done)
        if task is None and inspect.iscoroutine(value):
            value.close()  # the server has stopped
        return task

    def _ended(
        self, hook: Hook, then: Then, go_on: Callable[[], None] | None, task: "asyncio.Task[Any]"
    ) -> None:
        if self._tasks.was_cut(task):
            return
        if task.cancelled():
            error: BaseException | None = asyncio.CancelledError("raised by the hook itself")
        else:
            error = task.exception()
        if error is not None:
            self._count(hook.name, error)
        self._tell(hook, then, None if error is not None else task.result(), error)
        if go_on is not None:
            go_on()

    def _tell(self, hook: Hook, then: Then, value: Any, error: BaseException | None) -> None:
        """What a hook returned may be anything: reading it can fail as the hook can."""
        try:
            then(value, error)
        except BaseException as raised:
            self.failed(hook.name, raised)

    def _decide(
        self, hook: Hook, question: "_Question", value: Any, error: BaseException | None
    ) -> None:
        verdict = False
        try:
            verdict = bool(value)
        except BaseException as raised:
            error = raised
            self.failed(hook.name, raised)
        question.answer(verdict, error)

    def _too_late(self, hook: Hook, question: "_Question", task: "asyncio.Task[Any]") -> None:
        if not task.done():
            self._tasks.cancel(task)
            self._tell(hook, question.answer, None, TooLateError())

    def _work_off(self, conn: int, waiting: deque[Call]) -> None:
        """Deals with what waits, up to the first that takes time; its end comes back here."""
        go_on = partial(self._work_off, conn, waiting)
        while waiting:
            call = waiting.popleft()
            if self._run(call.hook, call.args, partial(_acknowledge, call), go_on) is not None:
                self._waiting[conn] = waiting
                return
        self._waiting.pop(conn, None)


class _Question:
    """One that has not been answered yet. An answer that comes too late goes nowhere."""

    __slots__ = ("_then", "_timer")

    def __init__(self, then: Then) -> None:
        self._then: Then | None = then
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_answered(self) -> bool:
        return self._then is None

    def answer(self, value: Any, error: BaseException | None) -> None:
        then, self._then = self._then, None
        if self._timer is not None:
            self._timer.cancel()
        if then is not None:
            then(value, error)

    def expire(self, clock: Clock, until: float, late: Callable[[], None]) -> None:
        """Calls `late` once it is `until` by that clock, and what lies in the sockets then has
        not answered it either."""
        left = until - clock.read()
        if left > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(left, self.expire, clock, until, late)
        else:
            clock.after_look(partial(_in_next_turn, late))


def _in_next_turn(then: Callable[[], None]) -> None:
    """Tasks that were woken have their turn before it."""
    asyncio.get_running_loop().call_soon(then)


def raise_later(error: BaseException) -> None:
    """Raises it in the next turn of the loop, which it ends."""
    asyncio.get_running_loop().call_soon(_raise, error)


def _raise(error: BaseException) -> NoReturn:
    raise error


def _acknowledge(call: Call, value: Any, error: BaseException | None) -> None:
    if call.ack is not None:
        call.ack(value)


def _drop(value: Any, error: BaseException | None) -> None:
    pass


async def _finish(value: Awaitable[Any]) -> Any:
    return await value


def overrides(policy: Policy, name: str) -> bool:
    """Whether a hook is not the base class's own."""
    return getattr(getattr(policy, name), "__func__", None) is not getattr(Policy, name)


def _overridden(policy: Policy, name: str) -> Hook | None:
    """The hook, unless it is the base class's own."""
    return Hook(name, getattr(policy, name)) if overrides(policy, name) else None
