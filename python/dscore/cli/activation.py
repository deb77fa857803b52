"""The listening socket that a service manager has bound and passes on (sd_listen_fds(3)): agents
that come back while the server starts anew wait in its backlog instead of being refused."""

import os
import socket
from collections.abc import Mapping
from contextlib import closing

from dscore.cli.errors import USAGE, CliError

FIRST_FD = 3


def passed_address(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Where the socket that was passed listens; None: none was.

    The core takes it itself: here its address is read, for all that hangs on it.

    Raises:
        CliError: It is more than one, or no TCP socket.
    """
    if environ.get("LISTEN_PID", "") != str(os.getpid()):
        return None
    count = environ.get("LISTEN_FDS", "")
    if count == "0" or not count.isdecimal():
        return None
    if count != "1":
        raise CliError(
            f"{count} sockets were passed, and the server listens on one: write one "
            "ListenStream= in its socket unit",
            USAGE,
        )
    try:
        with closing(socket.socket(fileno=os.dup(FIRST_FD))) as passed:
            is_tcp = passed.family in (socket.AF_INET, socket.AF_INET6)
            if is_tcp and passed.type == socket.SOCK_STREAM:
                host, port = passed.getsockname()[:2]
                return host, port
    except OSError as error:
        raise CliError(f"the socket that was passed cannot be used: {error.strerror}") from None
    raise CliError(
        "the socket that was passed is no TCP socket: write ListenStream=ADDRESS:PORT in its "
        "socket unit",
        USAGE,
    )
