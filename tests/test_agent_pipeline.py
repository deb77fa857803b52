"""Pipelines that play, fail, hang and end, without a server."""

import asyncio
import gc
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

import pipelines
from dscore_agent.pipeline import PipelineBinding, PipelineError, PipelineEvent
from dscore_agent.pipeline.gst import GLib, Gst
from dscore_agent.termination import GRACEFUL, TerminateRequest
from fake_server import until
from pipelines import count_frames, grown, hanging, recorded_frames

LIVE = "videotestsrc is-live=true name=camera ! video/x-raw,width=160,height=120,framerate=30/1"
MP4 = "x264enc name=encoder ! mp4mux ! filesink"
MJPEG = "jpegenc name=encoder ! matroskamux ! filesink"

Bind = Callable[..., PipelineBinding]


@pytest_asyncio.fixture
async def bind() -> AsyncIterator[Bind]:
    """Makes bindings, all of which are stopped afterwards."""
    made: list[PipelineBinding] = []

    def make(pipeline: Any, **options: Any) -> PipelineBinding:
        made.append(PipelineBinding(pipeline, **options))
        return made[-1]

    yield make
    for binding in made:
        await binding.stop()
        binding.pipeline.set_state(Gst.State.NULL)


def request(seconds: float = 60.0, progress: Any = None) -> TerminateRequest:
    async def ignore(stage: str, need_ms: int) -> None:
        pass

    return TerminateRequest("test", "r-1", time.monotonic() + seconds, progress or ignore)


@pytest.mark.parametrize(
    ("recorder", "demuxer"), [(MP4, "qtdemux"), (MJPEG, "matroskademux")], ids=["h264", "mjpeg"]
)
async def test_every_frame_of_a_live_camera_is_in_the_recording(
    bind: Bind, tmp_path: Path, recorder: str, demuxer: str
) -> None:
    path = tmp_path / "recording"
    binding = bind(f"{LIVE} ! queue ! {recorder} location={path}")
    taken = count_frames(binding.pipeline, "camera")
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    await until(grown(taken, 15), "frames")
    report = await binding.stop()
    assert report.ok
    assert report.complete
    assert report.message == GRACEFUL
    assert len(encoded) == len(taken) >= 15
    assert [content for _, content in recorded_frames(path, demuxer)] == [
        content for _, content in encoded
    ]
    assert pipelines.duration_seconds(path) == pytest.approx(len(taken) / 30, abs=0.05)


