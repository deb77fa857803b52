"""Lines of the agent's command: what is in them, and that they are those of the server's log."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.processors import format_exc_info

from dscore.log.render import render_json, text_renderer
from dscore_agent.cli.lines import event_of, json_line, moment, text_line
from dscore_agent.log import Log

FIELDS = st.dictionaries(
    st.sampled_from(["agent_id", "reason", "close_code", "remedy"]),
    st.text() | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
)


@given(
    st.sampled_from(["debug", "info", "warning", "error"]),
    st.text(min_size=1),
    FIELDS,
    st.none() | st.text(),
)
def test_the_agent_s_lines_are_the_server_s(
    level: str, name: str, fields: Mapping[str, Any], trace: str | None
) -> None:
    event = {"timestamp": moment(1.5), "level": level, "logger": "dscore.agent", "event": name}
    event |= fields
    if trace is not None:
        event["exception"] = trace
    assert json_line(event) == render_json(dict(event))
    for colors in (False, True):
        assert text_line(event, colors=colors) == text_renderer(colors=colors)(dict(event))


def test_an_event_has_its_parts_in_order(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="dscore.agent")
    Log("dscore.agent").info("connected", url="ws://x", session_restored=True)
    line = json_line(event_of(caplog.records[0]))
    assert list(orjson.loads(line)) == [
        *("timestamp", "level", "logger", "event"),
        *("url", "session_restored"),
    ]
    assert b'"level":"info","logger":"dscore.agent","event":"connected","url":"ws://x"' in line


def test_an_exception_is_told_as_the_server_does(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("line\nbreak")
    except ValueError as error:
        Log("dscore.agent").error("hook_failed", error=error)
        told = format_exc_info(None, "error", {"exc_info": sys.exc_info()})["exception"]
    assert event_of(caplog.records[0])["exception"] == told


@pytest.mark.parametrize(
    ("level", "word"),
    [(5, "error"), (10, "debug"), (30, "warning"), (40, "error"), (50, "error")],
)
def test_records_of_other_libraries_have_their_message_as_event(level: int, word: str) -> None:
    record = logging.makeLogRecord(
        {"name": "asyncio", "levelno": level, "msg": "took %s", "args": ("long",)}
    )
    event = event_of(record)
    assert (event["level"], event["logger"], event["event"]) == (word, "asyncio", "took long")


def test_arguments_that_do_not_fit_still_make_a_line() -> None:
    record = logging.makeLogRecord({"name": "x", "levelno": 30, "msg": "%d", "args": ("a",)})
    assert event_of(record)["event"] == "%d"


@pytest.mark.parametrize("name", ["urllib3", "dscore.agent.picows"])
def test_attributes_of_other_libraries_records_are_left_alone(name: str) -> None:
    extra = {"event": object(), "fields": ["a"], "msg": "said"}
    event = event_of(logging.makeLogRecord({"name": name, "levelno": 30, **extra}))
    assert list(event) == ["timestamp", "level", "logger", "event"]
    assert event["event"] == "said"


def test_a_moment_is_utc_to_the_millisecond() -> None:
    assert moment(1_700_000_000.9996) == "2023-11-14T22:13:20.999Z"
