"""What tests of pipelines share: frames counted, recordings read back, a sink that hangs."""

import hashlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "dscore_agent.pipeline",
    reason="GStreamer for Python is not installed: make setup-gst",
    exc_type=ImportError,
)

from dscore_agent.pipeline.gst import Gst

with warnings.catch_warnings():
    # As in dscore_agent.pipeline.gst.
    warnings.simplefilter("ignore")
    import gi

    # The last two only for what their types do to answers of webrtcbin.
    for namespace in ("GstPbutils", "GstSdp", "GstWebRTC"):
        gi.require_version(namespace, "1.0")
    from gi.repository import GstPbutils, GstSdp, GstWebRTC  # noqa: F401

Frame = tuple[int, str]
"""Time stamp in ns, and what is in it."""

END_SECONDS = 20


def count_frames(pipeline: Gst.Pipeline, element: str, pad: str = "src") -> list[Frame]:
    """Every frame that leaves an element from now on. The list grows as they pass."""
    frames: list[Frame] = []

    def passes(_: Any, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        frames.append(_frame(info.get_buffer()))
        return Gst.PadProbeReturn.OK

    pipeline.get_by_name(element).get_static_pad(pad).add_probe(Gst.PadProbeType.BUFFER, passes)
    return frames


def recorded_frames(path: Path, demuxer: str) -> list[Frame]:
    """Every frame of a recording, as it was stored; the file must be sound to its end."""
    pipeline = Gst.parse_launch(
        f'filesrc location="{path}" ! {demuxer} ! identity name=out ! fakesink sync=false'
    )
    frames = count_frames(pipeline, "out")
    play_to_end(pipeline)
    return frames


def decoded_frames(path: Path) -> list[Frame]:
    """Every picture of a recording, as a player would show it."""
    return recorded_frames(path, "decodebin")


def play_to_end(pipeline: Gst.Pipeline) -> None:
    """Plays all there is.

    Raises:
        AssertionError: It ended with an error, or not at all.
    """
    try:
        pipeline.set_state(Gst.State.PLAYING)
        message = pipeline.get_bus().timed_pop_filtered(
            END_SECONDS * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR
        )
        assert message is not None, "the recording did not end"
        assert message.type == Gst.MessageType.EOS, message.parse_error()
    finally:
        pipeline.set_state(Gst.State.NULL)


def duration_seconds(path: Path) -> float:
    """The length of a recording, as a player would say it; it has exactly one video stream."""
    found = GstPbutils.Discoverer.new(END_SECONDS * Gst.SECOND).discover_uri(path.as_uri())
    assert len(found.get_video_streams()) == 1
    return float(found.get_duration() / Gst.SECOND)


def sound_frames(path: Path) -> list[Frame]:
    """Every frame of an MP4 of 30 frames a second, which discoverer and player find to its last."""
    frames = recorded_frames(path, "qtdemux")
    assert len(decoded_frames(path)) == len(frames) > 0
    # From the first frame to the last, those between them that were lost on the way included.
    first, last = min(pts for pts, _ in frames), max(pts for pts, _ in frames)
    length = (last - first) / Gst.SECOND + 1 / 30
    assert duration_seconds(path) == pytest.approx(length, abs=0.1)
    return frames


class HangingSink:
    """Makes a fakesink hang at its next frame, as a device does whose driver is stuck.

    It does not take notice of a state change either, until it is released.
    """

    def __init__(self, pipeline: Gst.Pipeline, name: str) -> None:
        self.hangs = threading.Event()
        self._released = threading.Event()
        sink = pipeline.get_by_name(name)
        sink.set_property("signal-handoffs", True)
        sink.connect("handoff", self._block)

    def _block(self, *_: Any) -> None:
        self.hangs.set()
        self._released.wait()

    def release(self) -> None:
        """Lets the frames flow again."""
        self._released.set()


@contextmanager
def hanging(pipeline: Gst.Pipeline, name: str) -> Iterator[HangingSink]:
    """A hanging sink that is released afterwards, so that its thread can end."""
    sink = HangingSink(pipeline, name)
    try:
        yield sink
    finally:
        sink.release()


def grown(frames: list[Frame], number: int) -> Callable[[], bool]:
    """A condition: so many frames have passed."""
    return lambda: len(frames) >= number


def _frame(buffer: Gst.Buffer) -> Frame:
    content = buffer.extract_dup(0, buffer.get_size())
    return buffer.pts, hashlib.sha256(content).hexdigest()
