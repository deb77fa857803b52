"""Logging: what a line looks like, where it goes, and what becomes of it without a reader."""

import errno
import json
import logging
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dscore import log
from dscore.config import LogConfig
from dscore.log.render import now, render_json, text_renderer
from dscore.log.writer import MAX_QUEUED, Writer

DEADLINE = 30.0


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    yield
    log.close()
    assert "dscore-log" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def output(tmp_path: Path) -> Iterator[tuple[int, Callable[[], list[bytes]]]]:
    """A descriptor to log to, and the lines that have come to it."""
    path = tmp_path / "log"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)

    def lines() -> list[bytes]:
        log.flush(DEADLINE)
        return path.read_bytes().splitlines()

    yield fd, lines
    os.close(fd)


def program(body: str, **options: Any) -> subprocess.Popen[bytes]:
    """A process of its own that logs to its stdout."""
    head = (
        "import os, signal, sys\n"
        "from dscore import log\n"
        "from dscore.config import LogConfig\n"
        "logger = log.get_logger('dscore.test')\n"
        "log.configure(LogConfig(format='json'))\n"
    )
    python = str(Path(__file__).parent.parent / "python")
    return subprocess.Popen(
        [sys.executable, "-c", head + body],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": python},
        **options,
    )


def test_json_line_has_time_level_logger_and_event_before_its_fields(output: Any) -> None:
    fd, lines = output
    logger = log.get_logger("dscore.server")
    log.configure(LogConfig(format="json"), fd=fd)
    logger.info("agent_introduced", agent_id="cam-1", conn_id=7)
    logger.bind(request_id="r").warning("termination_failed", reason=None)
    first, second = lines()
    moment = rb'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"'
    assert re.fullmatch(
        rb'{"timestamp":' + moment + rb',"level":"info","logger":"dscore.server",'
        rb'"event":"agent_introduced","agent_id":"cam-1","conn_id":7}',
        first,
    )
    assert second.endswith(b'"event":"termination_failed","request_id":"r","reason":null}')


def test_line_has_the_time_it_was_said(output: Any) -> None:
    fd, lines = output
    log.configure(LogConfig(format="json"), fd=fd)
    logger = log.get_logger("dscore.server")
    said: list[tuple[float, float]] = []
    for _ in range(3):
        # To the millisecond, which the line cuts off.
        before = time.time_ns() // 1_000_000 / 1000
        logger.info("x")
        said.append((before, time.time()))
        time.sleep(0.002)
    for line, (before, after) in zip(lines(), said, strict=True):
        moment = datetime.fromisoformat(orjson.loads(line)["timestamp"].replace("Z", "+00:00"))
        assert before <= moment.timestamp() <= after


def test_text_line_is_for_people(output: Any) -> None:
    fd, lines = output
    log.configure(LogConfig(format="text"), fd=fd)
    log.get_logger("dscore.server").info("agent_gone", agent_id="cam 1", close_code=1001, reason="")
    (line,) = lines()
    assert line[24:] == b" info    agent_gone agent_id='cam 1' close_code=1001 reason=''"


def test_automatic_format_is_json_where_there_is_no_terminal(output: Any) -> None:
    fd, lines = output
    log.configure(LogConfig(), fd=fd)
    log.get_logger("dscore.server").info("started")
    assert orjson.loads(lines()[0])["event"] == "started"


def test_automatic_format_is_coloured_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    controller, terminal = os.openpty()
    try:
        log.configure(LogConfig(), fd=terminal)
        log.get_logger("dscore.server").info("started", port=8765)
        log.flush(DEADLINE)
        line = os.read(controller, 4096)
    finally:
        log.close()
        os.close(controller)
        os.close(terminal)
    assert b"\x1b[32minfo   \x1b[0m \x1b[1mstarted\x1b[0m port=8765" in line


def test_level_is_a_threshold_and_can_be_changed(output: Any) -> None:
    fd, lines = output
    logger = log.get_logger("dscore.server")

    def say_all() -> None:
        for say in (logger.debug, logger.info, logger.warning, logger.error):
            say("x")

    for level in ("warning", "debug", "error"):
        log.configure(LogConfig(level=level, format="json"), fd=fd)
        say_all()
    levels = [orjson.loads(line)["level"] for line in lines()]
    assert levels == ["warning", "error", "debug", "info", "warning", "error", "error"]


