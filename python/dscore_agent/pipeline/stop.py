"""Brings a pipeline to a standstill without losing what is in it, and never waits longer than told.

1. The end of the stream goes into every source, and is waited for on the bus: what is on its way
   reaches the sinks, a file gets its index. Where nothing moves any more it goes into the pads at
   rest, too, that no end would come to: behind a closed valve, a tee with a branch that is blocked.
2. The state NULL, asked for in a thread of its own: an element that hangs hangs there, not here.
3. What did not end is named.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from dscore_agent.events import PipelineEvent, StopReport
from dscore_agent.hooks import call, within
from dscore_agent.log import Log
from dscore_agent.pipeline import stuck, walk
from dscore_agent.pipeline.eos import end_source, flush_pad, flush_source
from dscore_agent.pipeline.flow import Flow
from dscore_agent.pipeline.gst import Gst
from dscore_agent.pipeline.tracks import complete_mute_tracks
from dscore_agent.termination import GRACEFUL

Progress = Callable[[str, int], Awaitable[object]]

PROGRESS_SECONDS = 1.0
"""Between two calls of `progress`; a quick end needs none."""
NULL_SECONDS = 1.0
"""Of the time there is, for the elements to stop; the streams may have the rest to end."""
NULL_SHARE = 0.2
"""The same of a short time."""
REST_SECONDS = 1.0
"""Without movement: then a pad at rest is given the end that will not come by itself."""
REST_SHARE = 0.2
"""The same of a short time for the streams to end."""
HUNG_SHARE = 0.5
"""Of that time without any movement: then what is behind an element that hangs is ended, too. So
is what is behind a source that was told to end and goes on."""
POLL_SECONDS = 0.1
BUS_SECONDS = 0.5
"""For a program to take its messages, before the change to NULL drops them."""
MAX_ERRORS = 16
"""An element in trouble may tell of it a thousand times a second."""
STORE_SECONDS = 0.2
"""A sink tells of the end while it takes it; its pad shows it only when it has."""
SWALLOWED_SECONDS = 2.0
"""Without a frame from a source bin that was told to end: then it has kept the end to itself."""
SWALLOWED_SHARE = 0.4
"""The same of a short time for the streams to end."""

_TAKEN_DOWN = "the program stopped the pipeline before its streams had ended"

_log = Log("dscore.agent.pipeline")


class Ending:
    """How far a pipeline has come, as its bus tells it."""

    def __init__(self) -> None:
        self.errors: list[PipelineEvent] = []
        """The first ones; what comes after the very first often follows from it."""
        self.eos = asyncio.Event()
        self.ends = 0
        """How often the whole pipeline has come to its end."""
        self.failed = asyncio.Event()
        self.stopped = asyncio.Event()

    def see(self, event: PipelineEvent) -> None:
        """Takes note of one of the pipeline's events."""
        if event.kind == "eos":
            self.ends += 1
            self.eos.set()
        elif event.kind == "error":
            known = any(str(error) == str(event) for error in self.errors)
            if not known and len(self.errors) < MAX_ERRORS:
                self.errors.append(event)
            self.failed.set()

    @property
    def error(self) -> PipelineEvent | None:
        """The first error."""
        return self.errors[0] if self.errors else None


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
            ending: Kept up to date by the bus's reader.
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
        self._forced: dict[Gst.Pad, asyncio.Task[bool]] = {}
        """Pads that no end came to, and the threads that brought it."""
        self._lost: list[str] = []
        """Where data was left behind."""
        self._at_rest = False
        """Every sink is at its end, and nothing moves: whether the bus told it or not."""

    async def run(self) -> StopReport:
        """Stops the pipeline, as far as it can be stopped."""
        telling = asyncio.create_task(self._tell())
        try:
            began = time.monotonic()
            flowing = _is_flowing(self._pipeline)
            failure = self._ending.error
            if flowing:
                await self._end_streams()
            notes = [*stuck.first(self._lost), *map(str, self._faults())]
            if flowing and not self._have_ended():
                notes.append(
                    _TAKEN_DOWN if _is_taken_down(self._pipeline) else stuck.unended(self._pipeline)
                )
            ended = time.monotonic()
            self._stage = "null"
            if flowing:
                await _let_bus_be_read(self._pipeline, min(BUS_SECONDS, self._left() / 2))
            hanging = await self._halt()
        finally:
            telling.cancel()
        report = StopReport(
            ok=not hanging,
            complete=not notes,
            message=_message(hanging, failure, notes, flowed=flowing),
            eos_seconds=ended - began,
            null_seconds=time.monotonic() - ended,
        )
        self._say(report)
        return report

    def _say(self, report: StopReport) -> None:
        if not report.ok:
            _log.error("pipeline_hangs", message=report.message)
        elif not report.complete:
            _log.warning("pipeline_stopped", complete=False, message=report.message)
        else:
            _log.info("pipeline_stopped", complete=True, message=report.message)

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    async def _end_streams(self) -> None:
        """Lets every stream run to its end, as far as it can."""
        await self._forget_old_end()
        timeout = streams_seconds(self._eos_timeout, self._left())
        until = time.monotonic() + timeout
        complete_mute_tracks(self._pipeline)
        # Each for itself: a source takes its end between two frames, and one that cannot get rid of
        # its frame must not hold up the others.
        swallowed = min(SWALLOWED_SECONDS, SWALLOWED_SHARE * self._eos_timeout)
        self._ends = [
            (source, asyncio.create_task(end_source(source, swallowed, HUNG_SHARE * timeout)))
            for source in walk.sources(self._pipeline)
        ]
        playing = asyncio.create_task(_play_if_paused(self._pipeline))
        flow = Flow(self._pipeline)
        try:
            await self._end_idle_pads(flow, timeout, until)
        finally:
            flow.close()
            playing.cancel()

    async def _forget_old_end(self) -> None:
        """A program may have sought back, or played it anew, after an end that the bus told: its
        sinks then have one to come."""
        ends, until = self._ending.ends, time.monotonic() + STORE_SECONDS
        while self._ending.eos.is_set() and walk.unended_sinks(self._pipeline):
            if time.monotonic() >= until:
                if self._ending.ends == ends:
                    self._ending.eos.clear()
                return
            await asyncio.sleep(STORE_SECONDS / 20)

    async def _end_idle_pads(self, flow: Flow, timeout: float, until: float) -> None:
        """Waits for the end, and ends what no end comes to."""
        eos = self._ending.eos
        rest = min(REST_SECONDS, REST_SHARE * timeout)
        while not self._have_ended() and (left := until - time.monotonic()) > 0:
            if _is_taken_down(self._pipeline):
                return
            flow.look()
            # The bus tells nothing of an end that came before it was heard. Between two files of
            # one recording its sinks are at their ends, too, but not at rest.
            self._at_rest = flow.rest >= rest and not walk.unended_sinks(self._pipeline)
            hung = flow.rest >= HUNG_SHARE * timeout
            found = [pad for pad in flow.idle_pads(rest, hung=hung) if pad not in self._forced]
            for pad in found:
                self._force(pad, hung=hung)
            failed = self._ending.error is not None
            if failed and not found and flow.rest >= 2 * rest:
                return  # It may never reach its end, and nothing in it is on its way any more.
            await first_of(eos, seconds=min(POLL_SECONDS, left))

    def _have_ended(self) -> bool:
        """Every stream has: the bus says so, unless something private keeps the end to itself."""
        if self._ending.eos.is_set() or self._at_rest:
            return True
        return walk.has_private_sinks(self._pipeline) and not walk.unended_sinks(self._pipeline)

    def _force(self, pad: Gst.Pad, *, hung: bool) -> None:
        name = stuck.short(f"{pad.get_parent_element().get_name()}.{pad.get_name()}")
        _log.info("eos_into_idle_pad", pad=name)
        if hung and (feeder := walk.upstream(pad)) is not None and not walk.is_source(feeder):
            self._lost.append(stuck.short(feeder.get_name()) + f" hangs with data for {name}")
        self._forced[pad] = asyncio.create_task(call(pad.send_event, Gst.Event.new_eos()))

    async def _halt(self) -> list[str]:
        """Asks for the state NULL; returns which elements did not reach it."""
        # As long as a source waits to take its end, it holds its state lock, and the change to NULL
        # would wait for it, while it waits for a sink that only NULL wakes up. A flush wakes it,
        # and every other thread that is held up.
        held = [
            source
            for source, end in self._ends
            if not (end.done() or all(map(walk.has_ended, source.srcpads)))
        ]
        flushes = [asyncio.create_task(call(flush_source, source)) for source in held]
        flushes += [
            asyncio.create_task(call(flush_pad, pad))
            for pad in walk.sink_pads(self._pipeline)
            if not walk.is_free(pad)
        ]
        asking = asyncio.create_task(call(self._pipeline.set_state, Gst.State.NULL))
        in_time = await within(asking, self._left())
        for task in (*flushes, *self._forced.values(), *(end for _, end in self._ends)):
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
            seconds_left = round(self._left(), 3)
            _log.info("pipeline_still_stopping", stage=self._stage, seconds_left=seconds_left)
            try:
                await self._progress(self._stage, round(self._left() * 1000))
            except Exception as error:
                # The connection may be gone; the pipeline has to be stopped all the same.
                _log.warning("progress_not_told", cause=error)

    def _faults(self) -> list[PipelineEvent]:
        """Errors after which no stream is sure to be whole, though each may have its end.

        One of a camera cuts its stream short, and the end reaches the file all the same: many have
        an error to tell when they are ended. One of a muxer or a sink is the file's.
        """
        cameras = {name for source, _ in self._ends for name in walk.names(source)}
        others = walk.names(self._pipeline) - cameras
        return [error for error in self._ending.errors if error.source in others]


