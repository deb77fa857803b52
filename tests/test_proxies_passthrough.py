"""Behind HAProxy and nginx that pass TLS through, behind the PROXY protocol (version 2 and 1)."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from certificates import Authority
from proxies import NGINX_STREAM, Proxy, find, started
from serving import Serving
from tls_clients import ask
from waiting import wait_until

BOSS = "Authorization: Bearer operator-secret\r\n"
CLIENT = "127.0.0.2"
"""Where clients come from: it is no trusted proxy."""


@pytest.fixture(scope="module", params=["haproxy-passthrough", "nginx-passthrough"])
def behind(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Serving, Proxy]]:
    name = request.param
    if find(name.partition("-")[0]) is None:
        pytest.skip(f"no {name}: make setup-proxies")
    if name.startswith("nginx") and not NGINX_STREAM.exists():
        pytest.skip("this nginx has no stream module: make setup-proxies")
    directory = tmp_path_factory.mktemp(name)
    issued = authority.issue("localhost")
    files = issued.save(directory)
    env = {
        "DSCORE_LISTEN__TRUSTED_PROXIES": "127.0.0.1",
        "DSCORE_LISTEN__PROXY_PROTOCOL": "true",
        "DSCORE_AUTH__OPERATOR_TOKENS": "operator-secret",
        "DSCORE_TLS__CLIENT_CA": str(authority.save(directory, "clients")),
        "DSCORE_TLS__CLIENT_AUTH": "optional",
    }
    words = ("--tls-cert", str(files.certificate), "--tls-key", str(files.key))
    with Serving("--store", ":memory:", *words, directory=directory, env=env) as serving:
        # Its readiness is asked through the proxy: it takes nothing from here without a header.
        serving.port = int(serving.wait_for_log("server_started", 60)["port"])
        with started(name, serving, issued, directory) as proxy:
            yield serving, proxy


def exchange(
    proxy: Proxy, context: ssl.SSLContext, method: str, path: str, body: str = ""
) -> tuple[int, bytes]:
    """A request of an operator through the proxy, from `CLIENT`."""
    plain = socket.create_connection(("127.0.0.1", proxy.port), 30, source_address=(CLIENT, 0))
    with context.wrap_socket(plain, server_hostname="localhost") as tls:
        tls.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{BOSS}Connection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        said = b""
        while part := tls.recv(65_536):
            said += part
    head, _, document = said.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), document


async def test_an_agent_s_tls_ends_at_the_server_and_its_address_is_its_own(
    behind: tuple[Serving, Proxy], authority: Authority, tmp_path: Path
) -> None:
    _, proxy = behind
    own = authority.client("cam-1").save(tmp_path, "cam-1")
    context = authority.client_context(own)
    wire = connect(proxy.ws, ssl=context, local_addr=(CLIENT, 0), family=socket.AF_INET, proxy=None)
    async with wire as agent:
        ready = await ask(agent, '{"type":"app_ready","instance_id":"cam-1"}')
        assert json.loads(ready)["type"] == "app_ready_ack"
        await agent.send(json.dumps({"type": "note", "text": "x" * 40_000}))
        beat = await ask(agent, '{"type":"heartbeat","clientName":"cam-1"}')
        assert json.loads(beat)["type"] == "heartbeat_response"
        path = "/api/v1/agents/cam-1"
        status, body = await asyncio.to_thread(exchange, proxy, context, "GET", path)
        assert (status, json.loads(body)["ip"]) == (200, CLIENT)
    change = ("POST", "/api/v1/maintenance", '{"enabled": false}')
    status, _ = await asyncio.to_thread(exchange, proxy, context, *change)
    assert status == 200
    status, body = await asyncio.to_thread(exchange, proxy, context, "GET", "/api/v1/audit?limit=1")
    (line,) = json.loads(body)["items"]
    assert (line["ip"], line["proxy"]) == (CLIENT, "127.0.0.1")
    assert line["certificate_names"] == ["cam-1"]


def directly(serving: Serving, method: str, path: str, body: str = "") -> int:
    """The status of a request past the proxy, as its checks make them."""
    with socket.create_connection(("127.0.0.1", serving.port), 30) as plain:
        plain.sendall(
            f"PROXY UNKNOWN\r\n{method} {path} HTTP/1.0\r\n{BOSS}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        return int(plain.recv(65_536).split(b" ", 2)[1])


def test_checks_take_a_server_out_that_is_in_maintenance(
    behind: tuple[Serving, Proxy], authority: Authority, request: pytest.FixtureRequest
) -> None:
    """HAProxy's are by OPTIONS and HTTP/1.0 over TLS, with a header that names no client (LOCAL);
    nginx makes none, and its clients hear the server's own 503."""
    serving, proxy = behind
    context = authority.client_context()

    def status() -> int | None:
        try:
            return exchange(proxy, context, "GET", "/readyz")[0]
        except (OSError, IndexError):
            return None

    is_checked = request.node.callspec.params["behind"].startswith("haproxy")
    for enabled, expected in [("true", None if is_checked else 503), ("false", 200)]:
        change = ("POST", "/api/v1/maintenance", f'{{"enabled": {enabled}}}')
        assert directly(serving, *change) == 200
        assert directly(serving, "OPTIONS", "/readyz") == (200 if enabled == "false" else 503)
        wait_until(lambda is_due=expected: status() == is_due, f"{expected} by the proxy", 60)
