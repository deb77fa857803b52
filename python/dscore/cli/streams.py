"""What the commands write to: it takes every character, and a reader of any kind.

An agent's id may be anything, and a terminal Latin-1. What its encoding lacks is written as an
escape, `\xe9`. Where another program has made the descriptor non-blocking, a write waits for room.
"""

import io
import os
import select
import sys
from typing import TextIO


class _Patient(io.FileIO):
    """A descriptor that is waited for."""

    def write(self, data: object, /) -> int:
        while (taken := super().write(data)) is None:  # type: ignore[arg-type]
            poll = select.poll()
            poll.register(self.fileno(), select.POLLOUT)
            poll.poll()
        return taken


def prepare() -> None:
    """Makes standard output and standard error such streams."""
    sys.stdout, sys.stderr = _lenient(sys.stdout, 1), _lenient(sys.stderr, 2)


def finish() -> int | None:
    """Writes what is left.

    Returns:
        What the kernel has against it, an `errno`. Nothing more is written then, by Python's own
        exit either, which would complain.
    """
    return _flush(sys.stdout) or _flush(sys.stderr)


def _flush(stream: TextIO) -> int | None:
    try:
        stream.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        return error.errno
    return None


def is_written_in_full(text: str) -> bool:
    """Whether standard output's encoding has all of it."""
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True


def _lenient(stream: TextIO | None, descriptor: int) -> TextIO:
    # None: it was closed when Python began. By now it is the null device.
    encoding = "utf-8" if stream is None else stream.encoding
    return io.TextIOWrapper(
        io.BufferedWriter(_Patient(descriptor, "w", closefd=False)),
        encoding,
        "backslashreplace",
        line_buffering=os.isatty(descriptor),
    )
