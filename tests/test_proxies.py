"""Behind nginx, HAProxy and Caddy, as packaging/ sets them up: wss ended there, polling, checks."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import socketio
from websockets.asyncio.client import connect

import web_session
from certificates import Authority
from dscore_agent import embed
from dscore_agent.config import AgentConfig
from dscore_agent.status import Exit
from proxies import Proxy, find, started
from serving import Serving
from waiting import wait_until

Serve = Callable[..., Serving]

AGENT, BOSS = "agent-secret", {"authorization": "Bearer operator-secret"}
CLIENT = "127.0.0.2"
"""Where clients come from: it is no trusted proxy."""
LIES = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=7.7.7.7", "X-Forwarded-Proto": "http"}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that knows its proxies."""
    env = {
        "DSCORE_LISTEN__TRUSTED_PROXIES": "127.0.0.1",
        "DSCORE_LISTEN__NAMES": "fleet.example",
        "DSCORE_AUTH__REQUIRED": "true",
        "DSCORE_AUTH__TOKENS": AGENT,
        "DSCORE_AUTH__OPERATOR_TOKENS": "operator-secret",
    }
    directory = tmp_path_factory.mktemp("behind")
    with Serving("--store", ":memory:", directory=directory, env=env) as one:
        yield one.wait_until_ready()


@pytest.fixture(scope="module", params=["nginx", "haproxy", "caddy"])
def proxy(
    request: pytest.FixtureRequest,
    behind: Serving,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    if find(request.param) is None:
        pytest.skip(f"no {request.param}: make setup-proxies")
    issued = authority.issue("localhost", "fleet.example")
    with started(request.param, behind, issued, tmp_path_factory.mktemp(request.param)) as one:
        yield one


@pytest.fixture
def trust(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.save(tmp_path)))


def address_of(behind: Serving, agent_id: str) -> str:
    status, body = behind.request("GET", f"/api/v1/agents/{agent_id}", headers=BOSS)
    assert status == 200, body
    return str(json.loads(body)["ip"])


async def test_an_agent_comes_in_by_wss_with_its_own_address(
    behind: Serving, proxy: Proxy, trust: ssl.SSLContext
) -> None:
    headers = {**LIES, "authorization": f"Bearer {AGENT}"}
    connection = connect(
        proxy.ws,
        ssl=trust,
        local_addr=(CLIENT, 0),
        family=socket.AF_INET,
        additional_headers=headers,
        proxy=None,
    )
    async with connection as wire:
        await wire.send(json.dumps({"type": "app_ready", "instance_id": "a-wss"}))
        assert json.loads(await wire.recv())["type"] == "app_ready_ack"
        assert await asyncio.to_thread(address_of, behind, "a-wss") == CLIENT
        big = json.dumps({"type": "note", "text": "x" * 40_000})
        await wire.send(big)
        await wire.send(json.dumps({"type": "heartbeat", "clientName": "a-wss"}))
        assert json.loads(await wire.recv())["type"] == "heartbeat_response"


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_a_socketio_client_comes_in_by_either_transport(
    behind: Serving, proxy: Proxy, trust: ssl.SSLContext, transports: list[str]
) -> None:
    async with web_session.secure(trust, CLIENT) as session:
        client = socketio.AsyncClient(reconnection=False, http_session=session)
        answered = asyncio.get_running_loop().create_future()
        client.on("heartbeat_response", answered.set_result)
        await client.connect(proxy.url, transports=transports, headers=LIES, auth={"token": AGENT})
        try:
            name = f"a-{'-'.join(transports)}"
            await client.emit("heartbeat", {"clientName": name})
            await asyncio.wait_for(answered, 30)
            assert await asyncio.to_thread(address_of, behind, name) == CLIENT
        finally:
            await client.disconnect()


async def test_the_agent_in_python_comes_in_and_is_stopped(
    behind: Serving, proxy: Proxy, authority: Authority, tmp_path: Path
) -> None:
    config = AgentConfig(
        url=f"wss://localhost:{proxy.port}",
        instance_id="a-python",
        token=AGENT,
        ca_file=authority.save(tmp_path),
    )
    agent = embed.start(config)
    path = "/api/v1/agents/a-python/terminate"

    def terminates() -> bool:
        status, _ = behind.request("POST", path, headers=BOSS)
        return status == 200

    await asyncio.to_thread(wait_until, terminates, "a terminated agent", 30.0)
    assert await asyncio.to_thread(agent.join, 30.0) == Exit.STOPPED


async def test_the_audit_names_the_client_and_the_proxy(
    behind: Serving, proxy: Proxy, trust: ssl.SSLContext
) -> None:
    async with web_session.secure(trust, CLIENT) as session:
        where = f"{proxy.url}/api/v1/maintenance"
        async with session.get(f"{proxy.url}/api/v1/agents") as answer:
            assert answer.status == 401
        headers = {**LIES, **BOSS}
        async with session.post(where, json={"enabled": False}, headers=headers) as answer:
            assert answer.status == 200
        async with session.get(f"{proxy.url}/api/v1/audit?limit=1", headers=BOSS) as answer:
            (line,) = (await answer.json())["items"]
    assert (line["ip"], line["proxy"]) == (CLIENT, "127.0.0.1")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/deepstream/health", "/readyz", "/livez"])
@pytest.mark.parametrize("method", ["OPTIONS", "GET", "HEAD"])
def test_checks_of_balancers_are_answered(
    behind: Serving, method: str, path: str, version: str
) -> None:
    """By OPTIONS and HTTP/1.0, as HAProxy's are."""
    with socket.create_connection((behind.host, behind.port), 30) as one:
        host = "" if version == "1.0" else "Host: localhost\r\nConnection: close\r\n"
        one.sendall(f"{method} {path} HTTP/{version}\r\n{host}\r\n".encode())
        answer = b""
        while more := one.recv(4096):
            answer += more
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_haproxy_takes_a_server_out_that_is_in_maintenance(
    serve: Serve, authority: Authority, tmp_path: Path, trust: ssl.SSLContext
) -> None:
    if find("haproxy") is None:
        pytest.skip("no haproxy: make setup-proxies")
    serving = serve(env={"DSCORE_LISTEN__TRUSTED_PROXIES": "127.0.0.1"})
    with started("haproxy", serving, authority.issue("localhost"), tmp_path) as one:

        async def status() -> int:
            async with (
                web_session.secure(trust, CLIENT) as session,
                session.get(f"{one.url}/livez") as answer,
            ):
                return answer.status

        async def becomes(expected: int) -> None:
            deadline = asyncio.get_running_loop().time() + 60
            while await status() != expected:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.2)

        await becomes(200)
        for enabled, expected in [(True, 503), (False, 200)]:
            await asyncio.to_thread(
                serving.request, "POST", "/api/v1/maintenance", {"enabled": enabled}
            )
            await becomes(expected)