async def test_a_file_that_is_played_fast_is_ended_where_it_was(bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    binding = bind(f"videotestsrc name=camera ! queue ! {MJPEG} location={path}")
    taken = count_frames(binding.pipeline, "camera")
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    await until(grown(taken, 100), "frames")
    report = await binding.stop()
    assert report.complete
    assert len(encoded) == len(taken)
    assert len(recorded_frames(path, "matroskademux")) == len(taken)


async def test_every_source_is_ended(bind: Bind, tmp_path: Path) -> None:
    """Plain sources, one in a bin, one fed by the program; recordings of all of them are whole."""
    paths = [tmp_path / f"{number}.mkv" for number in range(3)]
    launch = " ".join(
        f"{source} ! jpegenc name=encoder{number} ! matroskamux ! filesink location={path}"
        for number, (source, path) in enumerate(
            zip(
                (
                    "videotestsrc is-live=true",
                    "( videotestsrc is-live=true ! queue )",
                    "appsrc name=app is-live=true format=time do-timestamp=true "
                    "caps=video/x-raw,format=I420,width=16,height=16,framerate=30/1",
                ),
                paths,
                strict=True,
            )
        )
    )
    binding = bind(launch)
    encoded = [count_frames(binding.pipeline, f"encoder{number}") for number in range(3)]
    await binding.start()
    app = binding.pipeline.get_by_name("app")
    while min(map(len, encoded)) < 3:
        app.emit("push-buffer", Gst.Buffer.new_wrapped(bytes(384)))
        await asyncio.sleep(0.01)
    report = await binding.stop()
    assert report.complete
    for path, frames in zip(paths, encoded, strict=True):
        assert len(recorded_frames(path, "matroskademux")) == len(frames)


async def test_a_source_that_refuses_the_event_is_ended_all_the_same(bind: Bind) -> None:
    pipeline = Gst.parse_launch("tee name=pretender ! queue ! fakesink async=false")
    pretender = pipeline.get_by_name("pretender")
    pretender.remove_pad(pretender.get_static_pad("sink"))
    binding = bind(pipeline)
    await binding.start()
    pretender.srcpads[0].push_event(Gst.Event.new_stream_start("s"))
    assert (await binding.stop()).complete


async def test_a_source_bin_that_swallows_the_event_is_ended_all_the_same(
    bind: Bind, tmp_path: Path
) -> None:
    """As DeepStream's RTSP sources do, which would reconnect after it."""
    path = tmp_path / "recording"
    pipeline = Gst.parse_launch(f"{MJPEG} location={path}")
    camera = Gst.parse_bin_from_description(
        "videotestsrc is-live=true ! identity name=gate ! queue", True
    )
    pipeline.add(camera)
    camera.link(pipeline.get_by_name("encoder"))

    def swallow(_: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        is_end = info.get_event().type == Gst.EventType.EOS
        return Gst.PadProbeReturn.DROP if is_end else Gst.PadProbeReturn.OK

    gate = camera.get_by_name("gate").get_static_pad("src")
    gate.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, swallow)
    encoded = count_frames(pipeline, "encoder")
    binding = bind(pipeline, stop_timeout=2.0)
    await binding.start()
    await until(grown(encoded, 5), "frames")
    report = await binding.stop()
    assert report.complete
    assert len(recorded_frames(path, "matroskademux")) == len(encoded)


async def test_a_paused_pipeline_is_played_to_its_end(bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    pipeline = Gst.parse_launch(f"videotestsrc name=camera ! queue ! {MJPEG} location={path}")
    binding = bind(pipeline, embedded=True)
    encoded = count_frames(pipeline, "encoder")
    await binding.start()
    pipeline.set_state(Gst.State.PAUSED)
    await until(grown(encoded, 1), "frames")
    assert (await binding.stop()).complete
    assert len(recorded_frames(path, "matroskademux")) == len(encoded)


@pytest.mark.timed
async def test_stopping_during_preroll_does_not_wait_for_data(bind: Bind) -> None:
    binding = bind("appsrc ! fakesink")
    await binding.start()
    _, current, pending = binding.pipeline.get_state(0)
    assert (current, pending) == (Gst.State.READY, Gst.State.PLAYING) or current < pending
    report = await binding.stop()
    assert report.complete
    assert report.eos_seconds < 1.0


@pytest.mark.timed
@pytest.mark.parametrize("state", ["NULL", "READY"])
async def test_a_pipeline_that_does_not_play_is_stopped_at_once(bind: Bind, state: str) -> None:
    pipeline = Gst.parse_launch("videotestsrc ! fakesink")
    pipeline.set_state(getattr(Gst.State, state))
    report = await bind(pipeline).stop()
    assert report.ok
    assert report.complete
    assert report.eos_seconds < 0.5


@pytest.mark.timed
async def test_a_pipeline_that_has_ended_is_stopped_at_once(bind: Bind) -> None:
    binding = bind("videotestsrc num-buffers=3 ! fakesink")
    await binding.start()
    assert await asyncio.wait_for(binding.wait(), 10) is None
    report = await binding.stop()
    assert report.complete
    assert report.eos_seconds < 0.5


def play_up_to(pipeline: Gst.Pipeline, end: int) -> None:
    """Plays from the start to a time, whatever was played before."""
    ways = (Gst.SeekFlags.FLUSH, Gst.SeekType.SET, 0, Gst.SeekType.SET, end)
    assert pipeline.seek(1.0, Gst.Format.TIME, *ways)


async def test_the_end_of_an_earlier_round_does_not_count(bind: Bind) -> None:
    """A program that plays a file in a loop seeks back at its end."""
    binding = bind("videotestsrc ! queue max-size-buffers=2 ! identity name=slow ! fakesink")
    pipeline, slow = binding.pipeline, binding.pipeline.get_by_name("slow")
    pipeline.set_state(Gst.State.PAUSED)
    pipeline.get_state(Gst.CLOCK_TIME_NONE)
    play_up_to(pipeline, Gst.SECOND // 10)
    await binding.start()
    assert await asyncio.wait_for(binding.wait(), 30) is None
    frames = count_frames(pipeline, "slow")
    slow.set_property("sleep-time", 300_000)
    play_up_to(pipeline, 3600 * Gst.SECOND)
    await until(grown(frames, 2), "frames")
    report = await binding.stop()
    assert report.complete
    # What waited for the slow element was played to its end, which is not the one of before.
    assert report.eos_seconds > 0.3


@pytest.mark.timed
async def test_a_failed_pipeline_stops_and_says_so(bind: Bind) -> None:
    binding = bind("videotestsrc is-live=true ! identity error-after=3 name=broken ! fakesink")
    await binding.start()
    error = await asyncio.wait_for(binding.wait(), 10)
    assert error is not None
    assert error.source == "broken"
    report = await binding.stop()
    assert report.ok
    assert "broken" in report.message
    assert report.eos_seconds < 2.0


async def test_the_healthy_branch_of_a_failed_pipeline_keeps_its_recording(
    bind: Bind, tmp_path: Path
) -> None:
    path = tmp_path / "recording"
    binding = bind(
        f"{LIVE} ! {MJPEG} location={path} "
        "videotestsrc is-live=true ! identity error-after=3 ! fakesink"
    )
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    assert await asyncio.wait_for(binding.wait(), 10) is not None
    await until(grown(encoded, 10), "frames")
    assert (await binding.stop()).ok
    assert len(recorded_frames(path, "matroskademux")) == len(encoded)


async def test_a_stream_without_an_end_is_named_and_given_up(bind: Bind) -> None:
    """A sink that waits for the time of its frame holds the end up, but does stop."""
    binding = bind(
        "videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink name=late sync=true",
        stop_timeout=0.3,
    )
    late = binding.pipeline.get_by_name("late")
    await binding.start()
    await until(lambda: late.current_state == Gst.State.PLAYING, "state")
    report = await binding.stop()
    assert report.ok
    assert not report.complete
    assert "no end of stream in time at late" in report.message
    assert report.message.startswith(GRACEFUL)


async def test_an_answer_names_so_many_elements_and_no_more(bind: Bind) -> None:
    long = "x" * 1000
    sinks = " ".join(f"t. ! queue ! fakesink name={long}{n} sync=true" for n in range(30))
    binding = bind(
        f"videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! tee name=t {sinks}",
        stop_timeout=0.3,
    )
    await binding.start()
    late = binding.pipeline.get_by_name(f"{long}0")
    await until(lambda: late.current_state == Gst.State.PLAYING, "state")
    report = await binding.stop()
    assert not report.complete
    assert f"no end of stream in time at {'x' * 200}, " in report.message
    assert " and 10 more" in report.message
    assert len(report.message) < 3 * 20 * 210 + 200, "three kinds of places"


@pytest.mark.timed
async def test_a_sink_that_hangs_is_named(bind: Bind) -> None:
    binding = bind(
        "videotestsrc is-live=true ! tee name=t ! queue ! fakesink async=false name=fine "
        "t. ! queue ! fakesink async=false name=stuck",
        stop_timeout=0.2,
        hard_timeout=1.5,
    )
    with hanging(binding.pipeline, "stuck") as sink:
        await binding.start()
        await until(sink.hangs.is_set, "hanging sink")
        began = time.monotonic()
        report = await binding.stop()
        assert time.monotonic() - began < 1.5
        assert not report.ok
        assert report.as_answer().status == "ERROR"
        assert "stuck" in report.message
        assert "fine" not in report.message
    # Released, the thread that asks for NULL gets it: nothing is left behind.
    await until(lambda: binding.pipeline.current_state == Gst.State.NULL, "state")


async def test_an_element_that_hangs_at_the_start_is_named(bind: Bind) -> None:
    entered, released = threading.Event(), threading.Event()

    class StuckSink(Gst.Bin):  # type: ignore[misc]
        def do_change_state(self, change: Gst.StateChange) -> Gst.StateChangeReturn:
            if change == Gst.StateChange.READY_TO_PAUSED:
                entered.set()
                released.wait()
            return Gst.Bin.do_change_state(self, change)

    pipeline = Gst.Pipeline.new(None)
    stuck = StuckSink(name="stuck")
    pipeline.add(stuck)
    binding = bind(pipeline, stop_timeout=0.2, hard_timeout=1.5)
    starting = asyncio.create_task(binding.start())
    try:
        await until(entered.is_set, "hanging element")
        report = await binding.stop()
        assert not report.ok
        assert "stuck" in report.message
    finally:
        released.set()
        await starting


async def test_stopped_while_it_starts_it_plays_to_its_end(bind: Bind, tmp_path: Path) -> None:
    """Frames flow before the camera says that it has started: they are not to be lost."""
    released = threading.Event()

    class SlowCamera(Gst.Bin):  # type: ignore[misc]
        def do_change_state(self, change: Gst.StateChange) -> Gst.StateChangeReturn:
            changed = Gst.Bin.do_change_state(self, change)
            if change == Gst.StateChange.PAUSED_TO_PLAYING:
                released.wait()
            return changed

    path = tmp_path / "recording"
    pipeline = Gst.parse_launch(f"{MJPEG} location={path}")
    inside = Gst.parse_bin_from_description("videotestsrc is-live=true", True)
    camera = SlowCamera()
    camera.add(inside)
    camera.add_pad(Gst.GhostPad.new("src", inside.srcpads[0]))
    pipeline.add(camera)
    camera.link(pipeline.get_by_name("encoder"))
    binding = bind(pipeline, stop_timeout=20.0, hard_timeout=40.0)
    encoded = count_frames(pipeline, "encoder")
    starting = asyncio.create_task(binding.start())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(binding.stop())
    try:
        await until(grown(encoded, 1), "frames")
    finally:
        released.set()
    report = await stopping
    await starting
    assert report.complete
    assert len(recorded_frames(path, "matroskademux")) == len(encoded) >= 1


async def test_stopped_before_its_first_frame_it_is_complete(bind: Bind) -> None:
    binding = bind(f"{LIVE} ! fakesink")
    starting = asyncio.create_task(binding.start())
    await asyncio.sleep(0)
    assert (await binding.stop()).complete
    await starting


async def test_progress_is_told_while_it_takes_long(
    bind: Bind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dscore.agent")
    told: list[tuple[str, int]] = []

    async def progress(stage: str, need_ms: int) -> None:
        told.append((stage, need_ms))
        raise ConnectionError("the caller has left")

    binding = bind(
        "videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink name=sink sync=true",
        stop_timeout=2.2,
    )
    frames = count_frames(binding.pipeline, "sink", "sink")
    await binding.start()
    # Before the first frame its end would be at once.
    await until(grown(frames, 1), "frame")
    assert (await binding.stop(progress)).ok
    assert [stage for stage, _ in told] == ["eos", "eos"]
    assert 9000 > told[0][1] > told[1][1] > 0
    # To the millisecond, as all seconds of the log: it had fifteen digits.
    left = re.findall(r"seconds_left=([\d.]+)", caplog.text)
    assert len(left) == 2
    assert all(len(seconds.partition(".")[2]) <= 3 for seconds in left)


async def test_asked_twice_it_stops_once(bind: Bind) -> None:
    binding = bind(f"{LIVE} ! fakesink", force_exit=False)
    await binding.start()
    answers = await asyncio.gather(*(binding.on_terminate(request()) for _ in range(2)))
    assert answers[0] == answers[1]
    assert answers[0].is_ok
    assert await binding.on_terminate(request()) == answers[0]


async def test_a_caller_that_gives_up_does_not_stop_the_stopping(bind: Bind) -> None:
    binding = bind(f"{LIVE} ! fakesink")
    await binding.start()
    waiting = asyncio.create_task(binding.stop())
    await asyncio.sleep(0)
    waiting.cancel()
    assert (await binding.stop()).complete


async def test_faults_and_streams_become_events(bind: Bind) -> None:
    events: list[PipelineEvent] = []
    binding = bind("videotestsrc is-live=true ! fakesink name=sink", on_bus_message=events.append)
    await binding.start()
    pipeline, sink = binding.pipeline, binding.pipeline.get_by_name("sink")

    def seen() -> list[tuple[str, str]]:
        return [(event.kind, event.source) for event in events]

    extra = Gst.parse_bin_from_description("videotestsrc is-live=true ! fakesink", False)
    extra.set_name("extra")
    pipeline.add(extra)
    extra.sync_state_with_parent()
    await until(lambda: ("stream_added", "extra") in seen(), "stream event")
    extra.set_state(Gst.State.NULL)
    pipeline.remove(extra)
    await until(lambda: ("stream_removed", "extra") in seen(), "stream event")

    fault = GLib.Error.new_literal(Gst.stream_error_quark(), "lens is dirty", 1)
    sink.post_message(Gst.Message.new_warning(sink, fault, "wipe it"))
    structure = Gst.Structure.new_empty("stream-add")
    structure.set_value("source-id", 7)
    structure.set_value("sensor-id", "door")
    sink.post_message(Gst.Message.new_element(sink, structure))
    await until(lambda: len(events) >= 4, "events")
    warning, added = events[2:4]
    assert (warning.kind, warning.message) == ("warning", "lens is dirty")
    assert warning.details["debug"] == "wipe it"
    assert (added.kind, added.details) == ("stream_added", {"source_id": 7, "sensor_id": "door"})
    await binding.stop()
    await until(lambda: seen()[-1] == ("eos", pipeline.get_name()), "end of stream")


async def test_events_are_reported_where_wanted(bind: Bind) -> None:
    sent: list[dict[str, Any]] = []
    binding = bind("videotestsrc num-buffers=2 ! identity error-after=2 name=broken ! fakesink")
    binding.report_to(sent.append, ["error"])
    await binding.start()
    await until(lambda: sent, "report")
    assert sent[0]["type"] == "pipeline_event"
    assert (sent[0]["kind"], sent[0]["source"]) == ("error", "broken")


async def test_a_pipeline_that_does_not_start_says_why(bind: Bind, tmp_path: Path) -> None:
    binding = bind(f"filesrc location={tmp_path / 'absent'} name=reader ! fakesink")
    with pytest.raises(PipelineError, match="reader"):
        await binding.start()
    assert binding.pipeline.current_state == Gst.State.NULL


@pytest.mark.parametrize("launch", ["no-such-element ! fakesink", "videotestsrc ! !", ""])
def test_a_description_that_makes_no_pipeline_is_refused(launch: str) -> None:
    with pytest.raises(PipelineError):
        PipelineBinding(launch)


async def test_a_program_keeps_the_messages_of_its_bus(bind: Bind) -> None:
    """Its own GLib loop reads the bus in another thread: it gets all, and so do we."""
    pipeline = Gst.parse_launch("videotestsrc is-live=true ! fakesink name=sink")
    context = GLib.MainContext.default()
    loop = GLib.MainLoop.new(context, False)
    theirs: list[str] = []
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", lambda _, message: theirs.append(message.type.first_value_nick))
    program = threading.Thread(target=loop.run)
    program.start()
    try:
        events: list[PipelineEvent] = []
        binding = bind(pipeline, on_bus_message=events.append)
        await binding.start()
        assert pipeline.current_state == Gst.State.NULL, "it plays its pipeline itself"
        pipeline.set_state(Gst.State.PLAYING)
        await until(lambda: pipeline.current_state == Gst.State.PLAYING, "state")
        assert (await binding.stop()).complete
        await until(lambda: "eos" in theirs, "end of stream")
        assert "state-changed" in theirs
        assert [event.kind for event in events] == ["eos"]
    finally:
        GLib.idle_add(loop.quit)
        program.join(10)
        bus.remove_signal_watch()


async def test_elements_that_need_a_glib_loop_have_one(bind: Bind) -> None:
    called = threading.Event()
    binding = bind("videotestsrc is-live=true ! fakesink")
    await binding.start()
    GLib.idle_add(lambda: called.set())
    await until(called.is_set, "call")


@pytest.mark.timed
async def test_the_loop_never_waits_for_an_element(bind: Bind) -> None:
    """Even while one hangs: the greatest gap between two turns stays small."""
    binding = bind(
        "videotestsrc is-live=true ! fakesink name=stuck async=false",
        stop_timeout=0.2,
        hard_timeout=1.5,
    )
    gaps: list[float] = []

    async def watch() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    watching = asyncio.create_task(watch())
    with hanging(binding.pipeline, "stuck") as sink:
        await binding.start()
        await until(sink.hangs.is_set, "hanging sink")
        await binding.stop()
    watching.cancel()
    assert max(gaps) < 0.5


async def test_nothing_is_left_after_many_pipelines() -> None:
    async with PipelineBinding("videotestsrc is-live=true ! fakesink"):
        pass  # GLib and the plugins keep what they open once.
    gc.collect()
    descriptors = psutil.Process().num_fds()
    threads = threading.active_count()
    for _ in range(30):
        async with PipelineBinding("videotestsrc is-live=true ! fakesink"):
            pass
    await until(lambda: threading.active_count() <= threads, "ended threads")
    gc.collect()
    assert psutil.Process().num_fds() <= descriptors
