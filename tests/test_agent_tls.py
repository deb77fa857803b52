"""What a failed TLS handshake means, to the agent and to the server's commands alike."""

import ssl

import pytest

from dscore import tls as of_server
from dscore_agent import tls as of_agent

REASONS = [
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
    "CERTIFICATE_VERIFY_FAILED",
]


@pytest.mark.parametrize("reason", [*REASONS, None])
def test_both_ends_tell_a_plain_port_by_the_same_answers(reason: str | None) -> None:
    error = ssl.SSLError(1, "handshake failed")
    error.reason = reason  # type: ignore[assignment]
    assert of_agent.is_plain_answer(error) == of_server.is_plain_answer(error)
    assert of_agent.is_plain_answer(error) == (reason in REASONS[:3])


def test_another_error_is_no_answer() -> None:
    assert not of_agent.is_plain_answer(OSError("refused"))
    assert not of_server.is_plain_answer(OSError("refused"))
