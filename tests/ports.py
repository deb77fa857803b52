"""Ports that a test may give back and take again.

One that the kernel has chosen may be that of any connection a moment after it was given back. These
lie below those that it chooses from (ip_local_port_range), and each worker has some of its own.
"""

import os
import socket
from itertools import count

_FIRST, _LAST = 20_000, 32_000
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_SHARE = (_LAST - _FIRST) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
# Other runs of the tests on this machine begin somewhere else.
_numbers = count(os.getpid())


def lasting() -> int:
    """A port on which nothing listens, and which no other test is given."""
    for _ in range(_SHARE):
        port = _FIRST + _WORKER * _SHARE + next(_numbers) % _SHARE
        with socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind(("", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")
