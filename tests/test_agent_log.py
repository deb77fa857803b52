"""Lines of the agent, in the standard `logging` of whatever program it is in."""

import contextlib
import logging
import os

import pytest

from dscore_agent.log import MAX_VALUE, Log

LOG = Log("dscore.agent.test")


def said(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    [record] = caplog.records
    return record


def test_a_line_reads_well_and_keeps_its_parts(caplog: pytest.LogCaptureFixture) -> None:
    LOG.warning("refused", code=1008, reason="bad token", path=None)
    record = said(caplog)
    assert record.getMessage() == "refused code=1008 reason='bad token' path=None"
    assert record.__dict__["event"] == "refused"
    assert record.__dict__["fields"] == {"code": 1008, "reason": "bad token", "path": None}


def test_nothing_from_the_network_breaks_a_line(caplog: pytest.LogCaptureFixture) -> None:
    LOG.warning("refused", reason="a\nb\x1b[2J")
    assert said(caplog).getMessage() == r"refused reason='a\nb\x1b[2J'"


@pytest.mark.parametrize("value", ["x" * 100_000, ["x"] * 100_000, {"x" * 100_000: 1}])
def test_a_value_is_no_longer_than_a_few_lines(
    caplog: pytest.LogCaptureFixture, value: object
) -> None:
    LOG.warning("refused", reason=value)
    assert len(said(caplog).getMessage()) < MAX_VALUE + 50
    assert len(said(caplog).__dict__["fields"]["reason"]) == MAX_VALUE + 1


def test_a_handler_whose_pipe_is_full_is_passed_by(caplog: pytest.LogCaptureFixture) -> None:
    """It would hold the agent for as long as no process reads; the others get the line."""
    reader, writer = os.pipe()
    with open(writer, "w") as stream, open(reader, "rb"):
        handler = logging.StreamHandler(stream)
        logging.getLogger("dscore.agent.test").addHandler(handler)
        try:
            LOG.warning("first")
            assert os.read(reader, 100) == b"first\n"
            os.set_blocking(writer, False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(writer, bytes(4096))
            os.set_blocking(writer, True)
            LOG.warning("second")
        finally:
            logging.getLogger("dscore.agent.test").removeHandler(handler)
    assert [record.getMessage() for record in caplog.records] == ["first", "second"]
