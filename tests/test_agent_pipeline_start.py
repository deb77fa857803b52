"""What a pipeline says on its way to PLAYING."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

import pipelines  # noqa: F401 (skips where there is no GStreamer)
from dscore_agent.pipeline import PipelineBinding
from dscore_agent.pipeline.gst import Gst
from fake_server import until

LIVE = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1"

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


async def test_that_it_plays_is_said_when_it_does(
    bind: Bind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    binding = bind("appsrc name=app ! fakesink")
    await binding.start()
    assert "pipeline_playing" not in caplog.text
    binding.pipeline.get_by_name("app").emit("push-buffer", Gst.Buffer.new_wrapped(bytes(10)))
    await until(lambda: "pipeline_playing" in caplog.text, "line of the log")
    assert binding.pipeline.current_state == Gst.State.PLAYING


@pytest.mark.parametrize("embedded", [False, True])
async def test_sinks_that_wait_for_a_first_frame_are_named(
    bind: Bind, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, embedded: bool
) -> None:
    monkeypatch.setattr("dscore_agent.pipeline.binding.PREROLL_SECONDS", 0.2)
    pipeline = Gst.parse_launch(
        "videotestsrc is-live=true ! fakesink name=fed appsrc is-live=true ! fakesink name=starved"
    )
    binding = bind(pipeline, embedded=embedded)
    await binding.start()
    if embedded:
        pipeline.set_state(Gst.State.PLAYING)
    await until(lambda: "pipeline_not_playing waiting=starved" in caplog.text, "warning")


@pytest.mark.parametrize(("stop", "in_force"), [(8.0, None), (10.0, 8.0), (60.0, 8.0)])
async def test_times_that_do_not_fit_are_warned_of_with_what_is_in_force(
    bind: Bind, caplog: pytest.LogCaptureFixture, stop: float, in_force: float | None
) -> None:
    binding = bind(f"{LIVE} ! fakesink", stop_timeout=stop, hard_timeout=10.0)
    await binding.start()
    said = "pipeline_stop_timeout_too_long" in caplog.text
    assert said == (in_force is not None)
    if said:
        assert f"pipeline_stop_timeout_sec={stop}" in caplog.text
        assert "graceful_shutdown_timeout_sec=10.0" in caplog.text
        assert f"in_force_sec={in_force}" in caplog.text
    assert (await binding.stop()).complete
