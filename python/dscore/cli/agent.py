"""`agent`: an agent that is the whole process, with a pipeline or without one."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import uvloop

from dscore import log
from dscore.cli.ctrl_c import CtrlC
from dscore.cli.errors import INTERRUPTED, USAGE, CliError
from dscore.cli.systemd import Notifier
from dscore.config import LogConfig
from dscore_agent import Agent, AgentConfig, Exit, load
from dscore_agent.events import PipelineError
from dscore_agent.metrics import serve_metrics

if TYPE_CHECKING:
    from dscore_agent.pipeline.keeper import PipelineKeeper

Level = Literal["debug", "info", "warning", "error"]

OURS = frozenset({"DSCORE_AGENT_CONFIG", "DSCORE_AGENT_PIPELINE", "DSCORE_AGENT_LOG_LEVEL"})
"""Variables of the command line's own options, which are no settings."""

_log = log.get_logger("dscore.agent")


def agent(
    path: Path | None, flags: Mapping[str, str | None], *, pipeline: str | None, level: Level
) -> NoReturn:
    """Runs an agent until it is told to stop, then ends the process.

    Args:
        path: The configuration file.
        flags: Settings of the command line, by the file's names.
        pipeline: What would be typed after gst-launch-1.0; None: no pipeline.
        level: Of the log.

    Raises:
        ConfigError: A setting is wrong.
        CliError: GStreamer is missing, or the pipeline does not start.
    """
    environ = {name: value for name, value in os.environ.items() if name not in OURS}
    config = load(path, flags=flags, environ=environ)
    log.configure(LogConfig(level=level))
    _forward_records(level)
    program = _Program(config, pipeline)
    try:
        uvloop.run(_run(program))
    except BaseException:
        log.flush()
        raise
    raise AssertionError("an agent ends with its process")


async def _run(program: "_Program") -> NoReturn:
    # Within the loop: at its end it would give the signals their own meaning back.
    _exit(await program.run())


def parse_settings(pairs: list[str]) -> dict[str, str]:
    """The flags in `--set key=value`.

    Raises:
        CliError: One of them is written in another way.
    """
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise CliError(f"--set {pair}: write --set key=value", USAGE)
        settings[key.strip()] = value.strip()
    return settings


class _Program:
    """One agent and the process around it."""

    def __init__(self, config: AgentConfig, pipeline: str | None) -> None:
        self._config = config
        self._notifier = Notifier()
        self._ctrl_c = CtrlC()
        self._farewell = "agent stopped"
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
                await self._agent.close(self._farewell)

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
            self._farewell = f"pipeline does not start: {error}"
            raise CliError(f"the pipeline does not start: {error}") from None
        self._farewell = ended.cause
        say = _log.info if ended.code == Exit.STOPPED else _log.error
        say("pipeline_over", cause=ended.cause, exit_code=int(ended.code))
        return ended.code

    def _keep(self, pipeline: str) -> "PipelineKeeper":
        try:
            from dscore_agent.pipeline import PipelineBinding
            from dscore_agent.pipeline.keeper import PipelineKeeper
        except ImportError as error:
            # Not until it is installed: the code says that a restart would not help.
            raise CliError(f"--pipeline: {error}", USAGE) from None
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
            raise CliError(f"--pipeline: {error}", USAGE) from None

    def _install_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.add_signal_handler(signal.SIGTERM, self._stop, "SIGTERM")
        loop.add_signal_handler(signal.SIGINT, self._interrupted)
        loop.add_signal_handler(signal.SIGUSR1, self._agent.log_state, logging.INFO)

    def _interrupted(self) -> None:
        if self._ctrl_c.is_second():
            _log.warning("interrupted")
            _exit(INTERRUPTED)
        self._stop("SIGINT")

    def _stop(self, name: str) -> None:
        self._farewell = f"stopped: {name}"
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


class _Forwarder(logging.Handler):
    """Gives the agent's records, which are standard `logging`'s, to the program's log."""

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        event = getattr(record, "event", None) or record.getMessage()
        if record.exc_info:
            fields = {**fields, "exc_info": record.exc_info}
        logger = log.get_logger(record.name)
        say = {
            logging.DEBUG: logger.debug,
            logging.INFO: logger.info,
            logging.WARNING: logger.warning,
        }
        say.get(record.levelno, logger.error)(event, **fields)


def _forward_records(level: Level) -> None:
    logger = logging.getLogger("dscore.agent")
    logger.setLevel(level.upper())
    logger.propagate = False
    logger.addHandler(_Forwarder())


def _exit(code: int) -> NoReturn:
    """Ends the process at once: a hook or an element that hangs in a thread must not hold it."""
    log.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
