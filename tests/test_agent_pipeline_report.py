"""What of a pipeline's events gets to the server."""

import dataclasses
from typing import Any

import pytest

import pipelines  # noqa: F401 (without GStreamer nothing of the package can be imported)
from dscore_agent import Agent, AgentConfig
from dscore_agent.events import PipelineEvent, StopReport
from dscore_agent.pipeline.report import EVENTS_PER_SECOND, Reporter

WARNING = PipelineEvent(kind="warning", source="lens", message="dirty", details={"code": 1})


def test_an_event_is_a_message_of_its_own_type() -> None:
    sent: list[dict[str, Any]] = []
    Reporter(sent.append, ["warning"]).see(WARNING)
    assert sent == [
        {
            "type": "pipeline_event",
            "kind": "warning",
            "source": "lens",
            "message": "dirty",
            "details": {"code": 1},
        }
    ]


def test_kinds_that_were_not_asked_for_stay_here() -> None:
    sent: list[dict[str, Any]] = []
    Reporter(sent.append, ["error"]).see(WARNING)
    assert sent == []


def test_a_flood_is_cut_and_counted() -> None:
    sent: list[dict[str, Any]] = []
    now = 5.0
    reporter = Reporter(sent.append, ["warning"], lambda: now)
    for _ in range(EVENTS_PER_SECOND + 7):
        reporter.see(WARNING)
    assert len(sent) == EVENTS_PER_SECOND
    now = 6.0
    reporter.see(WARNING)
    reporter.see(WARNING)
    assert [message.get("kept_back") for message in sent[-2:]] == [7, None]


@pytest.mark.parametrize("details", [{"uri": "\udcff"}, {"debug": "x" * 2_000_000}])
def test_an_event_that_makes_no_message_is_no_fault_of_the_pipeline(
    details: dict[str, str],
) -> None:
    agent = Agent(AgentConfig())
    Reporter(agent.send, ["warning"]).see(dataclasses.replace(WARNING, details=details))
    assert agent.status.queued == 0


def test_a_report_makes_the_answer() -> None:
    seconds = {"eos_seconds": 0.1, "null_seconds": 0.1}
    good = StopReport(ok=True, complete=True, message="done", **seconds)
    bad = StopReport(ok=False, complete=False, message="filesink0 hangs", **seconds)
    assert (good.as_answer().status, bad.as_answer().status) == ("OK", "ERROR")
    assert bad.as_answer().message == "filesink0 hangs"
