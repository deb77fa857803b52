"""What a failed TLS handshake means, to the agent and to the server's commands alike."""

import ssl

import pytest

from dscore_agent.tls import is_plain_answer

REASONS = [
    "WRONG_VERSION_NUMBER",
    "RECORD_LAYER_FAILURE",
    "HTTP_REQUEST",
    "CERTIFICATE_VERIFY_FAILED",
]


@pytest.mark.parametrize("reason", [*REASONS, None])
def test_a_plain_port_is_told_by_its_answers(reason: str | None) -> None:
    error = ssl.SSLError(1, "handshake failed")
    error.reason = reason  # type: ignore[assignment]
    assert is_plain_answer(error) == (reason in REASONS[:3])


def test_another_error_is_no_answer() -> None:
    assert not is_plain_answer(OSError("refused"))
