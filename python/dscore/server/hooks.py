"""Calling the user's hooks: plain or async, never trusted to work.

A hook that was not overridden is None here, so that it costs nothing. What a hook raises is logged,
and goes no further.
"""

import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from dscore.log import get_logger
from dscore.policy import Policy
from dscore.server.tasks import Tasks

MAX_WAITING = 1000
"""Messages of one connection that may wait for an async on_message."""

_log = get_logger("dscore.policy")

Hook: TypeAlias = Callable[..., Any]
Ack: TypeAlias = Callable[[Any], None]
"""Takes what a hook returned; None if it raised."""


class Call(NamedTuple):
    """A message that its hook has not dealt with yet."""

    hook: Hook
    args: tuple[object, ...]
    ack: Ack | None


class Hooks:
    """The overridden hooks of one policy."""

    def __init__(self, policy: Policy, tasks: Tasks) -> None:
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
        if hook is None:
            return
        result = self._call(hook, args)
        if inspect.isawaitable(result):
            self._tasks.spawn(self._finish(hook, result), hook.__name__)

    def message(self, conn: int, hook: Hook, args: tuple[object, ...], ack: Ack | None) -> bool:
        """Hands a message to its hook, after the earlier ones of its connection.

        Args:
            ack: None if the agent has asked for none.

        Returns:
            False if too many wait already: it was not taken.
        """
        waiting = self._waiting.get(conn)
        if waiting is not None:
            if len(waiting) >= MAX_WAITING:
                return False
            waiting.append(Call(hook, args, ack))
            return True
        result = self._call(hook, args)
        if inspect.isawaitable(result):
            self._waiting[conn] = deque()
            work = self._work_off(conn, Call(hook, args, ack), result)
            self._tasks.spawn(work, hook.__name__)
        elif ack is not None:
            ack(result)
        return True

    def failed(self, name: str, error: Exception) -> None:
        self.errors_total += 1
        _log.error("hook_failed", hook=name, exc_info=error)

    def _call(self, hook: Hook, args: tuple[object, ...]) -> Any:
        try:
            return hook(*args)
        except Exception as error:
            self.failed(hook.__name__, error)
            return None

    async def _finish(self, hook: Hook, result: Awaitable[Any]) -> Any:
        try:
            return await result
        except Exception as error:
            self.failed(hook.__name__, error)
            return None

    async def _work_off(self, conn: int, call: Call, result: Any) -> None:
        waiting = self._waiting[conn]
        try:
            while True:
                if inspect.isawaitable(result):
                    result = await self._finish(call.hook, result)
                if call.ack is not None:
                    call.ack(result)
                if not waiting:
                    return
                call = waiting.popleft()
                result = self._call(call.hook, call.args)
        finally:
            del self._waiting[conn]


def _overridden(policy: Policy, name: str) -> Hook | None:
    """The hook, unless it is the base class's own."""
    hook: Hook = getattr(policy, name)
    return None if getattr(hook, "__func__", None) is getattr(Policy, name) else hook
