"""The log of the command: records in, lines out, on a thread of its own.

A log that nothing reads (a stopped pager, a full pipe, a disk that hangs) must not hold the agent
or the pipeline that it stops, and a broken one must not end the process. So `emit` only appends;
the thread writes. What does not fit any more is dropped, and counted.
"""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from dscore_agent.cli.lines import event_of, json_line, text_line

MAX_QUEUED = 1 << 20
"""Bytes that may wait: thousands of lines."""
CLOSE_SECONDS = 2.0
RETRY_MS = 200
STDOUT = 1

Render = Callable[[Mapping[str, Any]], bytes]


class Output(logging.Handler):
    """Writes lines to a descriptor. `emit` never waits and never raises; from any thread."""

    def __init__(self, fd: int = STDOUT) -> None:
        """Starts the thread.

        Args:
            fd: Where to; on a terminal the lines are text, elsewhere JSON.
        """
        super().__init__()
        self._fd = fd
        self._render = _render_for(fd)
        self._lines: deque[bytes] = deque()
        self._queued = 0
        self._lost = 0
        self._idle = False  # the thread has written all and waits for more
        self._closing = False
        self._torn = False  # what was written last ends within a line
        self._changed = threading.Condition(threading.RLock())
        self._thread = threading.Thread(target=self._run, name="dscore-agent-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record."""
        try:
            line = self._render(event_of(record))
        except Exception:  # A broken __str__ in a record of another library.
            line = b""
        with self._changed:
            if not line or self._queued + len(line) > MAX_QUEUED:
                self._lost += 1
                return
            self._lines.append(line)
            self._queued += len(line)
            self._changed.notify_all()

    def wait_until_written(self, seconds: float = CLOSE_SECONDS) -> bool:
        """Waits until every line is written; False: it took too long."""
        with self._changed:
            return self._changed.wait_for(self._is_clear, seconds)

    def close(self) -> None:
        """Writes what is left, if it is taken within two seconds, and ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        super().close()

    def _is_clear(self) -> bool:
        return (self._idle and not self._lines) or not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closing:
                    self._idle = True
                    self._changed.notify_all()
                    self._changed.wait()
                if not self._lines:
                    return
                self._idle = False
                line = self._lines.popleft()
                self._queued -= len(line)
                lost, self._lost = self._lost, 0
            self._write_after(lost, line)

    def _write_after(self, lost: int, line: bytes) -> None:
        """Writes a line, and before it how many were lost; what the descriptor does not take is
        lost too."""
        for text, count in ((self._lost_line(lost), lost), (line, 1)):
            if count and not self._write(text):
                with self._changed:
                    self._lost += count

    def _lost_line(self, count: int) -> bytes:
        record = logging.makeLogRecord({"name": "dscore.agent", "levelno": logging.WARNING})
        record.event, record.fields = "log_lines_lost", {"lines": count}
        return self._render(event_of(record))

    def _write(self, line: bytes) -> bool:
        rest = memoryview(b"\n" + line if self._torn else line)
        whole = len(rest)
        while rest:
            taken = self._write_some(rest)
            if taken < 0:
                self._torn = self._torn or len(rest) < whole
                return False
            rest = rest[taken:]
        self._torn = False
        return True

    def _write_some(self, rest: memoryview) -> int:
        """How much was taken; -1: nothing is going to be."""
        try:
            return os.write(self._fd, rest)
        except BlockingIOError:  # Another program made the descriptor non-blocking: wait here.
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            writable = poll.poll(RETRY_MS)
            return -1 if self._closing and not writable else 0
        except OSError:  # A reader that has gone (EPIPE), a full disk: the next line may fit.
            return -1


def _render_for(fd: int) -> Render:
    if not os.isatty(fd):
        return json_line
    colors = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return lambda event: text_line(event, colors=colors)
