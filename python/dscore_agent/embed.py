"""The agent beside a program that has a main loop of its own, GLib's for one:

    from dscore_agent import embed

    agent = embed.start("websocket_config.txt", pipeline=pipeline, on_exit=lambda code: loop.quit())

once the pipeline and its main loop are there, `agent.send(…)` to send a message, and
`agent.close()` at the end. Without a pipeline, `on_terminate` stops what there is to stop.

It runs in a thread with an asyncio loop; the program's loop and its signals are left alone.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dscore_agent.client import Agent
from dscore_agent.config import AgentConfig, load
from dscore_agent.hooks import Hook
from dscore_agent.log import Log
from dscore_agent.status import Exit, State, Status

if TYPE_CHECKING:
    from dscore_agent.pipeline.group import PipelineGroup

START_SECONDS = 10.0

_log = Log("dscore.agent")


class AgentThread:
    """A running agent in its thread. Every method is safe from any thread."""

    def __init__(
        self,
        agent: Agent,
        pipelines: "PipelineGroup | None",
        on_exit: Callable[[int], Any] | None,
    ) -> None:
        self._agent = agent
        self._pipelines = pipelines
        self._on_exit = on_exit
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="dscore-agent", daemon=True)
        self.exit_code: int | None = None
        """An `Exit` once it is over."""

    @property
    def state(self) -> State:
        """Where the agent is in its life."""
        return self._agent.state

    @property
    def status(self) -> Status:
        """All that can be known of it now."""
        return self._agent.status

    def send(self, message: Mapping[str, Any]) -> bool:
        """Sends a message to the server. See `Agent.send`."""
        return self._agent.send(message)

    def stop(self, reason: str = "stopped on this machine") -> None:
        """Has the application stop as if the server had asked for it. Returns at once."""
        if self._thread.is_alive():
            self._agent.stop(reason)

    def join(self, seconds: float | None = None) -> int | None:
        """Waits for the end.

        Args:
            seconds: At most so long; None waits without end.

        Returns:
            An `Exit`; None: it is not over yet.
        """
        self._thread.join(seconds)
        return self.exit_code

    def close(self, seconds: float | None = 5.0) -> int | None:
        """Ends the agent without asking the application, and waits for that.

        Where the server has asked already, it gets its answer first: a main loop often ends at the
        end of stream, which is in the middle of stopping.

        Returns:
            What `join` does.
        """
        if self._agent.is_terminating:
            self.join(self._agent.config.graceful_shutdown_timeout)
        if self._thread.is_alive() and self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._agent.close(), self._loop)
        return self.join(seconds)

    def _start(self) -> None:
        self._thread.start()
        self._started.wait(START_SECONDS)
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def _run(self) -> None:
        code = int(Exit.FAILED)
        try:
            code = _runner()(self._live())
        except BaseException as error:
            if not self._started.is_set():
                self._failure = error
                return
            _log.error("agent_failed", error=error)
        finally:
            self.exit_code = code
            self._started.set()
        self._tell(code)

    async def _live(self) -> int:
        self._loop = asyncio.get_running_loop()
        if self._pipelines is not None:
            await self._pipelines.start()
        await self._agent.start()
        self._started.set()
        try:
            return await self._agent.wait()
        finally:
            await self._agent.close()
            if self._pipelines is not None:
                await self._pipelines.close()

    def _tell(self, code: int) -> None:
        if self._on_exit is None:
            return
        try:
            self._on_exit(code)
        except Exception as error:
            _log.error("hook_failed", hook="on_exit", error=error)


def start(
    config: AgentConfig | Path | str | None = None,
    *,
    pipeline: Any = None,
    on_terminate: Hook | None = None,
    on_message: Hook | None = None,
    on_state: Hook | None = None,
    on_exit: Callable[[int], Any] | None = None,
) -> AgentThread:
    """Starts an agent in a thread of its own.

    Args:
        config: Settings, or a file with a section `[websocket]`; `DSCORE_AGENT_*` variables win
            over a file.
        pipeline: The program's `Gst.Pipeline`, or a list of several, which it plays itself, and
            whose buses it reads. They are stopped when the server asks for it; where one hangs, the
            process is ended.
        on_terminate: Instead of that. See `Agent`. Async hooks run on the agent's loop, not on the
            program's.
        on_message: See `Agent`.
        on_state: See `Agent`.
        on_exit: Called in the agent's thread with an `Exit` when it is over: the place to quit a
            main loop.

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = config if isinstance(config, AgentConfig) else load(config, environ=environ)
    pipelines = None if pipeline is None else _bind(pipeline, settings)
    if pipelines is not None and on_terminate is None:
        on_terminate = pipelines.on_terminate
    agent = Agent(settings, on_terminate=on_terminate, on_message=on_message, on_state=on_state)
    if pipelines is not None:
        pipelines.report_to(agent.send, settings.pipeline_reports)
    thread = AgentThread(agent, pipelines, on_exit)
    thread._start()
    return thread


def _bind(pipeline: Any, config: AgentConfig) -> "PipelineGroup":
    # Only a pipeline needs GStreamer.
    from dscore_agent.pipeline import PipelineBinding
    from dscore_agent.pipeline.group import PipelineGroup

    return PipelineGroup(
        [
            PipelineBinding(
                each,
                stop_timeout=config.pipeline_stop_timeout,
                hard_timeout=config.graceful_shutdown_timeout,
                embedded=True,
            )
            for each in (pipeline if isinstance(pipeline, list | tuple) else [pipeline])
        ]
    )


def _runner() -> Callable[..., int]:
    try:
        import uvloop
    except ImportError:  # No wheel for this machine: asyncio's own loop does.
        return asyncio.run
    return uvloop.run
