"""Looking into pipelines, whatever their elements do meanwhile."""

import threading
import time
from collections.abc import Iterator

import pytest

import pipelines
from dscore_agent.pipeline import walk
from dscore_agent.pipeline.flow import Flow
from dscore_agent.pipeline.gst import Gst
from waiting import wait_until


def parse(launch: str) -> Gst.Pipeline:
    return Gst.parse_launch(launch)


def names(elements: list[Gst.Element]) -> set[str]:
    return {element.get_name() for element in elements}


def test_sources_are_those_of_the_top_level_bins_included() -> None:
    pipeline = parse("videotestsrc name=plain ! fakesink appsrc name=fed ! fakesink")
    camera = Gst.parse_bin_from_description("videotestsrc name=inner ! queue", True)
    camera.set_name("camera")
    pipeline.add(camera)
    assert names(walk.sources(pipeline)) == {"plain", "fed", "camera"}


def test_an_element_without_a_way_in_is_a_source_though_it_does_not_say_so() -> None:
    pipeline = parse("tee name=pretender ! fakesink")
    pretender = pipeline.get_by_name("pretender")
    assert not walk.is_source(pretender)
    pretender.remove_pad(pretender.get_static_pad("sink"))
    assert walk.is_source(pretender)


def test_nothing_changes_in_a_pipeline_at_rest() -> None:
    pipeline = parse("videotestsrc ! fakesink")
    assert walk.changing(pipeline) == []
    assert walk.still_up(pipeline) == []


@pytest.fixture
def nested() -> Iterator[tuple[Gst.Pipeline, threading.Event]]:
    """A pipeline whose element `deep`, two bins down, does not come back from READY to NULL."""
    pipeline = parse("videotestsrc name=source ! queue ! fakesink name=sink")
    outer, inner = Gst.Bin.new("outer"), Gst.Bin.new("inner")
    entered, released = threading.Event(), threading.Event()

    class Deep(Gst.Element):  # type: ignore[misc]
        def do_change_state(self, change: Gst.StateChange) -> Gst.StateChangeReturn:
            if change == Gst.StateChange.READY_TO_NULL:
                entered.set()
                released.wait()
            return Gst.StateChangeReturn.SUCCESS

    inner.add(Deep(name="deep"))
    outer.add(inner)
    pipeline.add(outer)
    pipeline.set_state(Gst.State.READY)
    asking = threading.Thread(target=pipeline.set_state, args=(Gst.State.NULL,))
    asking.start()
    try:
        assert entered.wait(10)
        yield pipeline, released
    finally:
        released.set()
        asking.join(10)
        pipeline.set_state(Gst.State.NULL)


def test_what_hangs_is_found_in_the_innermost_bin(
    nested: tuple[Gst.Pipeline, threading.Event],
) -> None:
    pipeline, released = nested
    assert walk.changing(pipeline) == ["deep"]
    assert "deep" in walk.still_up(pipeline)
    released.set()
    wait_until(lambda: walk.changing(pipeline) == [], "rest")


def test_a_stuck_end_is_found_through_the_pads_of_bins() -> None:
    pipeline = parse("videotestsrc is-live=true name=source ! queue name=before")
    recorder = Gst.parse_bin_from_description("fakesink name=slow async=false", True)
    pipeline.add(recorder)
    pipeline.get_by_name("before").link(recorder)
    try:
        with pipelines.hanging(pipeline, "slow") as sink:
            pipeline.set_state(Gst.State.PLAYING)
            assert sink.hangs.wait(10)
            pipeline.get_by_name("source").send_event(Gst.Event.new_eos())
            wait_until(lambda: walk.stuck_ends(pipeline) == ["before → slow"], "stuck end")
            assert walk.unended_sinks(pipeline) == ["slow"]
        wait_until(lambda: walk.unended_sinks(pipeline) == [], "end")
        assert walk.stuck_ends(pipeline) == []
    finally:
        pipeline.set_state(Gst.State.NULL)


def test_the_names_of_a_bin_are_those_of_all_in_it() -> None:
    camera = Gst.parse_bin_from_description("videotestsrc name=inner ! queue name=buffer", True)
    camera.set_name("camera")
    assert walk.names(camera) == {"camera", "inner", "buffer"}


def test_what_blocks_is_found_behind_all_that_waits_for_it() -> None:
    pipeline = parse(
        "videotestsrc ! tee name=t ! queue max-size-buffers=1 ! identity ! fakesink name=slow "
        "t. ! queue name=starved ! fakesink name=fine async=false"
    )
    try:
        with pipelines.hanging(pipeline, "slow") as sink:
            pipeline.set_state(Gst.State.PLAYING)
            assert sink.hangs.wait(10)
            wait_until(lambda: walk.blocking(pipeline) == ["slow"], "blocking element")
            tee, starved = pipeline.get_by_name("t"), pipeline.get_by_name("starved")
            # Until the first queue is full, the tee feeds the other, too.
            pad = starved.get_static_pad("sink")
            wait_until(lambda: walk.is_held_up(tee) and walk.is_free(pad), "full queue")
    finally:
        pipeline.set_state(Gst.State.NULL)


def test_pads_that_nothing_feeds_are_named() -> None:
    pipeline = parse("videotestsrc ! compositor name=mixer ! fakesink name=sink")
    mixer = pipeline.get_by_name("mixer")
    assert walk.unlinked(pipeline) == []
    pad = mixer.request_pad_simple("sink_%u")
    assert walk.unlinked(pipeline) == [f"mixer.{pad.get_name()}"]


def test_what_says_that_it_is_a_source_and_takes_data_is_a_transport() -> None:
    pipeline = parse("videotestsrc name=plain ! vp8enc ! rtpvp8pay ! webrtcbin name=w")
    transport, plain = pipeline.get_by_name("w"), pipeline.get_by_name("plain")
    assert walk.is_transport(transport)
    assert names(walk.sources(pipeline)) == {"plain"}
    assert not walk.is_transport(plain)
    assert walk.unended_sinks(pipeline) == ["w"]
    assert walk.is_private(transport.get_by_name("rtpbin"))
    assert not walk.is_private(pipeline.get_by_name("plain").srcpads[0].get_peer().get_parent())


def test_a_probe_that_fires_as_it_is_taken_away(capfd: pytest.CaptureFixture[str]) -> None:
    """It was taken away although it had gone by itself: GStreamer warned of it."""
    pipeline = parse("fakesrc ! queue ! identity ! fakesink sync=false")
    pipeline.set_state(Gst.State.PLAYING)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        flow = Flow(pipeline)
        flow.look()
        flow.close()
    pipeline.set_state(Gst.State.NULL)
    assert "has no probe" not in capfd.readouterr().err
