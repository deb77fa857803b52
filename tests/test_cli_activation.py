"""The listening socket of a service manager: the server takes it, and leaves it for the next."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dscore.cli import activation
from dscore.cli.errors import USAGE, CliError
from serving import Serving
from wire import agent

Serve = Callable[..., Serving]


@pytest.fixture
def held() -> Iterator[socket.socket]:
    """A socket as dscore.socket makes it: bound and listening before any server is there."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as held:
        yield held


async def test_agents_wait_in_the_backlog_while_the_server_starts_anew(
    serve: Serve, held: socket.socket
) -> None:
    port = held.getsockname()[1]
    # What the configuration says of an address comes too late.
    first = serve("--port", "1", passed=held, port=port)
    assert first.wait_for_log("serving")["url"] == f"http://127.0.0.1:{port}"
    async with agent(first.ws, "cam-1"):
        pass
    assert first.stop() == 0
    # Between the two a client is not refused: it waits.
    with socket.create_connection(("127.0.0.1", port), timeout=60) as early:
        early.sendall(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
        second = serve(passed=held, port=port)
        assert early.recv(64).startswith(b"HTTP/1.1 200 ")
    async with agent(second.ws, "cam-1"):
        pass
    assert second.stop() == 0


def test_a_socket_that_is_open_to_other_machines_wants_tokens(serve: Serve, tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as held:
        serving = serve(passed=held, ready=False)
        assert serving.wait() == USAGE
        assert "refusing to listen on 0.0.0.0 without tokens" in serving.log


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_what_was_passed_to_another_process_or_not_at_all_is_none(environ: dict[str, str]) -> None:
    assert activation.passed_address(environ) is None


def test_two_sockets_are_one_too_many() -> None:
    environ = {"LISTEN_FDS": "2", "LISTEN_PID": str(os.getpid())}
    with pytest.raises(CliError, match="2 sockets were passed") as refused:
        activation.passed_address(environ)
    assert refused.value.code == USAGE


@pytest.mark.parametrize("kind", ["datagram", "unix", "file"])
def test_what_is_no_tcp_socket_is_refused(serve: Serve, tmp_path: Path, kind: str) -> None:
    if kind == "file":
        with (tmp_path / "file").open("w") as file:
            refuses(serve, file)
        return
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    type_ = socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
    with socket.socket(family, type_) as held:
        held.bind(str(tmp_path / "socket") if kind == "unix" else ("127.0.0.1", 0))
        refuses(serve, held)


def refuses(serve: Serve, held: object) -> None:
    serving = serve(passed=held, ready=False)
    assert serving.wait() in (1, USAGE)
    assert "the socket that was passed" in serving.log