def rendered(timestamp: str, level: str) -> bytes:
    """Lines that are made elsewhere, as a fleet makes them of a batch."""
    front = {"timestamp": timestamp, "level": "info", "logger": "dscore.server"}
    lines = [
        {**front, "event": "one", "agent_id": '\u00e9\n\r"\u2028', "x": None},
        {**front, "event": "two", "level": "warning", "x": 1.5, "n": 2**64 - 1},
    ]
    wanted = lines[1:] if level == "warning" else lines
    return b"".join(map(render_json, wanted))


@pytest.mark.parametrize("form", ["json", "text"])
def test_lines_that_are_made_elsewhere_are_written_as_those_said_here(
    output: Any, form: Any
) -> None:
    fd, lines = output
    log.configure(LogConfig(format=form, level="info"), fd=fd)
    logger = log.get_logger("dscore.server")
    log.write_lines(rendered)
    logger.info("one", agent_id='\u00e9\n\r"\u2028', x=None)
    logger.warning("two", x=1.5, n=2**64 - 1)
    said = [re.sub(rb"[-0-9]{10}T[:.0-9]{12}Z", b"", line) for line in lines()]
    assert len(said) == 4
    assert said[:2] == said[2:]


@pytest.mark.parametrize(
    ("level", "count"), [("debug", 2), ("info", 2), ("warning", 1), ("error", 0)]
)
def test_lines_that_are_made_elsewhere_are_of_the_level_that_is_written(
    output: Any, level: Any, count: int
) -> None:
    fd, lines = output
    log.configure(LogConfig(format="json", level=level), fd=fd)
    logger = log.get_logger("dscore.server")
    log.write_lines(rendered)
    log.write_lines(lambda *_: b"")
    logger.error("last")
    events = [orjson.loads(line)["event"] for line in lines()]
    assert events == [*["one", "two"][2 - count :], "last"]


@pytest.mark.parametrize(
    ("room", "lost", "events"),
    [(0, 2, []), (200, 1, ["log_lines_lost", "one"]), (300, 0, ["one", "two"])],
)
def test_of_lines_that_were_made_elsewhere_the_first_are_kept_and_the_others_counted(
    monkeypatch: pytest.MonkeyPatch, output: Any, room: int, lost: int, events: list[str]
) -> None:
    fd, lines = output
    first, second = map(len, rendered(HEAD["timestamp"], "info").splitlines(keepends=True))
    assert first < 200 < first + second < 300
    monkeypatch.setattr("dscore.log.writer.MAX_QUEUED", room)
    log.configure(LogConfig(format="json", level="info"), fd=fd)
    log.write_lines(rendered)
    assert log.lines_lost_total() == lost
    assert [orjson.loads(line)["event"] for line in lines()] == events


def test_exception_carries_its_traceback_in_one_line(output: Any) -> None:
    fd, lines = output
    log.configure(LogConfig(format="json"), fd=fd)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        log.get_logger("dscore.policy").exception("hook_failed", hook="on_message")
    (line,) = map(orjson.loads, lines())
    assert line["event"] == "hook_failed"
    assert line["exception"].endswith("RuntimeError: broken")
    assert "exc_info" not in line


def test_library_use_goes_to_standard_logging(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = log.get_logger("dscore.server")
    with caplog.at_level(logging.INFO, "dscore"):
        logger.debug("agent_seen")
        logger.bind(agent_id="cam 1").info("agent_gone", close_code=1001)
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            logger.exception("hook_failed")
    assert [(r.name, r.levelname, r.getMessage()) for r in caplog.records] == [
        ("dscore.server", "INFO", "agent_gone agent_id='cam 1' close_code=1001"),
        ("dscore.server", "ERROR", "hook_failed"),
    ]
    assert caplog.records[1].exc_info
    caplog.clear()
    with caplog.at_level(logging.WARNING, "dscore"):
        log.write_lines(rendered)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("dscore.server", "WARNING")
    assert record.getMessage() == f"two x=1.5 n={2**64 - 1}"
    assert capfd.readouterr().out == ""


def test_other_libraries_are_heard_while_configured(output: Any) -> None:
    fd, lines = output
    handlers = list(logging.root.handlers)
    log.configure(LogConfig(format="json"), fd=fd)
    logging.getLogger("asyncio").info("no")
    logging.getLogger("asyncio").warning("slow %s", "callback")
    unfit = {"name": "other", "levelno": logging.ERROR, "msg": "%d", "args": ("no number",)}
    logging.root.handlers[-1].handle(logging.makeLogRecord(unfit))
    said = [orjson.loads(line) for line in lines()]
    assert [(one["logger"], one["level"], one["event"]) for one in said] == [
        ("asyncio", "warning", "slow callback"),
        ("other", "error", "%d"),
    ]
    log.close()
    assert logging.root.handlers == handlers


FIELDS = st.dictionaries(
    st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
    st.text()
    | st.integers()
    | st.floats()
    | st.none()
    | st.binary(max_size=4)
    | st.characters(categories=["Cs"])
    | st.lists(st.text(), max_size=3),
    max_size=4,
)


HEAD = {"timestamp": "2026-01-31T12:00:00.000Z", "level": "info", "logger": "y", "event": "x"}


@given(FIELDS)
def test_any_fields_make_one_json_line(fields: dict[str, Any]) -> None:
    line = render_json({**HEAD, **fields})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line), dict)


