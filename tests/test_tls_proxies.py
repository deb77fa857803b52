"""The PROXY protocol: whom its header names, whose is read, and what clients behind it can take.

Against the real server, on its port for TLS.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from certificates import Authority, Files
from serving import Serving
from tls_clients import get
from waiting import wait_until

Serve = Callable[..., Serving]


@pytest.fixture
def options(tls_files: Files) -> tuple[str, ...]:
    return ("--tls-cert", str(tls_files.certificate), "--tls-key", str(tls_files.key))


def proxied(port: int, header: bytes) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    plain.sendall(header)
    return plain


def binary_header(source: str, port: int) -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton("10.0.0.1")
    body = addresses + struct.pack("!HH", port, 443)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(body)) + body


PROXY = {
    "DSCORE_LISTEN__PROXY_PROTOCOL": "true",
    "DSCORE_LISTEN__TRUSTED_PROXIES": "127.0.0.1",
}


def ask_health(plain: socket.socket) -> bytes:
    plain.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = b""
    while part := plain.recv(4096):
        answer += part
    return answer


def test_a_proxy_s_header_comes_before_all_else_and_names_the_client(
    serve: Serve, options: tuple[str, ...], authority: Authority
) -> None:
    serving = serve(*options, env=PROXY, ready=False)
    port = int(serving.wait_for_log("server_started", 60)["port"])
    for header in (
        b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n",
        binary_header("203.0.113.9", 4711),
        b"PROXY UNKNOWN\r\n",
    ):
        with proxied(port, header) as plain:
            assert ask_health(plain).startswith(b"HTTP/1.1 200 "), header
        with proxied(port, header) as plain:
            context = authority.client_context()
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 "), header
    refused = (
        b"POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )
    clients = {"203.0.113.9", "203.0.113.10"}
    for header in (
        b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n",
        binary_header("203.0.113.10", 4711),
    ):
        with proxied(port, header) as plain:
            plain.sendall(refused)
            assert plain.recv(4096).startswith(b"HTTP/1.1 401 ")

    def named() -> set[object]:
        lines = serving.log_lines()
        return {line["ip"] for line in lines if line.get("event") == "operator_action"}

    wait_until(lambda: named() == clients, "the clients' addresses")
    for wrong in (b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", b"PROXY TCP9 a\r\n"):
        with proxied(port, wrong) as plain:
            assert b"expects the PROXY protocol" in plain.recv(4096)
    line = serving.wait_for_log("tls_refused")
    assert (line["ip"], line["cause"]) == ("127.0.0.1", "proxy_header")
    with proxied(port, b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n") as plain:
        plain.sendall(b"\x16\x03\x01\x00\x05hello")
        while plain.recv(4096):
            pass

    def of_client() -> bool:
        lines = [line for line in serving.log_lines() if line.get("cause") == "invalid"]
        return [(line["ip"], line["proxy"]) for line in lines] == [("203.0.113.9", "127.0.0.1")]

    wait_until(of_client, "the line of the proxy's client")


def test_an_address_that_takes_every_place_keeps_no_other_out(
    serve: Serve, options: tuple[str, ...], authority: Authority
) -> None:
    """It has an eighth of them; what is beyond that makes room first, however young it is."""
    env = PROXY | {"DSCORE_TLS__HANDSHAKES": "24", "DSCORE_TLS__PORT": "0"}
    serving = serve(*options, env=env, ready=False)
    port = int(serving.wait_for_log("server_started", 60)["tls_port"])
    half = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

    def begin(client: str) -> socket.socket:
        plain = proxied(port, f"PROXY TCP4 {client} 10.0.0.1 4711 443\r\n".encode())
        plain.sendall(half)
        return plain

    places = [begin("203.0.113.10") for _ in range(3)]
    try:
        places += [begin("203.0.113.9") for _ in range(40)]
        with proxied(port, b"PROXY TCP4 203.0.113.11 10.0.0.1 4711 443\r\n") as plain:
            context = authority.client_context()
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        assert serving.wait_for_log("tls_refused")["ip"] == "203.0.113.9"
    finally:
        for one in places:
            one.close()


@pytest.mark.timed
def test_many_addresses_that_take_every_place_together_keep_no_other_out(
    serve: Serve, authority: Authority, options: tuple[str, ...]
) -> None:
    """None has more than its share, and none is ever quiet: the oldest make room."""
    env = PROXY | {"DSCORE_TLS__HANDSHAKES": "24", "DSCORE_TLS__PORT": "0"}
    serving = serve(*options, env=env, ready=False)
    port = int(serving.wait_for_log("server_started", 60)["tls_port"])
    is_over = threading.Event()

    def drip(places: list[socket.socket]) -> None:
        while not is_over.wait(0.2):
            for one in places:
                with suppress(OSError):
                    one.sendall(b"\x03")

    with ExitStack() as stack:
        places = []
        for number in range(300):
            client = f"198.51.{100 + number // 250}.{number % 250}"
            plain = proxied(port, f"PROXY TCP4 {client} 10.0.0.1 4711 443\r\n".encode())
            plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03")
            places.append(stack.enter_context(plain))
        dripping = threading.Thread(target=drip, args=(places,))
        dripping.start()
        try:
            # At 3 s for each of 24, the last of them would have its turn after 36 s.
            with proxied(port, b"PROXY TCP4 203.0.113.11 10.0.0.1 4711 443\r\n") as plain:
                plain.settimeout(18)
                context = authority.client_context()
                with context.wrap_socket(plain, server_hostname="localhost") as tls:
                    assert get(tls, "/readyz").startswith(b"HTTP/1.1 200 ")
        finally:
            is_over.set()
            dripping.join(60)


def local_header() -> bytes:
    """Version 2, LOCAL: a proxy's own check."""
    return b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN 127.0.0.1 127.0.0.1 1 2\r\n",
        b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 443\r\n",
        local_header(),
        binary_header("127.0.0.1", 4711),
    ],
)
def test_what_a_proxy_passes_on_has_no_power_of_this_machine(serve: Serve, header: bytes) -> None:
    """Whatever it says of the client, or says nothing: loopback is then that proxy's address."""
    env = PROXY | {"DSCORE_AUTH__LOCAL_OPERATORS": "open", "DSCORE_STORE__PATH": ":memory:"}
    serving = serve(env=env, ready=False)
    port = int(serving.wait_for_log("server_started", 60)["port"])
    for method, path, expected in [
        ("GET", "/readyz", 200),
        ("OPTIONS", "/readyz", 200),
        ("GET", "/api/v1/agents", 401),
        ("POST", "/api/v1/maintenance", 401),
        ("POST", "/api/v1/drain", 401),
    ]:
        with proxied(port, header) as plain:
            plain.sendall(f"{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n".encode())
            assert plain.recv(4096).split(b" ", 2)[1] == b"%d" % expected, (header, path)
    lines = wait_until(
        lambda: [line for line in serving.log_lines() if line.get("event") == "operator_action"],
        "lines of the audit",
        30,
    )
    assert {line["proxy"] for line in lines} == {"127.0.0.1"}


def test_a_header_is_read_from_trusted_proxies_alone(serve: Serve) -> None:
    env = PROXY | {"DSCORE_LISTEN__TRUSTED_PROXIES": "10.9.9.9"}
    serving = serve(env=env)
    with proxied(serving.port, b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n") as plain:
        assert ask_health(plain).startswith(b"HTTP/1.1 400 ")
    refused = serve(env={"DSCORE_LISTEN__PROXY_PROTOCOL": "true"}, ready=False)
    assert refused.wait(60) == 2
    assert "listen.trusted_proxies" in refused.log
