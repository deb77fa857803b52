"""What the C library does with memory that is free again.

glibc learns from what a process asks for: after a few blocks of a megabyte it keeps such blocks for
ever, and all that was ever freed above them. A server that was attacked once would hold what the
attack had filled until it ends: 270 of 270 MB (`benches/memory_after.py`). Fixed thresholds let
blocks go back as they are freed. Agents and their messages are smaller, and never touch them.
"""

import ctypes
import os

MMAP_THRESHOLD = 128 * 1024
"""Bytes from which a block is one of the kernel's, given back when it is freed. glibc begins with
this."""
TRIM_THRESHOLD = 1024 * 1024
"""Free bytes at the end of a heap that stay: with fewer a drain takes and gives by turns."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_OPERATORS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD")


def give_memory_back() -> None:
    """Fixes the thresholds of this process, unless its environment has a say in them, or its C
    library knows none."""
    if any(name in os.environ for name in _OPERATORS):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD)