def streams_seconds(wanted: float, available: float) -> float:
    """How long the streams may take to end, of what there is until the pipeline stands still."""
    return min(wanted, available - min(NULL_SECONDS, NULL_SHARE * available))


def _message(
    hanging: list[str], failure: PipelineEvent | None, notes: list[str], *, flowed: bool
) -> str:
    if hanging:
        return f"the pipeline hangs: {stuck.joined(hanging)} did not reach the state NULL"
    if failure is not None and not flowed:
        return f"the pipeline failed before it played: {failure}"
    if failure is not None:
        notes = [f"the pipeline had failed: {failure}", *(n for n in notes if n != str(failure))]
    return "; ".join([GRACEFUL, *notes])


def _is_flowing(pipeline: Gst.Pipeline) -> bool:
    """Data moves in it, or is about to: then its streams have an end to run to."""
    changed, current, pending = pipeline.get_state(0)
    if changed == Gst.StateChangeReturn.FAILURE:
        pending = current  # It is on its way no more, though GStreamer says so.
    return bool(max(current, pending) >= Gst.State.PAUSED)


def _is_taken_down(pipeline: Gst.Pipeline) -> bool:
    """By the program itself.

    Its call may wait for a source that waits to take its end, and no end can come any more.
    """
    return bool(pipeline.target_state < Gst.State.PAUSED)


async def _let_bus_be_read(pipeline: Gst.Pipeline, seconds: float) -> None:
    # NULL empties it: a program that waits for the end of the stream there would wait for good.
    bus, until = pipeline.get_bus(), time.monotonic() + seconds
    while bus.have_pending() and time.monotonic() < until:  # noqa: ASYNC110 (another thread reads)
        await asyncio.sleep(0.01)


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
