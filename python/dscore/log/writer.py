"""Lines to a descriptor, by a thread of its own.

A log without a reader (a stopped pager, a full pipe) must not stop the drain of a fleet, and a
broken one must not end the process. So a call that logs only appends to a list; one thread takes
what has gathered, as one block, whenever it gets the GIL, which is when the event loop goes to
sleep or after five milliseconds of a busy one. What does not fit any more is dropped, and counted.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from dscore import signals

MAX_QUEUED = 8 << 20
"""Bytes that may wait: 18,000 lines of a drain several times over."""
_CLOSE_SECONDS = 2.0
_RETRY_MS = 200


class Writer:
    """Lines in, blocks out. Thread-safe, and safe to use in a signal handler."""

    def __init__(self, fd: int, *, lost: Callable[[int], bytes]) -> None:
        """Starts the thread.

        Args:
            lost: makes the line that says how many were lost.
        """
        self._fd = fd
        self._lost_line = lost
        # One buffer, so that lines are not kept one by one in the larger ones they were made in.
        self._lines = bytearray()
        self._lost = 0
        self.lost_total = 0
        """Lines that were dropped, told of or not."""
        self._idle = False  # the thread has written all and waits to be told of more
        self._closing = False
        self._torn = False  # what was written last ends within a line
        # Reentrant: a signal handler that logs may interrupt `write`. Held by itself where the
        # thread need not be woken, which costs a third of going through the condition.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread = threading.Thread(target=self._run, name="dscore-log", daemon=True)
        with signals.blocked():
            self._thread.start()

    def write(self, lines: bytes) -> None:
        """Takes whole lines, newlines included. Never blocks, never raises."""
        with self._lock:
            if len(self._lines) + len(lines) > MAX_QUEUED:
                lines = self._what_fits(lines)
            self._lines += lines
            if self._idle:
                self._idle = False
                self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Waits until every line is written; False: it took too long."""
        with self._changed:
            return self._changed.wait_for(self._is_clear, seconds)

    def close(self) -> None:
        """Writes what is left, if it is taken within two seconds, and ends the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)

    def _is_clear(self) -> bool:
        return (self._idle and not self._lines) or not self._thread.is_alive()

    def _what_fits(self, lines: bytes) -> bytes:
        """The first of them; counts the others as lost."""
        end = lines.rfind(b"\n", 0, MAX_QUEUED - len(self._lines)) + 1
        lost = lines.count(b"\n", end)
        self._lost += lost
        self.lost_total += lost
        return lines[:end]

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._lines and not self._closing:
                    self._idle = True
                    self._changed.notify_all()
                    self._changed.wait()
                if not self._lines:
                    return
                lines, self._lines = self._lines, bytearray()
                lost, self._lost = self._lost, 0
            self._write_block(lines, lost)

    def _write_block(self, lines: bytearray, lost: int) -> None:
        head = (b"\n" if self._torn else b"") + (self._lost_line(lost) if lost else b"")
        block = head + lines
        written = self._write_out(block)
        if written == len(block):
            self._torn = False
            return
        if written:
            self._torn = block[written - 1 : written] != b"\n"
        unsaid = lost if written < len(head) else 0
        missing = block.count(b"\n", max(written, len(head)))
        with self._lock:
            self._lost += unsaid + missing
            self.lost_total += missing

    def _write_out(self, block: bytes) -> int:
        """How many bytes the descriptor took before it failed."""
        rest = memoryview(block)
        while rest:
            taken = self._write_some(rest)
            if taken < 0:
                break
            rest = rest[taken:]
        return len(block) - len(rest)

    def _write_some(self, rest: memoryview) -> int:
        """How much was taken; -1: nothing is going to be."""
        try:
            return os.write(self._fd, rest)
        except BlockingIOError:  # A non-blocking descriptor: wait here.
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            writable = poll.poll(_RETRY_MS)
            return -1 if self._closing and not writable else 0
        except OSError:  # A reader that has gone (EPIPE), a full disk: the next block may fit.
            return -1
