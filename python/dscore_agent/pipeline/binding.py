"""A GStreamer pipeline under an agent: it starts, tells what happens in it, and stops when asked.

    binding = PipelineBinding("v4l2src ! x264enc ! mp4mux ! filesink location=out.mp4")
    agent = Agent(config, on_terminate=binding.on_terminate)
    async with binding:
        exit_code = await agent.run()

The loop waits for no element: everything that may hang is called in a thread of its own.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Any

from dscore_agent.errors import PipelineError
from dscore_agent.events import Kind, PipelineEvent, StopReport
from dscore_agent.hooks import Hook, HookQueue, call, within
from dscore_agent.log import LineLimit, Log
from dscore_agent.pipeline.bus import BusReader, call_on, is_watched
from dscore_agent.pipeline.forced import ExitGuard
from dscore_agent.pipeline.glib import GLibThread, is_turned_elsewhere
from dscore_agent.pipeline.gst import GLib, Gst
from dscore_agent.pipeline.report import Reporter
from dscore_agent.pipeline.stop import Ending, Progress, Stopping, first_of, streams_seconds
from dscore_agent.pipeline.walk import changing, has_live_source, is_source, waiting_sinks
from dscore_agent.termination import TerminateAnswer, TerminateRequest

ANSWER_SECONDS = 1.0
"""Of the hard timeout: for the answer to get out, and for the process to end by itself."""
ANSWER_SHARE = 0.2
"""The same of a short one."""
PREROLL_SECONDS = 10.0
"""A sink that has no frame by then is worth a warning."""
QUERY_SECONDS = 1.0
MAX_LOGGED = 100
"""Different faults that are remembered as logged; beyond it all of them are forgotten."""

_log = Log("dscore.agent.pipeline")


class PipelineBinding:
    """One pipeline, bound to the asyncio loop that starts it."""

    def __init__(
        self,
        pipeline: Gst.Pipeline | str,
        *,
        stop_timeout: float = 5.0,
        hard_timeout: float = 10.0,
        on_bus_message: Hook | None = None,
        embedded: bool | None = None,
        force_exit: bool = True,
    ) -> None:
        """Takes a pipeline, or builds one.

        Args:
            pipeline: Yours, or what you would type after gst-launch-1.0.
            stop_timeout: Seconds for the streams to run to their ends.
            hard_timeout: Seconds from `on_terminate` to the end of the process, whatever hangs.
            on_bus_message: Called with each `PipelineEvent`, sync or async.
            embedded: True: your program plays the pipeline, reads its bus and runs a GLib main
                loop, the binding only listens. False: the binding does all of that. None: embedded
                if the bus has a watch by the start; a launch string is never embedded.
            force_exit: End the process at `hard_timeout` when the pipeline hangs.

        Raises:
            PipelineError: The description makes no pipeline.
        """
        self._ours = isinstance(pipeline, str)
        self.pipeline = _parse(pipeline) if isinstance(pipeline, str) else pipeline
        self._stop_timeout = stop_timeout
        self._hard_timeout = hard_timeout
        self._answer_seconds = min(ANSWER_SECONDS, ANSWER_SHARE * hard_timeout)
        self._hook = on_bus_message
        self._hooks = HookQueue()
        self._embedded = False if self._ours else embedded
        self._force_exit = force_exit
        self._reporter: Reporter | None = None
        self._ending = Ending()
        self._log_limit = LineLimit(_log, "the pipeline causes too many")
        self._logged: set[tuple[Kind, str, str]] = set()
        """Faults that the log has already; elements repeat themselves with each attempt."""
        self._bus: BusReader | None = None
        self._glib: GLibThread | None = None
        self._signals: list[int] = []
        self._starting: asyncio.Task[Gst.StateChangeReturn] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_live = False
        self._is_given_up = False
        """Stopped while an element hung on its way to PAUSED, it shall not go on from there."""
        self._stopping: asyncio.Task[StopReport] | None = None

    def report_to(self, send: Callable[[dict[str, Any]], object], kinds: Collection[Kind]) -> None:
        """From now on tells the server of events of these kinds; `send` is `Agent.send`."""
        self._reporter = Reporter(send, kinds)

    async def start(self) -> None:
        """Attaches to the pipeline, and plays it unless the program does that itself.

        Returns when the elements have taken the order, which may be before data flows.

        Raises:
            PipelineError: An element refused; the pipeline is stopped again.
        """
        self._attach()
        if self._embedded:
            return
        self._starting = asyncio.create_task(call(self._play))
        started = await asyncio.shield(self._starting)
        if self._stopping is not None:
            return  # Stopped before it played: no element is to blame for that.
        if started != Gst.StateChangeReturn.FAILURE:
            return
        await self.stop()
        cause = self._ending.error
        raise PipelineError(str(cause) if cause else "the pipeline does not start")

    async def wait(self) -> PipelineEvent | None:
        """Waits until the pipeline is over.

        Returns:
            Its first error; None when it reached its end or was stopped.
        """
        ending = self._ending
        await first_of(ending.eos, ending.failed, ending.stopped)
        return ending.error

    async def is_live(self) -> bool:
        """Its data comes as time goes by, as from a camera: it has no end of its own."""
        if self._is_live:
            return True
        # A program has played it, or a source was made later. Sinks at their end ask no more.
        asking = asyncio.ensure_future(call(has_live_source, self.pipeline))
        return await within(asking, QUERY_SECONDS) and bool(asking.result())

    async def stop(
        self, progress: Progress | None = None, *, deadline: float | None = None
    ) -> StopReport:
        """Ends every stream, then the pipeline. Asked again, it gives the same report.

        Args:
            progress: Told each second, after the first one, the stage and the milliseconds it may
                still take.
            deadline: Moment of `time.monotonic()` at which the report is due at the latest.
        """
        if self._stopping is None:
            due = time.monotonic() + self._hard_timeout - self._answer_seconds
            due = due if deadline is None else min(due, deadline)
            self._stopping = asyncio.create_task(self._stop(progress, due))
        # A caller that is cancelled stops waiting; the pipeline is stopped all the same.
        return await asyncio.shield(self._stopping)

    async def close(self) -> None:
        """Leaves the pipeline as it is, and hears no more of it. Idempotent."""
        if self._watching is not None:
            self._watching.cancel()
        if self._bus is not None:
            self._bus.close()
        while self._signals:
            self.pipeline.disconnect(self._signals.pop())
        if self._glib is not None:
            await call(self._glib.close)
        await self._hooks.close()

    async def on_terminate(self, request: TerminateRequest) -> TerminateAnswer:
        """What `Agent(on_terminate=…)` calls: stops the pipeline and says how it went.

        Where something hangs, this process is ended by force when the time is up.
        """
        limit = min(time.monotonic() + self._hard_timeout, request.deadline)
        guard = ExitGuard(limit) if self._force_exit else None
        report = await self.stop(request.progress, deadline=limit - self._answer_seconds)
        if guard is not None and report.ok:
            guard.disarm()
        return report.as_answer()

    async def __aenter__(self) -> "PipelineBinding":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _attach(self) -> None:
        if self._bus is not None:
            return
        if self._embedded is None:
            self._embedded = is_watched(self.pipeline.get_bus())
        self._warn_of_times()
        self._bus = BusReader(self.pipeline, self._see, self._see_playing)
        self._watching = asyncio.create_task(self._watch_preroll())
        if self._embedded:
            self._bus.listen()
        else:
            self._bus.drain()
            self._glib = None if is_turned_elsewhere() else GLibThread()
        loop = asyncio.get_running_loop()

        def tell(_: Gst.Bin, element: Gst.Element, kind: Kind) -> None:
            # In the thread that changes the pipeline.
            if is_source(element):
                call_on(loop, self._see, PipelineEvent(kind=kind, source=element.get_name()))

        self._signals = [
            self.pipeline.connect("element-added", tell, "stream_added"),
            self.pipeline.connect("element-removed", tell, "stream_removed"),
        ]

    async def _stop(self, progress: Progress | None, deadline: float) -> StopReport:
        self._attach()
        if self._starting is not None:
            # Half started it would go to NULL as if no data had flowed, and then data may have.
            timeout = min(self._stop_timeout / 2, deadline - time.monotonic())
            self._is_given_up = not await within(asyncio.shield(self._starting), timeout)
        stopping = Stopping(
            self.pipeline,
            self._ending,
            eos_timeout=self._stop_timeout,
            deadline=deadline,
            progress=progress,
        )
        report = await stopping.run()
        await self.close()
        self._ending.stopped.set()
        return report

    def _play(self) -> Gst.StateChangeReturn:
        # In two steps: only the way to PAUSED tells whether data comes as time goes by.
        changed = self.pipeline.set_state(Gst.State.PAUSED)
        self._is_live = changed == Gst.StateChangeReturn.NO_PREROLL
        if changed == Gst.StateChangeReturn.FAILURE or self._is_given_up:
            return changed
        return self.pipeline.set_state(Gst.State.PLAYING)

    def _warn_of_times(self) -> None:
        in_force = streams_seconds(self._stop_timeout, self._hard_timeout - self._answer_seconds)
        if in_force < self._stop_timeout:
            _log.warning(
                "pipeline_stop_timeout_too_long",
                pipeline_stop_timeout_sec=self._stop_timeout,
                graceful_shutdown_timeout_sec=self._hard_timeout,
                in_force_sec=round(in_force, 3),
                remedy="the second must leave the elements and the answer two seconds more",
            )

    async def _watch_preroll(self) -> None:
        """Warns, once, of sinks that wait for their first frame in vain."""
        # A program plays it when it likes; its bus tells no wish, only what has come about.
        while self.pipeline.target_state < Gst.State.PAUSED:  # noqa: ASYNC110
            await asyncio.sleep(1.0)
        await asyncio.sleep(PREROLL_SECONDS)
        waiting = waiting_sinks(self.pipeline) or changing(self.pipeline)
        if waiting:
            _log.warning(
                "pipeline_not_playing", waiting=", ".join(waiting), seconds=PREROLL_SECONDS
            )

    def _see_playing(self) -> None:
        _log.info("pipeline_playing", pipeline=self.pipeline.get_name())

    def _see(self, event: PipelineEvent) -> None:
        log = self._log_limit
        say = {"error": log.error, "warning": log.warning}.get(event.kind, log.info)
        if event.kind not in ("error", "warning") or self._is_new(event):
            say(f"pipeline_{event.kind}", source=event.source, message=event.message)
        self._ending.see(event)
        self._hooks.put(self._hook, event)
        if self._reporter is not None:
            self._reporter.see(event)

    def _is_new(self, event: PipelineEvent) -> bool:
        fault = (event.kind, event.source, event.message)
        if fault in self._logged:
            return False
        if len(self._logged) == MAX_LOGGED:
            self._logged.clear()
        self._logged.add(fault)
        return True


def _parse(description: str) -> Gst.Pipeline:
    try:
        parsed = Gst.parse_launch(description)
    except GLib.Error as error:
        place = f": {description}" if description.strip() else ""
        raise PipelineError(f"{error.message}{place}") from None
    if isinstance(parsed, Gst.Pipeline):
        return parsed
    # A single element or bin is given as it is.
    pipeline = Gst.Pipeline.new(None)
    pipeline.add(parsed)
    return pipeline
