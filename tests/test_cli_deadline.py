"""`shutdown.deadline` of the real program: the end in time, its report, and what was cut."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from keeper import rows
from serving import Serving
from wire import agent

Serve = Callable[..., Serving]


@pytest.mark.timed
@pytest.mark.parametrize("seconds", [4, 6])
async def test_a_mute_agent_does_not_outlast_the_deadline(
    serve: Serve, tmp_path: Path, seconds: int
) -> None:
    report = tmp_path / "report.json"
    serving = serve(
        *("--shutdown-deadline", f"{seconds}s", "--store", str(tmp_path / "kept.db")),
        env={"DSCORE_SHUTDOWN__REPORT": str(report)},
    )
    short = serving.wait_for_log("shutdown_deadline_short")
    assert (short["deadline"], short["settings"]) == (seconds, ["timeout", "max_extension"])
    assert "TimeoutStopSec=" in short["remedy"]
    async with agent(serving.ws, "mute"):
        os.kill(serving.pid, signal.SIGTERM)
        began = time.monotonic()
        assert serving.wait(seconds) == 3, "SIGKILL would have come"
        took = time.monotonic() - began
    # It has waited for the answer as long as it could.
    assert took > seconds - 1.5
    told = json.loads(report.read_text())
    assert (told["timed_out"], told["not_acked"]) == (1, ["mute"])
    assert told["cut"][:2] == ["timeout", "max_extension"]
    assert serving.wait_for_log("shutdown_cut")["settings"] == told["cut"]
    found = rows(tmp_path / "kept.db", "SELECT entries FROM timelines WHERE agent = 0")
    kinds = {kind for (entries,) in found for _, _, kind, _ in json.loads(entries)}
    assert {"drain", "stopped"} <= kinds, "the store's last changes are in it"


async def test_no_time_at_all_is_an_end_too(serve: Serve) -> None:
    serving = serve("--shutdown-deadline", "0")
    async with agent(serving.ws, "a"):
        assert serving.stop() == 3
    assert serving.wait_for_log("drain_finished")["timed_out"] == 1


def test_a_deadline_that_is_long_enough_is_not_spoken_of(serve: Serve) -> None:
    serving = serve("--shutdown-deadline", "45s")
    assert serving.stop() == 0
    events = {line["event"] for line in serving.log_lines()}
    assert not events & {"shutdown_deadline_short", "shutdown_cut", "shutdown_deadline_unknown"}
    assert serving.wait_for_log("drain_finished")["cut"] == []