@given(FIELDS)
def test_any_fields_make_one_text_line_that_moves_no_cursor(fields: dict[str, Any]) -> None:
    render = text_renderer(colors=False)
    line = render({**HEAD, **fields}).decode()
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_text_of_a_hostile_agent_is_escaped() -> None:
    hostile = {
        **HEAD,
        "event": "a\nb",
        "agent_id": "\x1b[2J",
        "reason": "\u202ex\x9b",
        "exception": "a\x1b",
    }
    text = text_renderer(colors=False)(hostile).decode()
    assert text[24:] == (" info    a\\nb agent_id='\\x1b[2J' reason='\\u202ex\\x9b'\n    a\\x1b\n")


def test_object_that_cannot_be_shown_is_named_by_its_error() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    event = {**HEAD, "value": Broken()}
    assert b"value=<RuntimeError>" in text_renderer(colors=False)(dict(event))
    assert orjson.loads(render_json(dict(event)))["value"] == "<RuntimeError>"


def test_what_json_cannot_say_is_written_as_text() -> None:
    circle: list[object] = []
    circle.append(circle)
    for value in (circle, 10**5000, 2**70, {1: 2}, "\ud800"):
        line = render_json({**HEAD, "value": value, "agent_id": "cam-1"})
        assert json.loads(line)["agent_id"] == "cam-1"


def test_ten_thousand_lines_arrive_in_order(output: Any) -> None:
    fd, lines = output
    logger = log.get_logger("dscore.server")
    log.configure(LogConfig(format="json"), fd=fd)
    for number in range(10_000):
        logger.info("agent_terminated", number=number)
    assert [orjson.loads(line)["number"] for line in lines()] == list(range(10_000))


def test_threads_may_log_at_once(output: Any) -> None:
    fd, lines = output
    logger = log.get_logger("dscore.store")
    log.configure(LogConfig(format="json"), fd=fd)

    def say(who: int) -> None:
        for number in range(500):
            logger.info("x", who=who, number=number)

    threads = [threading.Thread(target=say, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    said = [orjson.loads(line) for line in lines()]
    for who in range(4):
        assert [one["number"] for one in said if one["who"] == who] == list(range(500))


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(3)",
        "raise RuntimeError",
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); os.kill(os.getpid(), 15)",
        "log.flush(); os._exit(0)",
    ],
)
def test_no_line_is_lost_when_the_process_ends(end: str) -> None:
    body = f"for number in range(2000): logger.info('x', number=number)\n{end}\n"
    with program(body, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=DEADLINE)
    assert [orjson.loads(line)["number"] for line in out.splitlines()] == list(range(2000))


def test_reader_that_has_gone_does_not_end_the_process() -> None:
    reader, stdout = os.pipe()
    os.close(reader)
    body = "for _ in range(2000): logger.info('x')\nlog.flush()\nsys.stderr.write('alive')\n"
    with program(body, stdout=stdout) as process:
        os.close(stdout)
        _, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, b"alive")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_does_not_end_the_process() -> None:
    with open("/dev/full", "wb") as full:
        body = "logger.info('x')\nlog.flush()\nlogger.info('y')\nsys.stderr.write('alive')\n"
        with program(body, stdout=full) as process:
            _, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, err) == (0, b"alive")


def test_closed_stdout_does_not_end_the_process() -> None:
    body = "os.close(1)\nlogger.info('x')\nlog.flush()\nsys.stderr.write('alive')\n"
    with program(body, stdout=subprocess.PIPE) as process:
        _, err = process.communicate(timeout=DEADLINE)
    assert err == b"alive"


