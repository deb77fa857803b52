"""The process around one agent: its signals, its log, its pipeline, its end."""

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import uvloop

from dscore_agent.cli.arguments import VARIABLES, Arguments
from dscore_agent.cli.ctrl_c import CtrlC
from dscore_agent.cli.errors import INTERRUPTED, USAGE, CommandError
from dscore_agent.cli.output import Output
from dscore_agent.cli.systemd import Notifier
from dscore_agent.client import Agent
from dscore_agent.config import AgentConfig, load
from dscore_agent.errors import PipelineError
from dscore_agent.log import Log
from dscore_agent.metrics import serve_metrics
from dscore_agent.status import Exit

if TYPE_CHECKING:
    from dscore_agent.pipeline.keeper import PipelineKeeper

LOGGER = "dscore.agent"

_log = Log(LOGGER)


def live(arguments: Arguments) -> NoReturn:
    """Runs an agent until it is told to stop, then ends the process.

    Raises:
        ConfigError: A setting is wrong.
        CommandError: GStreamer is missing, or the pipeline does not start.
    """
    environ = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    config = load(arguments.config, flags=arguments.flags, environ=environ)
    output = _log_to_output(arguments.level)
    program = _Program(config, arguments.pipeline, output)
    try:
        uvloop.run(_run(program))
    except BaseException:
        output.wait_until_written()
        raise
    raise AssertionError("an agent ends with its process")


async def _run(program: "_Program") -> NoReturn:
    # Within the loop: at its end it would give the signals their own meaning back.
    program.exit(await program.run())


def _log_to_output(level: str) -> Output:
    """Writes the agent's records of this level and above, and the warnings of other libraries."""
    output = Output()
    output.addFilter(lambda one: one.levelno >= logging.WARNING or one.name.startswith(LOGGER))
    logging.root.addHandler(output)
    logging.getLogger(LOGGER).setLevel(level.upper())
    return output


class _Program:
    """One agent and the process around it."""

    def __init__(self, config: AgentConfig, pipeline: str | None, output: Output) -> None:
        self._config = config
        self._output = output
        self._notifier = Notifier()
        self._ctrl_c = CtrlC()
        self._close_reason = "agent stopped"
        self._keeper = None if pipeline is None else self._keep(pipeline)
        on_terminate = None if self._keeper is None else self._keeper.on_terminate
        self._agent = Agent(config, on_terminate=on_terminate)

    async def run(self) -> int:
        """Lives until the agent or the pipeline is over.

        Returns:
            The exit code.
        """
        loop = asyncio.get_running_loop()
        with serve_metrics(self._agent, self._config.metrics_port):
            await self._agent.start()
            self._install_signals(loop)
            self._announce(loop)
            try:
                return await self._live()
            finally:
                self._notifier.stopping()
                await self._agent.close(self._close_reason)

    def exit(self, code: int) -> NoReturn:
        """Ends the process at once, whatever hook or element hangs in a thread."""
        self._output.wait_until_written()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    async def _live(self) -> int:
        told = asyncio.ensure_future(self._agent.wait())
        if self._keeper is None:
            return await told
        # Side by side: an element that hangs on its way to PLAYING must not keep us from stopping.
        played = asyncio.ensure_future(self._keeper.run())
        await asyncio.wait({told, played}, return_when=asyncio.FIRST_COMPLETED)
        if self._agent.is_terminating:
            # The pipeline is over because the agent was told to stop it: how that went, it knows.
            played.cancel()
            return await told
        if told.done():
            stopped = await self._keeper.stop()
            played.cancel()
            return told.result() or stopped.as_answer().exit_code
        told.cancel()
        try:
            ended = await played
        except PipelineError as error:
            self._close_reason = f"pipeline does not start: {error}"
            raise CommandError(f"the pipeline does not start: {error}") from None
        self._close_reason = ended.cause
        say = _log.info if ended.code == Exit.STOPPED else _log.error
        say("pipeline_over", cause=ended.cause, exit_code=int(ended.code))
        return ended.code

    def _keep(self, pipeline: str) -> "PipelineKeeper":
        try:
            from dscore_agent.pipeline import PipelineBinding
            from dscore_agent.pipeline.keeper import PipelineKeeper
        except ImportError as error:
            # Not until it is installed: the code says that a restart would not help.
            raise CommandError(f"--pipeline: {error}", USAGE) from None
        config = self._config

        def build() -> PipelineBinding:
            binding = PipelineBinding(
                pipeline,
                stop_timeout=config.pipeline_stop_timeout,
                hard_timeout=config.graceful_shutdown_timeout,
            )
            binding.report_to(lambda message: self._agent.send(message), config.pipeline_reports)
            return binding

        try:
            return PipelineKeeper(build, restart=config.pipeline_restart)
        except PipelineError as error:
            raise CommandError(f"--pipeline: {error}", USAGE) from None

    def _install_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGTERM, self._stop, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGUSR1, self._agent.log_state, logging.INFO)

    def _interrupted(self) -> None:
        if self._ctrl_c.is_second():
            _log.warning("interrupted")
            self.exit(INTERRUPTED)
        self._stop("SIGINT")

    def _stop(self, name: str) -> None:
        self._close_reason = f"stopped: {name}"
        self._agent.stop(name)

    def _announce(self, loop: asyncio.AbstractEventLoop) -> None:
        config = self._config
        _log.info("agent_started", agent_id=config.instance_id, url=config.url, pid=os.getpid())
        self._notifier.ready()
        self._notifier.status(f"Agent {config.instance_id} of {config.url}")
        if self._notifier.watchdog_interval is not None:
            self._feed_watchdog(loop, self._notifier.watchdog_interval)

    def _feed_watchdog(self, loop: asyncio.AbstractEventLoop, interval: float) -> None:
        self._notifier.watchdog()
        loop.call_later(interval, self._feed_watchdog, loop, interval)
