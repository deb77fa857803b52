"""The end of the stream reaches every file, whatever stands between the cameras and the sinks."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import pipelines
from dscore_agent.pipeline import PipelineBinding
from dscore_agent.pipeline.gst import GLib, Gst
from fake_server import until
from pipelines import count_frames, grown, hanging, sound_frames

CAMERA = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1"
RECORDER = "x264enc name=encoder tune=zerolatency ! mp4mux ! filesink location"
Bind = Callable[..., PipelineBinding]


@pytest_asyncio.fixture
async def bind() -> AsyncIterator[Bind]:
    """Makes bindings, all of which are stopped afterwards."""
    made: list[PipelineBinding] = []

    def make(pipeline: Any, **options: Any) -> PipelineBinding:
        made.append(PipelineBinding(pipeline, **{"stop_timeout": 5.0, **options}))
        return made[-1]

    yield make
    for binding in made:
        await binding.stop()
        binding.pipeline.set_state(Gst.State.NULL)


def whole(path: Path, encoded: list[pipelines.Frame]) -> None:
    """Every frame that was encoded is in the file, and a player finds the last of them."""
    stored = sound_frames(path)
    assert [content for _, content in stored] == [content for _, content in encoded]


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Where a connection is taken and never read."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        yield server.getsockname()[1]


@pytest.mark.parametrize("blocked", ["appsink", "tcpclientsink"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
async def test_a_tee_with_a_blocked_branch(
    bind: Bind, tmp_path: Path, deaf_port: int, blocked: str, first: bool
) -> None:
    path = tmp_path / "out.mp4"
    sinks = {
        "appsink": "appsink name=deaf max-buffers=1 sync=false",
        "tcpclientsink": f"tcpclientsink name=deaf port={deaf_port} sync=false",
    }
    branches = [
        f"t. ! queue max-size-buffers=4 ! {sinks[blocked]}",
        f"t. ! queue ! {RECORDER}={path}",
    ]
    if not first:
        branches.reverse()
    camera = CAMERA.replace("160", "640").replace("120", "480")
    binding = bind(f"{camera} ! tee name=t {' '.join(branches)}")
    taken = count_frames(binding.pipeline, "t", "sink")
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    await stands_still(taken)
    report = await binding.stop()
    assert report.ok
    assert not report.complete
    assert report.as_answer().complete is False
    assert "held up by deaf" in report.message
    whole(path, encoded)


async def stands_still(frames: list[pipelines.Frame]) -> None:
    """Waits until no more frames come."""
    async with asyncio.timeout(20):
        while True:
            before = len(frames)
            await asyncio.sleep(0.5)
            if len(frames) == before > 0:
                return


async def test_a_closed_valve(bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    binding = bind(f"{CAMERA} ! valve name=valve ! {RECORDER}={path}")
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    await until(grown(encoded, 10), "frames")
    binding.pipeline.get_by_name("valve").set_property("drop", True)
    report = await binding.stop()
    assert report.complete
    whole(path, encoded)


@pytest.mark.parametrize("queued", ["queue name=orphan !", ""], ids=["queue", "bare"])
async def test_a_mixer_whose_camera_was_removed(bind: Bind, tmp_path: Path, queued: str) -> None:
    path = tmp_path / "out.mp4"
    binding = bind(
        f"compositor name=mixer ! video/x-raw,framerate=30/1 ! {RECORDER}={path} "
        f"{CAMERA} ! mixer. videotestsrc is-live=true name=second ! {queued} mixer."
    )
    pipeline = binding.pipeline
    encoded = count_frames(pipeline, "encoder")
    await binding.start()
    await until(grown(encoded, 10), "frames")
    second = pipeline.get_by_name("second")
    second.set_state(Gst.State.NULL)
    pipeline.remove(second)
    report = await binding.stop()
    assert report.complete
    whole(path, encoded)


@pytest.mark.parametrize("muxer", ["mp4mux", "splitmuxsink"])
async def test_a_track_that_never_had_data(
    bind: Bind, tmp_path: Path, muxer: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out.mp4"
    file = f"mp4mux name=file ! filesink location={path}"
    video, audio = "file.", "file."
    if muxer == "splitmuxsink":
        file, video, audio = f"splitmuxsink name=file location={path}", "file.video", "file.audio_0"
    binding = bind(
        f"{file} {CAMERA} ! x264enc name=encoder tune=zerolatency ! h264parse ! queue ! {video} "
        "appsrc is-live=true format=time caps=audio/x-raw,format=F32LE,rate=44100,channels=1,"
        f"layout=interleaved ! audioconvert ! avenc_aac ! queue ! {audio}"
    )
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    await until(grown(encoded, 10), "frames")
    report = await binding.stop()
    assert report.complete
    assert "track_without_data" in caplog.text
    whole(path, encoded)


async def test_an_error_that_the_end_provokes_shortens_nothing_that_moves(
    bind: Bind, tmp_path: Path
) -> None:
    """One camera fails at its end, while another one's frames have seconds to go."""
    path = tmp_path / "out.mp4"
    binding = bind(
        f"{CAMERA} ! queue max-size-time=0 max-size-buffers=0 max-size-bytes=0 "
        f"! identity sleep-time=100000 ! {RECORDER}={path} "
        "videotestsrc is-live=true name=bad ! fakesink",
        stop_timeout=15.0,
        hard_timeout=20.0,
    )
    bad = binding.pipeline.get_by_name("bad")

    def fail(_: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        if info.get_event().type == Gst.EventType.EOS:
            fault = GLib.Error.new_literal(Gst.resource_error_quark(), "the camera is gone", 9)
            bad.post_message(Gst.Message.new_error(bad, fault, ""))
        return Gst.PadProbeReturn.OK

    bad.srcpads[0].add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, fail)
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    await until(grown(encoded, 12), "frames")
    report = await binding.stop()
    assert report.complete, report.message
    assert report.eos_seconds > 1.5, "there was nothing on its way"
    whole(path, encoded)


async def test_what_is_behind_an_element_that_hangs(bind: Bind, tmp_path: Path) -> None:
    """The frames that it holds are lost, and it is named; the file is not."""
    path = tmp_path / "out.mp4"
    binding = bind(
        f"{CAMERA} ! queue ! identity name=stuck signal-handoffs=true ! queue ! {RECORDER}={path}"
    )
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    await until(grown(encoded, 10), "frames")
    with hanging(binding.pipeline, "stuck") as element:
        await until(element.hangs.is_set, "hanging element")
        stopping = asyncio.create_task(binding.stop())
        await asyncio.wait_for(binding.wait(), 15)
        element.release()
        report = await stopping
    assert not report.complete
    assert "stuck hangs with data" in report.message
    whole(path, encoded)


async def test_a_camera_that_hangs(bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    pipeline = Gst.parse_launch(f"queue name=entry ! {RECORDER}={path}")
    entered, released = threading.Event(), threading.Event()
    camera = Gst.parse_bin_from_description(f"{CAMERA} ! identity name=stuck", True)
    stuck = camera.get_by_name("stuck")

    def block(*_: Any) -> None:
        if len(encoded) > 10:
            entered.set()
            released.wait()

    pipeline.add(camera)
    camera.link(pipeline.get_by_name("entry"))
    encoded = count_frames(pipeline, "encoder")
    stuck.set_property("signal-handoffs", True)
    stuck.connect("handoff", block)
    binding = bind(pipeline, embedded=False)
    try:
        await binding.start()
        await until(entered.is_set, "hanging camera")
        stopping = asyncio.create_task(binding.stop())
        await asyncio.wait_for(binding.wait(), 15)
    finally:
        released.set()
    await stopping
    whole(path, encoded)


async def test_a_source_bin_that_takes_the_end_and_goes_on(bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"

    class Stubborn(Gst.Bin):  # type: ignore[misc]
        def do_send_event(self, _: Gst.Event) -> bool:
            return True

    pipeline = Gst.parse_launch(f"queue name=entry ! {RECORDER}={path}")
    raw = "video/x-raw,width=160,height=120,framerate=30/1"
    inside = Gst.parse_bin_from_description(
        f"videotestsrc is-live=true ! capsfilter caps={raw}", True
    )
    camera = Stubborn()
    camera.add(inside)
    camera.add_pad(Gst.GhostPad.new("src", inside.srcpads[0]))
    pipeline.add(camera)
    camera.link(pipeline.get_by_name("entry"))
    encoded = count_frames(pipeline, "encoder")
    binding = bind(pipeline, embedded=False)
    await binding.start()
    await until(grown(encoded, 10), "frames")
    report = await binding.stop()
    assert report.complete, report.message
    whole(path, encoded)


@pytest.mark.timed
async def test_a_source_whose_call_does_not_return_keeps_nothing_from_stopping(bind: Bind) -> None:
    """The inactive pad of a selector holds its camera; the other one's end is that of the bus."""
    binding = bind(
        "input-selector name=s ! fakesink "
        "videotestsrc is-live=true name=shown ! s. videotestsrc is-live=true ! s."
    )
    frames = count_frames(binding.pipeline, "shown")
    await binding.start()
    await until(grown(frames, 10), "frames")
    began = time.monotonic()
    report = await binding.stop()
    assert report.ok, report.message
    assert time.monotonic() - began < 5.0 + 1.0


def connected(pipeline: Gst.Pipeline, one: str, other: str) -> threading.Event:
    """Has two webrtcbins of a pipeline find each other; set once the second one gets frames."""
    a, b = pipeline.get_by_name(one), pipeline.get_by_name(other)
    arrived = threading.Event()

    def answered(promise: Gst.Promise, *_: Any) -> None:
        reply = promise.get_reply()  # What is in it lives as long as it does.
        answer = reply.get_value("answer")
        b.emit("set-local-description", answer, Gst.Promise.new())
        a.emit("set-remote-description", answer, Gst.Promise.new())

    def offered(promise: Gst.Promise, *_: Any) -> None:
        reply = promise.get_reply()
        offer = reply.get_value("offer")
        a.emit("set-local-description", offer, Gst.Promise.new())
        b.emit("set-remote-description", offer, Gst.Promise.new())
        b.emit("create-answer", None, Gst.Promise.new_with_change_func(answered))

    def received(_: Gst.Element, pad: Gst.Pad) -> None:
        sink = Gst.ElementFactory.make("fakesink")
        pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))
        arrived.set()

    a.connect("on-ice-candidate", lambda _, line, ice: b.emit("add-ice-candidate", line, ice))
    b.connect("on-ice-candidate", lambda _, line, ice: a.emit("add-ice-candidate", line, ice))
    offering = Gst.Promise.new_with_change_func
    a.connect("on-negotiation-needed", lambda _: a.emit("create-offer", None, offering(offered)))
    b.connect("pad-added", received)
    return arrived


RTP = "vp8enc deadline=1 ! rtpvp8pay ! application/x-rtp,media=video,encoding-name=VP8,payload=96"


@pytest.mark.timed
async def test_a_transport_with_a_peer_is_no_obstacle(bind: Bind, tmp_path: Path) -> None:
    """Neither source nor sink, whatever its flags say: it keeps the end that came to it."""
    path = tmp_path / "out.mp4"
    binding = bind(
        f"webrtcbin name=a webrtcbin name=b {CAMERA} ! tee name=t ! queue ! {RTP} ! a. "
        f"t. ! queue ! {RECORDER}={path}"
    )
    pipeline = binding.pipeline
    arrived = connected(pipeline, "a", "b")
    encoded = count_frames(pipeline, "encoder")
    await binding.start()
    await until(arrived.is_set, "peer")
    await until(grown(encoded, 10), "frames")
    began = time.monotonic()
    report = await binding.stop()
    assert report.ok, report.message
    assert time.monotonic() - began < 5.0 + 1.0
    assert report.complete, report.message
    whole(path, encoded)


@pytest.mark.timed
async def test_a_transport_without_a_peer_is_named(bind: Bind, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    binding = bind(
        f"webrtcbin name=a {CAMERA} ! tee name=t ! queue max-size-buffers=4 ! {RTP} ! a. "
        f"t. ! queue ! {RECORDER}={path}"
    )
    taken = count_frames(binding.pipeline, "t", "sink")
    encoded = count_frames(binding.pipeline, "encoder")
    await binding.start()
    await stands_still(taken)
    began = time.monotonic()
    report = await binding.stop()
    assert report.ok, report.message
    assert time.monotonic() - began < 5.0 + 1.0
    assert "held up by a" in report.message
    whole(path, encoded)


async def test_one_that_is_bound_after_its_end(bind: Bind) -> None:
    pipeline = Gst.parse_launch("videotestsrc num-buffers=3 ! fakesink")
    pipeline.set_state(Gst.State.PLAYING)
    ended = pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.EOS)
    assert ended is not None
    report = await bind(pipeline).stop()
    assert report.complete
    assert report.eos_seconds < 5


async def test_one_that_its_program_takes_to_null(bind: Bind) -> None:
    late = "videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink name=late sync=true"
    pipeline = Gst.parse_launch(late)
    binding = bind(pipeline, stop_timeout=30.0, hard_timeout=60.0)
    shown = count_frames(pipeline, "late", "sink")
    await binding.start()
    # An end that comes before the first frame is one at once.
    await until(lambda: len(shown) == 2, "second frame")
    waits = asyncio.Event()

    async def progress(stage: str, _: int) -> None:
        assert stage == "eos"
        waits.set()

    stopping = asyncio.create_task(binding.stop(progress))
    await asyncio.wait_for(waits.wait(), 30)
    await asyncio.to_thread(pipeline.set_state, Gst.State.NULL)
    report = await stopping
    assert report.ok
    assert not report.complete
    words = "; the program stopped the pipeline before its streams had ended"
    assert report.message.endswith(words)
    assert report.eos_seconds < 20
