"""TLS clients for tests: Python's ssl, with HTTP and WebSocket by hand, and openssl."""

import asyncio
import base64
import os
import socket
import ssl
import subprocess
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from serving import Serving

RECORD_LAYERS = ("rustls", "own")
"""What opens and seals a server's records: nothing shows to a client which of them it is."""

UPGRADE = (
    "GET /deepstream/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
)


def layered(record_layer: str) -> dict[str, str]:
    """The environment of a server with this record layer."""
    return {"DSCORE_TLS__RECORD_LAYER": record_layer}


def dial(
    port: int, context: ssl.SSLContext, name: str = "localhost", **options: Any
) -> ssl.SSLSocket:
    """A TLS connection to this machine, with ten times the patience that it takes."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    try:
        return context.wrap_socket(plain, server_hostname=name, **options)
    except BaseException:
        plain.close()
        raise


def get(tls: ssl.SSLSocket, path: str, *, close: bool = True) -> bytes:
    """The whole answer to a GET."""
    end = "Connection: close\r\n" if close else ""
    tls.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{end}\r\n".encode())
    return read_all(tls)


def read_all(tls: ssl.SSLSocket) -> bytes:
    """What comes until the other side says that it has ended."""
    parts = []
    while part := tls.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def upgrade(tls: ssl.SSLSocket) -> None:
    """Makes it a WebSocket of the raw dialect."""
    tls.sendall(UPGRADE.format(key=base64.b64encode(os.urandom(16)).decode()).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += tls.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head


def s_client(port: int, *words: str, said: bytes = b"", ca: str | None = None) -> str:
    """What `openssl s_client` writes that connects so, both streams."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *words]
    command += [] if ca is None else ["-CAfile", ca, "-verify_return_error"]
    done = subprocess.run(command, input=said, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode(errors="replace")


def agent(serving: Serving, port: int, context: ssl.SSLContext) -> connect:
    """A raw agent's WebSocket over TLS."""
    return connect(
        f"wss://localhost:{port}/deepstream/ws", ssl=context, open_timeout=30, close_timeout=30
    )


async def ask(websocket: ClientConnection, message: str) -> str:
    await websocket.send(message)
    answer = await asyncio.wait_for(websocket.recv(), 30)
    assert isinstance(answer, str)
    return answer


def metric(serving: Serving, name: str) -> float:
    """A figure of `/metrics`, by its name and labels."""
    _, body = serving.get("/metrics")
    lines = [line for line in body.decode().splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0
