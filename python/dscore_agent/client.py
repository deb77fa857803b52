"""The agent: it keeps a connection to the server for as long as the application lives.

    agent = Agent(load("websocket_config.txt"), on_terminate=stop_the_pipeline)
    exit_code = await agent.run()

One task lives through the attempts and connections (`_live`), another one stops the application
when that is asked for (`_stop_application`). Whichever is the last to know sets the exit code, and
`close` ends both.
"""

import asyncio
import contextlib
import logging
import os
import random as randomness
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from dscore_agent import labels, statelog
from dscore_agent.config import AgentConfig
from dscore_agent.conversation import CONTROL, Conversation
from dscore_agent.dialect import Dialect, RawDialect, SocketIoDialect
from dscore_agent.gateway import Gateway
from dscore_agent.hooks import Hook, HookQueue
from dscore_agent.link import Link
from dscore_agent.log import Log
from dscore_agent.outbox import Outbox
from dscore_agent.status import Exit, State, Status
from dscore_agent.termination import Termination
from dscore_agent.wire import CLOSE_SECONDS

MAX_REASON = 123
"""Bytes of the reason in a close frame (RFC 6455 §5.5)."""

_log = Log("dscore.agent")


class Agent:
    """One agent of the fleet. All of it runs on one asyncio loop but for `send` and `stop`."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        on_terminate: Hook | None = None,
        on_message: Hook | None = None,
        on_state: Hook | None = None,
        random: Callable[[], float] = randomness.random,
    ) -> None:
        """Opens nothing yet.

        Hooks may be sync or async; sync ones run in a thread of their own, so they may block.

        Args:
            config: The settings.
            on_terminate: Called with a `TerminateRequest` when the application has to stop; once,
                however often it is asked. What it returns is the answer: None or True for success,
                or a `TerminateAnswer`; an exception is a failure. The agent ends afterwards.
            on_message: Called with each message that is not part of the protocol, in order.
            on_state: Called with a `Status` when the state changes, or whether the server is
                shutting down.
            random: Gives the numbers in [0, 1) that spread the waits of a fleet.
        """
        self.config = config
        self._on_message = on_message
        self._on_state = on_state
        self._gateway = Gateway(config)
        self._dialect: Dialect = (
            RawDialect()
            if config.dialect == "raw"
            else SocketIoDialect(lambda: self._gateway.token)
        )
        self._outbox = Outbox(config.outbox_limit)
        self._hooks = HookQueue()
        self._conversation = Conversation(config, self._dialect, self)
        self._link = Link(config, self._gateway, self._conversation, self, random)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: int | None = None
        self._ended: asyncio.Future[int] | None = None
        self._life: asyncio.Task[None] | None = None
        self._termination = Termination(
            on_terminate, config.graceful_shutdown_timeout, self._conversation.send
        )
        self._stopping: asyncio.Task[None] | None = None
        self._state = State.IDLE
        self._server_leaving = False
        self._restored = False

    @property
    def state(self) -> State:
        """Where the agent is in its life."""
        return self._state

    @property
    def is_terminating(self) -> bool:
        """The application is being stopped, or was."""
        return self._stopping is not None

    @property
    def status(self) -> Status:
        """All that can be known of it now. Safe from any thread."""
        return Status(
            state=self._state,
            reconnect_attempts=self._link.attempts,
            retry_in=self._link.retry_in,
            last_close_code=self._link.last_close.code,
            last_close_reason=self._link.last_close.reason,
            server_shutting_down=self._server_leaving,
            health=self._link.health.value,
            session_restored=self._restored,
            queued=len(self._outbox),
            dropped=self._outbox.dropped,
        )

    async def run(self) -> int:
        """Lives until it is told to stop, by the server or by `stop`.

        Returns:
            An `Exit`.

        Raises:
            ConfigError: The token's file or a certificate cannot be used.
        """
        await self.start()
        try:
            return await self.wait()
        finally:
            await self.close()

    async def start(self) -> None:
        """Begins to connect, and returns at once.

        Raises:
            ConfigError: The token's file or a certificate cannot be used.
        """
        if self._loop is not None:
            raise RuntimeError("an agent starts only once")
        self._gateway.open()
        for fault in labels.faults(self.config.app_config):
            _log.warning("label_left_out", reason=f"app_config: {fault}")
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._ended = self._loop.create_future()
        self._life = self.spawn(self._live())

    async def wait(self) -> int:
        """Waits until it is over, without ending it.

        Returns:
            An `Exit`.
        """
        if self._ended is None:
            raise RuntimeError("the agent was not started")
        return await asyncio.shield(self._ended)

    async def close(self, reason: str = "agent stopped") -> None:
        """Ends the connection and everything else, without asking the application. Idempotent.

        Args:
            reason: For the server, whose `why` tells it; what a close frame has no room for is cut.
        """
        if self._ended is None:
            return
        self._link.close_reason = reason.encode(errors="replace")[:MAX_REASON].decode(
            errors="ignore"
        )
        self._finish(Exit.STOPPED)
        self._outbox.close()
        running = [task for task in (self._life, self._stopping) if task is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        self._gateway.close()
        self.enter(State.CLOSED)
        await self._hooks.close()

    def stop(self, reason: str = "stopped on this machine") -> None:
        """Has the application stop as if the server had asked for it. Safe from any thread.

        Returns at once; `run` returns when it is done.
        """
        if self._loop is None:
            raise RuntimeError("the agent was not started")
        self._refuse_in_a_fork()
        self._call_soon(self._terminate, None, reason)

    def send(self, message: Mapping[str, Any]) -> bool:
        """Sends a message of the application to the server. Safe from any thread.

        While the agent is away it waits; when too many wait, the oldest is dropped.

        Args:
            message: An object with a string `type`.

        Returns:
            Whether it was taken. New work is refused while the server shuts down and while the
            application is being stopped; messages that are part of the protocol are not.

        Raises:
            ValueError: It is no message, or the server would not take one so long.
            RuntimeError: This process was forked from the agent's.
        """
        self._refuse_in_a_fork()
        text = self._dialect.encode(message)
        if len(text) > self.config.max_message_size:
            raise ValueError(f"a message has at most {self.config.max_message_size} bytes")
        taken = self._outbox.put(text, is_control=message["type"] in CONTROL)
        if taken:
            self._call_soon(self.flush)
        return taken

    def log_state(self, level: int) -> None:
        """Writes the DeepStream contract's block about the connection to the log."""
        if _log.is_enabled_for(level):
            _log.lines(level, statelog.lines(self.status))

    # What the server wants (`conversation.Owner`).

    def acknowledged(self, *, restored: bool) -> None:
        self._restored = restored
        self._link.acknowledged()
        _log.info("connected", url=self.config.url, session_restored=restored)
        self.set_server_leaving(leaving=False)
        self.enter(State.READY)
        self.flush()

    def asked_to_terminate(self, request_id: str, reason: str) -> None:
        self._terminate(request_id, reason)

    def server_leaves(self, reconnect_after: float | None) -> None:
        if reconnect_after is not None:
            self._link.hinted(reconnect_after)
        self.set_server_leaving(leaving=True)

    def received(self, message: dict[str, Any], size: int) -> None:
        self._hooks.put(self._on_message, message, size=size)

    async def _live(self) -> None:
        await self._link.live()
        if self._stopping is None:
            self._finish(Exit.STOPPED)  # The server wants no more of it.

    def _terminate(self, request_id: str | None, reason: str) -> None:
        """Stops the application, unless that is being done; a further request is answered too."""
        if request_id is not None:
            self._termination.note(request_id)
        if self._stopping is None and self._ended is not None and not self._ended.done():
            _log.info("terminating", request_id=request_id, reason=reason)
            self._stopping = self.spawn(self._stop_application(request_id, reason))

    async def _stop_application(self, request_id: str | None, reason: str) -> None:
        self._outbox.refuse(refusing=True)
        self.enter(State.TERMINATING)
        answer = await self._termination.run(request_id, reason)
        say = _log.info if answer.complete else _log.warning
        say("terminated", status=answer.status, complete=answer.complete, reason=answer.message)
        # What was accepted before goes out before: the server hangs up on the answer.
        self.flush(wait_for_room=False)
        answered, connection = self._termination.answer_all(answer), self._link.connection
        if answered and answer.is_ok and connection is not None:
            await asyncio.wait({connection.ended}, timeout=CLOSE_SECONDS)
        self._finish(answer.exit_code)

    def flush(self, *, wait_for_room: bool = True) -> None:
        """Sends what waits, as long as the connection takes it without queueing."""
        connection = self._link.connection
        if connection is None or not self._conversation.is_acknowledged:
            return
        while connection.is_writable or (not wait_for_room and connection.is_open):
            if (message := self._outbox.take()) is None:
                return
            connection.send(message)

    def set_server_leaving(self, *, leaving: bool) -> None:
        if self._server_leaving == leaving:
            return
        self._server_leaving = leaving
        # Not taken back once the application stops: it has no new work.
        self._outbox.refuse(refusing=leaving or self._stopping is not None)
        self._tell()

    def enter(self, state: State) -> None:
        # An application that is being stopped stays that, whatever its connection does.
        stopping = self._state is State.TERMINATING and state is not State.CLOSED
        if self._state is state or stopping:
            return
        self._state = state
        self._tell()

    def _tell(self) -> None:
        self.log_state(logging.DEBUG)
        self._hooks.put(self._on_state, self.status)

    def _finish(self, code: Exit) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(int(code))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._failed)
        return task

    def _failed(self, task: asyncio.Task[None]) -> None:
        # A fault of ours ends the agent with its traceback; it does not sit there half alive.
        error = None if task.cancelled() else task.exception()
        if error is not None and self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _refuse_in_a_fork(self) -> None:
        # A child has the agent's memory and none of its threads: what it put in the queue would
        # never leave, and a lock that was held at the fork is never released there.
        if self._process not in (None, os.getpid()):
            raise RuntimeError(
                "the agent is its parent's: this process was forked; hand messages to the parent"
            )

    def _call_soon(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # The loop is closed, and the agent with it.
                self._loop.call_soon_threadsafe(function, *arguments)
