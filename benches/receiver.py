"""The far end of a send: notes when each message came. A process of its own; see test_send.py.

    python receiver.py SOCKET

For each message that it reads it writes two numbers of eight bytes to stdout: when it had read the
message, on the monotonic clock, and when the kernel had it, on the real one (0: not noted).
"""

import os
import socket
import struct
import sys
import time

SO_TIMESTAMPNS = 35
"""socket(7); Python has no name for it."""
TIMES = struct.Struct("=qq")


def main(descriptor: int) -> None:
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(True)
    connection.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    while True:
        data, notes, _, _ = connection.recvmsg(4096, 256)
        read_at = time.monotonic_ns()
        if not data:
            return
        noted_at = 0
        for _, kind, content in notes:
            if kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("=qq", content[:16])
                noted_at = seconds * 1_000_000_000 + nanoseconds
        os.write(1, TIMES.pack(read_at, noted_at))


if __name__ == "__main__":
    main(int(sys.argv[1]))
