"""The log of the agent's command: it holds nothing up, and tells what it lost."""

import fcntl
import logging
import os
import pty
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from dscore_agent.cli import output as module
from dscore_agent.cli.output import MAX_QUEUED, Output
from waiting import wait_until

DEADLINE = 30.0
Make = Callable[[int], Output]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes outputs, which are closed afterwards."""
    made: list[Output] = []

    def start(fd: int) -> Output:
        made.append(Output(fd))
        return made[-1]

    yield start
    for one in made:
        one.close()
    assert "dscore-agent-log" not in {thread.name for thread in threading.enumerate()}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    yield read, write
    for fd in (read, write):
        with suppress(OSError):
            os.close(fd)


def say(output: Output, message: str, count: int = 1) -> None:
    for _ in range(count):
        output.handle(logging.makeLogRecord({"name": "x", "levelno": 20, "msg": message}))


def events(text: bytes) -> list[str]:
    return [orjson.loads(line)["event"] for line in text.splitlines()]


def test_lines_come_in_order_and_closing_writes_what_is_left(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        output = make(file.fileno())
        for number in range(1000):
            say(output, str(number))
        output.close()
    assert events(path.read_bytes()) == [str(number) for number in range(1000)]


def test_a_pipe_that_is_not_read_holds_nothing_up_and_the_loss_is_told(
    make: Make, pipe: tuple[int, int]
) -> None:
    read, write = pipe
    output = make(write)
    count = 2 * MAX_QUEUED // 1000
    say(output, "y" * 1000, count)
    assert not output.wait_until_written(0.05)
    got = bytearray()
    os.set_blocking(read, False)

    def read_some() -> bool:
        with suppress(BlockingIOError):
            got.extend(os.read(read, 1 << 16))
        return output.wait_until_written(0.0)

    wait_until(read_some, "all that was kept", DEADLINE)
    say(output, "after")
    assert output.wait_until_written(DEADLINE)
    read_some()
    lines = [orjson.loads(line) for line in bytes(got).splitlines()]
    lost = [line["lines"] for line in lines if line["event"] == "log_lines_lost"]
    # Told once for each time that there was room in between.
    assert lost
    assert sum(lost) + len([line for line in lines if line["event"].startswith("y")]) == count
    assert lines[-1]["event"] == "after"


@pytest.mark.parametrize("blocking", [True, False])
def test_a_reader_that_comes_late_gets_whole_lines(
    make: Make, pipe: tuple[int, int], blocking: bool
) -> None:
    read, write = pipe
    os.set_blocking(write, blocking)
    output = make(write)
    say(output, "z" * 3000, 50)
    got = b""
    while got.count(b"\n") < 50:
        got += os.read(read, 1 << 16)
    assert events(got) == ["z" * 3000] * 50


def test_a_record_that_cannot_be_written_raises_nothing_and_is_counted(
    make: Make, tmp_path: Path
) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("broken")

    path = tmp_path / "log"
    with path.open("wb") as file:
        output = make(file.fileno())
        output.handle(logging.makeLogRecord({"name": "x", "levelno": 40, "msg": Broken()}))
        say(output, "after")
        assert output.wait_until_written(DEADLINE)
    assert events(path.read_bytes()) == ["log_lines_lost", "after"]


def test_a_reader_that_has_gone_ends_nothing(make: Make, pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.close(read)
    output = make(write)
    say(output, "unheard", 3)
    assert output.wait_until_written(DEADLINE)


def test_after_a_torn_line_the_next_begins_anew(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, room = tmp_path / "log", 20

    class FullDisk:
        """`os`, whose `write` has room for so many bytes, and then again for all."""

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def write(self, fd: int, data: memoryview) -> int:
            nonlocal room
            if room == 0:
                room = 1 << 20
                raise OSError(28, "No space left on device")
            taken = os.write(fd, data[:room])
            room -= taken
            return taken

    monkeypatch.setattr(module, "os", FullDisk())
    with path.open("wb") as file:
        output = make(file.fileno())
        say(output, "torn")
        assert output.wait_until_written(DEADLINE)
        say(output, "whole")
        assert output.wait_until_written(DEADLINE)
    first, *others = path.read_bytes().splitlines()
    assert len(first) == 20
    assert events(b"\n".join(others)) == ["log_lines_lost", "whole"]


@pytest.mark.parametrize(
    ("environ", "colors"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_on_a_terminal_lines_are_text(
    make: Make, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], colors: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    try:
        output = make(theirs)
        say(output, "hello")
        assert output.wait_until_written(DEADLINE)
        line = os.read(ours, 1000)
    finally:
        output.close()
        os.close(ours)
        os.close(theirs)
    assert b"hello" in line
    assert not line.startswith(b"{")
    assert (b"\x1b[" in line) == colors
