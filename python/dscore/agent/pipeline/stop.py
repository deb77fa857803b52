"""Brings a pipeline to a standstill without losing what is in it, and never waits longer than told.

1. The end of the stream goes into every source, and is waited for on the bus: what is on its way
   reaches the sinks, a file gets its index.
2. The state NULL, asked for in a thread of its own: an element that hangs hangs there, not here.
3. What did not end is named.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from dscore.agent.events import PipelineEvent, StopReport
from dscore.agent.hooks import call, within
from dscore.agent.log import Log
from dscore.agent.pipeline import walk
from dscore.agent.pipeline.eos import end_source, flush_source
from dscore.agent.pipeline.gst import Gst
from dscore.agent.termination import GRACEFUL

Progress = Callable[[str, int], Awaitable[object]]

PROGRESS_SECONDS = 1.0
"""Between two words to whoever waits for the end; a quick end needs none."""
EOS_SHARE = 0.8
"""Of the time there is, for the streams to end; the elements need some to stop."""
SWALLOWED_SECONDS = 2.0
"""Without a frame from a source bin that was told to end: then it has kept the end to itself."""
SWALLOWED_SHARE = 0.4
"""The same of a short time for the streams to end."""
FAILED_GRACE_SECONDS = 1.0
"""A pipeline that has failed may never reach its end: its healthy branches get this long."""

_log = Log("dscore.agent.pipeline")


class Ending:
    """How far a pipeline has come, as its bus tells it."""

    def __init__(self) -> None:
        self.error: PipelineEvent | None = None
        """The first: what comes after it follows from it."""
        self.eos = asyncio.Event()
        self.failed = asyncio.Event()
        self.stopped = asyncio.Event()

    def see(self, event: PipelineEvent) -> None:
        """Takes note of one of the pipeline's events."""
        if event.kind == "eos":
            self.eos.set()
        elif event.kind == "error":
            self.error = self.error or event
            self.failed.set()


class Stopping:
    """One pipeline on its way to NULL."""

    def __init__(
        self,
        pipeline: Gst.Pipeline,
        ending: Ending,
        *,
        eos_timeout: float,
        deadline: float,
        progress: Progress | None,
    ) -> None:
        """Prepares it; `run` does it.

        Args:
            pipeline: In any state.
            ending: Kept up to date by whoever reads the bus.
            eos_timeout: Seconds for the streams to end.
            deadline: Moment of `time.monotonic()` at which `run` returns at the latest.
            progress: Told the stage and the milliseconds it may still take.
        """
        self._pipeline = pipeline
        self._ending = ending
        self._eos_timeout = eos_timeout
        self._deadline = deadline
        self._progress = progress
        self._stage = "eos"
        self._ends: list[tuple[Gst.Element, asyncio.Task[None]]] = []
        """The sources, and the threads that end them."""

    async def run(self) -> StopReport:
        """Stops the pipeline, as far as it can be stopped."""
        telling = asyncio.create_task(self._tell())
        try:
            began = time.monotonic()
            flowing = _is_flowing(self._pipeline)
            stuck = await self._end_streams() if flowing else ""
            ended = time.monotonic()
            self._stage = "null"
            hanging = await self._halt()
        finally:
            telling.cancel()
        complete = not flowing or self._ending.eos.is_set()
        report = StopReport(
            ok=not hanging,
            complete=complete,
            message=self._message(hanging, stuck),
            eos_seconds=ended - began,
            null_seconds=time.monotonic() - ended,
        )
        say = _log.info if report.ok else _log.error
        say("pipeline_stopped" if report.ok else "pipeline_hangs", message=report.message)
        return report

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    async def _end_streams(self) -> str:
        """Lets every stream run to its end; says which did not."""
        eos, failed = self._ending.eos, self._ending.failed
        until = time.monotonic() + min(self._eos_timeout, EOS_SHARE * self._left())
        # Each for itself: a source takes its end between two frames, and one that cannot get rid of
        # its frame must not hold up the others.
        patience = min(SWALLOWED_SECONDS, SWALLOWED_SHARE * self._eos_timeout)
        self._ends = [
            (source, asyncio.create_task(end_source(source, patience)))
            for source in walk.sources(self._pipeline)
        ]
        playing = asyncio.create_task(_play_if_paused(self._pipeline))
        await first_of(eos, failed, seconds=until - time.monotonic())
        if failed.is_set() and not eos.is_set():
            grace = min(FAILED_GRACE_SECONDS, until - time.monotonic())
            await first_of(eos, seconds=grace)
        playing.cancel()
        return "" if eos.is_set() else _stuck(self._pipeline)

    async def _halt(self) -> list[str]:
        """Asks for the state NULL; returns which elements did not reach it."""
        has_ended = self._ending.eos.is_set()
        held = [source for source, end in self._ends if not (has_ended or end.done())]
        # As long as a source waits to take its end, it holds its state lock, and the change to NULL
        # would wait for it, while it waits for a sink that only NULL wakes up. A flush wakes it.
        flushes = [asyncio.create_task(call(flush_source, source)) for source in held]
        asking = asyncio.create_task(call(self._pipeline.set_state, Gst.State.NULL))
        in_time = await within(asking, self._left())
        for task in (*flushes, *(end for _, end in self._ends)):
            task.cancel()
        if not in_time:
            names = walk.changing(self._pipeline) or walk.still_up(self._pipeline)
            # A source that still waits for a sink is not what hangs.
            waiting = {name for source in held for name in walk.names(source)}
            return [name for name in names if name not in waiting] or names
        if asking.result() == Gst.StateChangeReturn.FAILURE:
            return walk.still_up(self._pipeline)
        return []

    async def _tell(self) -> None:
        while self._progress is not None:
            await asyncio.sleep(PROGRESS_SECONDS)
            _log.info("pipeline_still_stopping", stage=self._stage, seconds_left=self._left())
            try:
                await self._progress(self._stage, round(self._left() * 1000))
            except Exception as error:
                # Whoever waits may be gone; the pipeline has to be stopped all the same.
                _log.warning("progress_not_told", cause=error)

    def _message(self, hanging: list[str], stuck: str) -> str:
        if hanging:
            return f"the pipeline hangs: {', '.join(hanging)} did not reach the state NULL"
        failure = self._ending.error
        notes = [GRACEFUL, failure and f"the pipeline had failed: {failure}", stuck]
        return "; ".join(note for note in notes if note)


def _stuck(pipeline: Gst.Pipeline) -> str:
    sinks = ", ".join(walk.unended_sinks(pipeline)) or pipeline.get_name()
    places = ", ".join(walk.stuck_ends(pipeline))
    return f"no end of stream in time at {sinks}" + (f", stuck at {places}" if places else "")


def _is_flowing(pipeline: Gst.Pipeline) -> bool:
    """Data moves in it, or is about to: then its streams have an end to run to."""
    _, current, pending = pipeline.get_state(0)
    return bool(max(current, pending) >= Gst.State.PAUSED)


async def _play_if_paused(pipeline: Gst.Pipeline) -> None:
    # Sinks in PAUSED wait with a frame in hand, and everything behind them.
    if pipeline.target_state == Gst.State.PAUSED:
        await call(pipeline.set_state, Gst.State.PLAYING)


async def first_of(*events: asyncio.Event, seconds: float | None = None) -> None:
    """Waits until one of them is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
