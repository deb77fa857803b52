"""Pipelines under an agent and the real server: what it orders, and when it goes away."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pipelines
from dscore_agent import Agent, AgentConfig, Exit, ReconnectPolicy, State
from dscore_agent.pipeline import PipelineBinding
from dscore_agent.pipeline.gst import Gst
from fake_server import until
from pipelines import Frame, count_frames, decoded_frames, grown, hanging, recorded_frames
from serving import Serving, clean_environment

Serve = Callable[..., Serving]

QUICK = ReconnectPolicy(base=0.05, cap=0.2, shutdown_delay=0.2, shutdown_step=0.0, jitter=False)
CAMERA = "videotestsrc is-live=true name=camera ! video/x-raw,width=160,height=120,framerate=30/1"
RECORDER = "x264enc name=encoder ! mp4mux ! filesink"


@contextlib.asynccontextmanager
async def playing(
    serving: Serving, launch: str | Gst.Pipeline, hard_timeout: float = 10.0, **fields: Any
) -> AsyncIterator[tuple[Agent, PipelineBinding, "asyncio.Task[int]"]]:
    """An agent that the server knows, with a pipeline that plays."""
    binding = PipelineBinding(
        launch,
        stop_timeout=hard_timeout / 2,
        hard_timeout=hard_timeout,
        force_exit=False,
    )
    config = AgentConfig(
        **{
            "url": serving.ws,
            "instance_id": "camera-1",
            "reconnect": QUICK,
            "graceful_shutdown_timeout": hard_timeout,
            **fields,
        }
    )
    agent = Agent(config, on_terminate=binding.on_terminate)
    run = asyncio.create_task(agent.run())
    try:
        await until(lambda: agent.state is State.READY, "introduction")
        await binding.start()
        yield agent, binding, run
    finally:
        await agent.close()
        await run
        await binding.stop()


async def terminated(serving: Serving) -> tuple[int, str]:
    """An operator asks the agent to stop: status and outcome."""
    path = "/api/v1/agents/camera-1/terminate"
    status, body = await asyncio.to_thread(serving.request, "POST", path, {}, None, 20.0)
    return status, json.loads(body)["outcome"]


def whole(path: Path, taken: list[Frame], encoded: list[Frame]) -> None:
    """The recording has every frame of the camera, as it was encoded, and plays to its end."""
    assert len(encoded) == len(taken)
    assert [content for _, content in recorded_frames(path, "qtdemux")] == [
        content for _, content in encoded
    ]
    assert len(decoded_frames(path)) == len(taken)
    assert pipelines.duration_seconds(path) == pytest.approx(len(taken) / 30, abs=0.05)


async def test_a_drain_leaves_a_recording_without_a_frame_missing(
    serving: Serving, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    pipeline = Gst.parse_launch(f"{CAMERA} ! {RECORDER} location={path}")
    taken, encoded = count_frames(pipeline, "camera"), count_frames(pipeline, "encoder")
    async with playing(serving, pipeline) as (_, _, run):
        await until(grown(taken, 10), "frames")
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(run, 15) == Exit.STOPPED
        assert await asyncio.to_thread(serving.wait) == 0
    whole(path, taken, encoded)
    assert "DeepStream client camera-1 terminated gracefully" in serving.log


async def test_terminated_by_an_operator_every_camera_is_recorded_to_its_end(
    lasting: Serving, tmp_path: Path
) -> None:
    paths = [tmp_path / "live.mp4", tmp_path / "fast.mp4"]
    sources = [CAMERA, "videotestsrc name=file ! video/x-raw,width=160,height=120,framerate=30/1"]
    recorders = [f"x264enc name=encoder{n} ! mp4mux ! filesink location={paths[n]}" for n in (0, 1)]
    pipeline = Gst.parse_launch(
        " ".join(f"{source} ! {sink}" for source, sink in zip(sources, recorders, strict=True))
    )
    counted = [
        (count_frames(pipeline, source), count_frames(pipeline, encoder))
        for source, encoder in (("camera", "encoder0"), ("file", "encoder1"))
    ]
    async with playing(lasting, pipeline) as (_, _, run):
        await until(grown(counted[0][0], 10), "frames")
        assert await terminated(lasting) == (200, "acked")
        assert await asyncio.wait_for(run, 15) == Exit.STOPPED
    for path, (taken, encoded) in zip(paths, counted, strict=True):
        whole(path, taken, encoded)


async def test_a_long_drain_gets_the_time_it_asks_for(serve: Serve) -> None:
    """The end of stream takes 2 s, the server's own patience is 1.5 s: progress is told at 1 s."""
    serving = await asyncio.to_thread(serve, env={"DSCORE_SHUTDOWN__TIMEOUT": "1.5s"})
    launch = "videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink sync=true"
    async with playing(serving, launch, hard_timeout=4.0) as (_, binding, run):
        await until(lambda: binding.pipeline.current_state == Gst.State.PLAYING, "frame")
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(run, 15) == Exit.INCOMPLETE
        assert await asyncio.to_thread(serving.wait) == 0


@pytest.mark.timed
@pytest.mark.parametrize(
    "launch",
    [
        "appsrc ! fakesink",
        f"{CAMERA} ! identity error-after=2 ! fakesink",
        "videotestsrc num-buffers=2 ! fakesink",
    ],
    ids=["preroll", "failed", "ended"],
)
async def test_a_pipeline_that_does_not_play_is_no_obstacle(lasting: Serving, launch: str) -> None:
    async with playing(lasting, launch) as (_, binding, run):
        if "appsrc" not in launch:
            await asyncio.wait_for(binding.wait(), 10)
        began = time.monotonic()
        assert await terminated(lasting) == (200, "acked")
        expected = Exit.INCOMPLETE if "error-after" in launch else Exit.STOPPED
        assert await asyncio.wait_for(run, 15) == expected
        assert time.monotonic() - began < 4.0


