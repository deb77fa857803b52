"""How much memory a server keeps after an attack has filled all that it may.

    python -m benches.memory_after                            # as it is served
    python -m benches.memory_after --malloc MALLOC_ARENA_MAX=1   # glibc, told something else

Connections send parts of large messages, whole messages, and requests with bodies, up to
`limits.input_bytes`, again and again; then all of them go. Resident memory is read before, at the
height, and when the server has had ten seconds of peace.
"""

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

CONNECTIONS = 1_000
ROUNDS = 3
PEACE_SECONDS = 10.0
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
UPGRADE = (
    "GET /deepstream/ws HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
).encode()
UNFINISHED = b"\x81\xff" + (900_000).to_bytes(8, "big") + bytes(4) + b" " * 899_999
POST = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--malloc", nargs="*", default=[], help="environment of the server")
    extra = dict(one.split("=", 1) for one in arguments.parse_args().malloc)
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "dscore", "serve"]
            command += ["--port", "0", "--store", ":memory:"]
            server = subprocess.Popen(
                command, cwd=directory, stdout=out, stderr=out, env={**os.environ, **extra}
            )
        try:
            print_figures(psutil.Process(server.pid))
        finally:
            server.kill()
            server.wait()


def print_figures(server: psutil.Process) -> None:
    port = listening_port(server)
    before = settled(server)
    height = before
    for _ in range(ROUNDS):
        height = max(height, attack(port, server))
    after = settled(server)
    print(f"before {before / 1e6:.0f} MB, height {height / 1e6:.0f} MB, after {after / 1e6:.0f} MB")


def attack(port: int, server: psutil.Process) -> int:
    """One round; returns the resident memory at its height."""
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    height = 0
    for number, line in enumerate(lines):
        line.settimeout(0.5)
        with suppress(OSError):
            if number % 2:
                line.sendall(UPGRADE)
                line.recv(4096)
                line.sendall(UNFINISHED)
            else:
                line.sendall(POST)
        if number % 20 == 0:
            height = max(height, server.memory_info().rss)
    height = max(height, server.memory_info().rss)
    for line in lines:
        line.close()
    return height


def settled(server: psutil.Process) -> int:
    time.sleep(PEACE_SECONDS)
    return int(server.memory_info().rss)


def listening_port(server: psutil.Process) -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for one in server.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN:
                return int(one.laddr.port)
        time.sleep(0.05)
    raise TimeoutError("the server does not listen")


if __name__ == "__main__":
    main()