def test_reader_that_does_not_read_delays_no_line_and_the_end_by_two_seconds_at_most() -> None:
    body = (
        "for _ in range(20_000): logger.info('x', filler='y' * 100)\n"
        "sys.stderr.write('alive'); sys.stderr.flush()\n"
    )
    reader, stdout = os.pipe()
    try:
        with program(body, stdout=stdout) as process:
            os.close(stdout)
            assert process.stderr is not None
            assert select.select([process.stderr], [], [], DEADLINE)[0]
            assert os.read(process.stderr.fileno(), 5) == b"alive"
            assert process.wait(DEADLINE) == 0
    finally:
        os.close(reader)


def drain_pipe(reader: int, until: bytes) -> bytes:
    """What comes out of a pipe, up to and with a word."""
    out = b""
    deadline = time.monotonic() + DEADLINE
    while until not in out:
        left = max(0.0, deadline - time.monotonic())
        assert select.select([reader], [], [], left)[0], out[-200:]
        out += os.read(reader, 1 << 20)
    return out


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_past_the_bound_are_dropped_and_counted(*, blocking: bool) -> None:
    reader, fd = os.pipe()
    os.set_blocking(fd, blocking)
    writer = Writer(fd, lost=lambda count: b"lost %d\n" % count)
    try:
        line = b"x" * 9999 + b"\n"
        count = 3 * MAX_QUEUED // len(line)
        for _ in range(count):
            writer.write(line)
        out = drain_pipe(reader, b"lost ")
        writer.write(b"last\n")
        out += drain_pipe(reader, b"last\n")
        said = out.splitlines(keepends=True)
        lost = [int(one[5:]) for one in said if one.startswith(b"lost ")]
        assert said.count(line) + sum(lost) == count
        assert 0 < sum(lost) < count
        assert said[-1] == b"last\n"
    finally:
        writer.close()
        os.close(fd)
        os.close(reader)


class FailingWrites:
    """`os.write` that takes so much of a block and then fails as it is told."""

    def __init__(self, *answers: int | OSError) -> None:
        self.answers = list(answers)
        self.out = b""

    def __call__(self, _: int, data: memoryview) -> int:
        answer = self.answers.pop(0) if self.answers else len(data)
        if isinstance(answer, OSError):
            raise answer
        self.out += bytes(data[:answer])
        return min(answer, len(data))


def test_block_cut_by_an_error_is_ended_before_the_next_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes = FailingWrites(2, OSError(errno.ENOSPC, "full"))
    monkeypatch.setattr(os, "write", writes)
    writer = Writer(99, lost=lambda count: b"lost %d\n" % count)
    writer.write(b"first\n")
    assert writer.flush(DEADLINE)
    writer.write(b"second\n")
    assert writer.flush(DEADLINE)
    writer.close()
    assert writes.out == b"fi\nlost 1\nsecond\n"


def test_count_of_lost_lines_outlives_a_second_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "full")
    writes = FailingWrites(full, full)
    monkeypatch.setattr(os, "write", writes)
    writer = Writer(99, lost=lambda count: b"lost %d\n" % count)
    for line in (b"first\n", b"second\n", b"third\n"):
        writer.write(line)
        assert writer.flush(DEADLINE)
    writer.close()
    assert writes.out == b"lost 2\nthird\n"


def test_signal_handler_may_log(output: Any) -> None:
    fd, lines = output
    logger = log.get_logger("dscore.server")
    log.configure(LogConfig(format="json"), fd=fd)
    before = signal.signal(signal.SIGALRM, lambda *_: logger.info("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(20_000):
            logger.info("x")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    events = [orjson.loads(line)["event"] for line in lines()]
    assert events.count("x") == 20_000
    assert "alarm" in events


@given(st.lists(st.integers(0, 4_102_444_800_000), min_size=1))
def test_time_of_a_line_is_that_of_its_millisecond(moments: list[int]) -> None:
    for ms in moments:
        # In the same second, and in others.
        for present in (ms, ms // 1000 * 1000, ms + 1000):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(time, "time_ns", lambda at=present: at * 1_000_000)
                shown = now()
            expected = datetime.fromtimestamp(present // 1000, timezone.utc)
            assert shown == f"{expected:%Y-%m-%dT%H:%M:%S}.{present % 1000:03d}Z"