async def test_told_twice_it_stops_once_and_answers(serving: Serving) -> None:
    """An operator asks, and while the pipeline takes its time, so does a drain."""
    launch = "videotestsrc num-buffers=2 ! video/x-raw,framerate=1/100 ! fakesink sync=true"
    async with playing(serving, launch, hard_timeout=3.0) as (agent, binding, run):
        await until(lambda: binding.pipeline.current_state == Gst.State.PLAYING, "frame")
        asking = asyncio.create_task(terminated(serving))
        await until(lambda: agent.is_terminating, "order")
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(run, 15) == Exit.INCOMPLETE
        assert await asking == (200, "acked")
        assert await asyncio.to_thread(serving.wait) == 0


async def test_a_sink_that_hangs_is_named_to_the_server(lasting: Serving) -> None:
    launch = f"{CAMERA} ! queue ! fakesink name=stuck async=false"
    async with playing(lasting, launch, hard_timeout=1.5) as (_, binding, run):
        with hanging(binding.pipeline, "stuck") as sink:
            await until(sink.hangs.is_set, "hanging sink")
            assert await terminated(lasting) == (200, "failed")
            assert await asyncio.wait_for(run, 5) == Exit.FORCED
    assert "stuck did not reach the state NULL" in lasting.log


async def test_the_connection_may_go_while_the_pipeline_stops(
    serving: Serving, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    launch = Gst.parse_launch(f"{CAMERA} ! queue ! {RECORDER} location={path}")
    taken, encoded = count_frames(launch, "camera"), count_frames(launch, "encoder")
    async with playing(serving, launch) as (agent, _, run):
        await until(grown(taken, 10), "frames")
        serving.process.send_signal(signal.SIGTERM)
        await until(lambda: agent.is_terminating or run.done(), "order")
        serving.process.kill()
        assert await asyncio.wait_for(run, 15) == Exit.STOPPED
    whole(path, taken, encoded)


async def test_stopped_while_it_reconnects_the_recording_is_whole(
    serving: Serving, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    pipeline = Gst.parse_launch(f"{CAMERA} ! {RECORDER} location={path}")
    taken, encoded = count_frames(pipeline, "camera"), count_frames(pipeline, "encoder")
    async with playing(serving, pipeline) as (agent, _, run):
        serving.process.kill()
        await until(lambda: agent.status.reconnect_attempts > 0, "attempt")
        await until(grown(taken, 10), "frames")
        agent.stop()
        assert await asyncio.wait_for(run, 15) == Exit.STOPPED
    whole(path, taken, encoded)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_pipeline_does_not_feel_that_the_server_is_gone(
    serving: Serving, end: signal.Signals
) -> None:
    """Every frame comes, and comes in time by the pipeline's own clock."""
    pipeline = Gst.parse_launch(f"{CAMERA} ! fakesink name=sink sync=false")
    late: list[float] = []
    stamps: list[int] = []

    def arrives(_: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        clock = pipeline.get_clock()
        pts = info.get_buffer().pts
        stamps.append(pts)
        late.append((clock.get_time() - pipeline.get_base_time() - pts) / Gst.SECOND)
        return Gst.PadProbeReturn.OK

    sink = pipeline.get_by_name("sink").get_static_pad("sink")
    sink.add_probe(Gst.PadProbeType.BUFFER, arrives)
    times = {"ping_interval": 0.2, "ping_timeout": 0.2, "health_check_timeout": 0.2}
    async with playing(serving, pipeline, **times) as (agent, _, _run):
        await until(lambda: len(stamps) > 10, "frames")
        os.kill(serving.pid, end)
        try:
            await until(lambda: agent.status.reconnect_attempts >= 3, "attempts")
            seen = len(stamps)
            await until(lambda: len(stamps) > seen + 10, "frames")
        finally:
            if end is signal.SIGSTOP:
                os.kill(serving.pid, signal.SIGCONT)
    steps = [stamps[n] - stamps[n - 1] for n in range(1, len(stamps))]
    assert max(steps) < 1.5 * Gst.SECOND / 30, "a frame is missing"
    # Two busy cores give no better promise; a stutter would be as long as a timeout.
    assert max(late) < 0.15


@contextlib.contextmanager
def program(log_path: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m dscore agent` with these arguments; ended afterwards."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "dscore", "agent", *arguments],
            env=clean_environment({}),
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.timed
async def test_the_program_leaves_by_force_when_a_write_never_returns(
    lasting: Serving, tmp_path: Path
) -> None:
    """A pipe without a reader hangs as a stale network drive does: no signal gets it out."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log_path = tmp_path / "agent.log"
    launch = f"videotestsrc is-live=true ! filesink name=pipe location={pipe} buffer-mode=2"
    limits = ("pipeline_stop_timeout_sec=0.3", "graceful_shutdown_timeout_sec=1.2")
    arguments = ["--url", lasting.ws, "--instance-id", "camera-1", "--pipeline", launch]
    arguments += [word for limit in limits for word in ("--set", limit)]
    try:
        with program(log_path, *arguments) as process:
            await until(
                lambda: "camera-1" in lasting.get("/deepstream/health")[1].decode(), "a", 30
            )
            await until(lambda: "pipeline_playing" in log_path.read_text(), "pipeline")
            began = time.monotonic()
            assert await terminated(lasting) == (200, "failed")
            assert await asyncio.to_thread(process.wait, 20) == Exit.FORCED
            assert time.monotonic() - began < 3.0
    finally:
        os.close(reader)
    assert "pipe did not reach the state NULL" in lasting.log
    assert "pipe did not reach the state NULL" in log_path.read_text()
