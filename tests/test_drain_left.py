"""Who is left of a drain, until when, and at what: asked while it goes on."""

import json
import signal
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from dscore.cli.drain_lines import drain_lines, segments
from serving import Serving
from test_http_page import introduce
from waiting import wait_until


def test_the_drain_tells_who_is_left_with_deadline_and_stage(serve: Callable[..., Serving]) -> None:
    serving = serve(env={"DSCORE_SHUTDOWN__TIMEOUT": "20s", "DSCORE_SHUTDOWN__NOTICE": "15s"})
    idle = json.loads(serving.get("/api/v1/drain")[1])
    assert (idle["left"], idle["left_total"], idle["not_acked"]) == ([], 0, [])
    assert idle["latency_ms"] == {"p50": None, "p99": None, "max": None}

    def drain() -> dict[str, Any]:
        document: dict[str, Any] = json.loads(serving.get("/api/v1/drain")[1])
        return document

    with ExitStack() as stack:
        names = ("good", "bad", "mute", "slow")
        fleet = {name: stack.enter_context(introduce(serving, name)) for name in names}
        serving.process.send_signal(signal.SIGTERM)
        asked = {name: json.loads(one.recv(timeout=30)) for name, one in fleet.items()}

        def say(name: str, **words: object) -> None:
            message = {"request_id": asked[name]["request_id"], **words}
            fleet[name].send(json.dumps(message))

        say("good", type="app_terminated", status="OK", message="")
        say("bad", type="app_terminated", status="ERROR", message="no")
        say("slow", type="termination_progress", stage="last\x1b frames", need_ms=35_000)
        wait_until(lambda: drain()["acked"] == 1, "ack", 30)
        wait_until(
            lambda: {each["stage"] for each in drain()["left"]} >= {"last\x1b frames"}, "stage", 30
        )
        document = drain()
        left = {each["id"]: each for each in document["left"]}
        # One that said no is waited for like a mute one.
        assert set(left) == {"bad", "mute", "slow"}
        assert (document["left_total"], document["pending"]) == (3, 3)
        assert left["mute"]["stage"] is None
        begun, first, later = (
            datetime.fromisoformat(each.replace("Z", "+00:00"))
            for each in (document["started_at"], left["mute"]["deadline"], left["slow"]["deadline"])
        )
        assert 19 <= (first - begun).total_seconds() <= 21
        assert 35 <= (later - begun).total_seconds() <= 40
        assert document["latency_ms"]["p50"] > 0
        lines = drain_lines(document)
        assert lines[0].startswith("4 agents: 1 acked")
        assert lines[1].startswith("acks: p50 ")
        assert any("slow" in line and "left, last\\x1b frames" in line for line in lines)
        for one in fleet.values():
            one.close()
    assert serving.wait() == 3


def test_a_terminal_names_the_first_and_counts_the_rest() -> None:
    left = [{"id": f"cam-{n}", "deadline": None, "stage": None} for n in range(12)]
    lines = drain_lines({"total": 12, "pending": 12, "left": left, "left_total": 12})
    assert lines[0] == "12 agents: 12 pending"
    assert lines[1:] == [*(f"  cam-{n}" for n in range(10)), "  and 2 more"]


def test_a_terminal_has_a_segment_for_each_outcome() -> None:
    counts = {"acked": 18_000, "incomplete": 1, "timed_out": 2, "vanished": 1, "pending": 6_000}
    bar = segments({"total": 24_003, "failed": 0, "notified": 0, **counts})
    assert bar == f"[{'#' * 28}%?x{'.' * 9}]"
    assert segments({"total": 0, "pending": 0}) == f"[{'#' * 40}]"
    # Whatever the counts, the bar has its width.
    for acked in range(100):
        assert len(segments({"acked": acked, "failed": 1, "pending": 99 - acked})) == 42
