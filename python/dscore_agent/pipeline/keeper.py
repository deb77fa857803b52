"""A pipeline from a launch string, kept playing: it is built anew where it ends unasked, if wished.

| the pipeline                    | exit code | `pipeline_restart`         |
|---------------------------------|-----------|----------------------------|
| comes to its end, and is live   | ENDED     | is built anew after a wait |
| comes to its end, and is not    | STOPPED   | stays ended                |
| fails                           | FAILED    | is built anew after a wait |
| hangs on its way to a standstill| FAILED    | stays as it is             |
"""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from dscore_agent.errors import PipelineError
from dscore_agent.events import StopReport
from dscore_agent.log import Log
from dscore_agent.pipeline.binding import PipelineBinding
from dscore_agent.status import Exit
from dscore_agent.termination import TerminateAnswer, TerminateRequest
from dscore_agent.timeout import timeout

BASE_SECONDS = 1.0
"""Before a pipeline is built anew; doubled each time."""
CAP_SECONDS = 60.0
HELD_SECONDS = 10.0
"""A pipeline that played for so long has held: the next wait is the first one again."""

_log = Log("dscore.agent.pipeline")


class Ended(NamedTuple):
    """What became of a pipeline that was not told to stop."""

    code: Exit
    cause: str
    """For the server, and so for `dscore why`."""


class PipelineKeeper:
    """One pipeline at a time, and what the agent needs of it."""

    def __init__(self, build: Callable[[], PipelineBinding], *, restart: bool) -> None:
        """Builds the first one.

        Args:
            build: Makes a pipeline and its binding.
            restart: Builds another one where it ends unasked.

        Raises:
            PipelineError: The description makes no pipeline.
        """
        self._build = build
        self._restart = restart
        self._binding = build()
        self._told = asyncio.Event()

    async def run(self) -> Ended:
        """Plays the pipeline until it is over for good.

        Raises:
            PipelineError: It does not start, and is not to be built anew.
        """
        attempt = 0
        while True:
            began = time.monotonic()
            ended = await self._play()
            report = await self._binding.stop()
            if self._told.is_set() or not report.ok:
                return Ended(Exit.FAILED, report.message)
            if not self._restart or ended.code is Exit.STOPPED:
                return ended
            attempt = 0 if time.monotonic() - began >= HELD_SECONDS else attempt
            wait = min(BASE_SECONDS * 2**attempt, CAP_SECONDS)
            attempt = min(attempt + 1, 16)
            _log.warning("pipeline_restarts", cause=ended.cause, seconds=wait)
            if await self._is_told_within(wait):
                return ended
            self._binding = self._build()

    async def stop(self) -> StopReport:
        """Stops the pipeline, and builds no other one."""
        self._told.set()
        return await self._binding.stop()

    async def on_terminate(self, request: TerminateRequest) -> TerminateAnswer:
        """What `Agent(on_terminate=…)` calls. See `PipelineBinding.on_terminate`."""
        self._told.set()
        return await self._binding.on_terminate(request)

    async def _play(self) -> Ended:
        binding = self._binding
        try:
            await binding.start()
        except PipelineError as error:
            if not self._restart or self._told.is_set():
                raise
            return Ended(Exit.FAILED, f"pipeline does not start: {error}")
        fault = await binding.wait()
        if fault is not None:
            return Ended(Exit.FAILED, f"pipeline failed: {fault}")
        if await binding.is_live():
            return Ended(Exit.ENDED, "pipeline ended unasked: a live stream came to its end")
        return Ended(Exit.STOPPED, "pipeline ended")

    async def _is_told_within(self, seconds: float) -> bool:
        try:
            async with timeout(seconds):
                await self._told.wait()
        except asyncio.TimeoutError:
            return False
        return True
