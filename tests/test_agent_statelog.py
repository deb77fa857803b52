"""The DeepStream contract's block about the connection."""

import logging

import pytest

from dscore_agent import Agent, AgentConfig, State, Status
from dscore_agent.statelog import close_code_text, lines


def test_the_block_has_the_deepstream_contract_s_lines() -> None:
    status = Status(
        state=State.WAITING,
        reconnect_attempts=2,
        retry_in=5.0,
        last_close_code=1001,
        last_close_reason="Server shutting down gracefully",
        server_shutting_down=True,
        health="shutting_down",
        session_restored=False,
        queued=0,
        dropped=0,
    )
    assert lines(status) == [
        "=== WebSocket State ===",
        "State: 4 (waiting)",
        "Reconnect attempts: 2",
        "Last close code: 1001 (going away)",
        "Server shutting down: true",
        "Last health status: shutting_down",
        "======================",
    ]


def test_every_code_has_words() -> None:
    assert close_code_text(4409) == "taken over"
    assert close_code_text(4999) == "unknown"


def test_it_is_written_at_the_level_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="dscore.agent")
    agent = Agent(AgentConfig())
    agent.log_state(logging.DEBUG)
    assert not caplog.messages
    agent.log_state(logging.INFO)
    assert caplog.messages == lines(agent.status)
