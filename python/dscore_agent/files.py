"""Files that people name: what is none must neither hold its reader up nor fill the memory.

A FIFO blocks its reader until there is a writer, /dev/zero has no end; either may stand where a
token stood a minute ago.
"""

import errno
import os
import stat
from pathlib import Path

MAX_CONFIG = 256 * 1024
"""Bytes; each is many times what there is in practice."""
MAX_TOKEN = 64 * 1024
MAX_CERTIFICATE = 8 * 1024 * 1024


def read(path: Path, limit: int) -> bytes:
    """The content of a regular file. Waits for no writer.

    Args:
        path: The file.
        limit: Bytes; no more are read.

    Raises:
        OSError: It cannot be read, is not a regular file, or has more bytes.
    """
    with open(path, "rb", opener=_open) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it has more than {limit} bytes")
    return content


def _open(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor
