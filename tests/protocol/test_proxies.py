"""`listen.trusted_proxies` (PROTOCOL.md §11): whose request it is that a proxy has passed on.

The tests are the proxy: they come from 127.0.0.1 or 127.0.0.2, which are trusted or not.
"""

import asyncio
import http.client
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import socketio

import dscore
from dscore.http.types import Receive, Scope, Send
from serving import Serving
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]

CLIENT = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9", "X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that trusts 127.0.0.1 and 10.0.0.0/8, and not 127.0.0.2."""
    env = {"DSCORE_LISTEN__TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8"}
    directory = tmp_path_factory.mktemp("behind")
    with Serving("--store", ":memory:", directory=directory, env=env) as one:
        yield one.wait_until_ready()


def ask(
    serving: Serving, method: str, path: str, headers: dict[str, str], source: str = "127.0.0.1"
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(
        serving.host, serving.port, timeout=30, source_address=(source, 0)
    )
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def address_of(serving: Serving, agent_id: str) -> str:
    status, body = serving.request("GET", f"/api/v1/agents/{agent_id}")
    assert status == 200, body
    return str(json.loads(body)["ip"])


def find_line(serving: Serving, **fields: object) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        lines = serving.log_lines()
        return next((line for line in lines if fields.items() <= line.items()), None)

    return wait_until(find, f"a line with {fields}", 30.0)


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        (CLIENT, "203.0.113.9"),
        ({"X-Forwarded-For": "203.0.113.9, 10.1.2.3"}, "203.0.113.9"),
        ({"Forwarded": 'for=6.6.6.6, for="[2001:db8::7]:4711";proto=https'}, "2001:db8::7"),
        ({"X-Forwarded-For": "nonsense"}, "127.0.0.1"),
        ({}, "127.0.0.1"),
    ],
)
async def test_proxies_an_agents_address_is_its_own(
    behind: Serving, headers: dict[str, str], address: str
) -> None:
    async with agent(behind.ws, "a-proxied", headers=headers):
        assert await asyncio.to_thread(address_of, behind, "a-proxied") == address


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_proxies_a_session_of_socketio_has_the_address_of_its_opening(
    behind: Serving, transport: str
) -> None:
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(behind.url, headers=CLIENT, transports=[transport])
    try:
        answer = asyncio.get_running_loop().create_future()
        client.on("heartbeat_response", answer.set_result)
        await client.emit("heartbeat", {"clientName": f"a-{transport}"})
        await asyncio.wait_for(answer, 30)
        found = await asyncio.to_thread(address_of, behind, f"a-{transport}")
        assert found == "203.0.113.9"
    finally:
        await client.disconnect()


async def test_proxies_no_other_peer_is_believed(serve: Serve) -> None:
    serving = serve(env={"DSCORE_LISTEN__TRUSTED_PROXIES": "127.0.0.2"})
    async with agent(serving.ws, "a-1", headers=CLIENT):
        assert await asyncio.to_thread(address_of, serving, "a-1") == "127.0.0.1"
    wrong = {"authorization": "Bearer wrong", **CLIENT}
    assert (await asyncio.to_thread(ask, serving, "POST", "/api/v1/drain", wrong))[0] == 401
    line = await asyncio.to_thread(find_line, serving, event="operator_action")
    assert line["ip"] == "127.0.0.1"
    assert line["forwarded"] == CLIENT["X-Forwarded-For"]
    assert "proxy" not in line


def test_proxies_the_lines_name_the_client_and_its_proxy(behind: Serving) -> None:
    wrong = {"authorization": "Bearer wrong", **CLIENT}
    assert ask(behind, "POST", "/api/v1/maintenance", wrong)[0] == 401
    line = find_line(behind, event="operator_action", status=401)
    assert (line["ip"], line["proxy"]) == ("203.0.113.9", "127.0.0.1")
    assert "forwarded" not in line
    assert find_line(behind, event="wrong_token")["ip"] == "203.0.113.9"


def test_proxies_a_client_of_a_trusted_proxy_is_not_on_loopback(behind: Serving) -> None:
    for headers in (CLIENT, {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-Proto": "https"}):
        assert ask(behind, "GET", "/api/v1/agents", headers)[0] == 401
        assert ask(behind, "GET", "/livez", headers)[0] == 200
    assert ask(behind, "GET", "/api/v1/agents", {})[0] == 200


def test_proxies_one_connection_carries_many_clients(behind: Serving) -> None:
    connection = http.client.HTTPConnection(behind.host, behind.port, timeout=30)
    for number in range(3):
        headers = {"X-Forwarded-For": f"198.51.100.{number}", "authorization": "Bearer other"}
        connection.request("POST", "/api/v1/drain", headers=headers)
        response = connection.getresponse()
        assert (response.status, bool(response.read())) == (401, True)
    connection.close()
    for number in range(3):
        assert find_line(behind, event="operator_action", ip=f"198.51.100.{number}")


async def test_proxies_an_app_sees_the_client_and_its_scheme() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    listen = {"port": 0, "trusted_proxies": ["127.0.0.1"]}
    config = dscore.Config.model_validate({"listen": listen, "store": {"path": ":memory:"}})
    async with dscore.Server(config, app=app) as server:
        host, port = server.address

        def fetch(headers: dict[str, str], source: str) -> int:
            connection = http.client.HTTPConnection(
                host, port, timeout=30, source_address=(source, 0)
            )
            connection.request("GET", "/mine", headers=headers)
            status = connection.getresponse().status
            connection.close()
            return status

        for_port = {**CLIENT, "X-Forwarded-For": "203.0.113.9:4711"}
        for headers, source in [
            (CLIENT, "127.0.0.1"),
            (for_port, "127.0.0.1"),
            ({}, "127.0.0.1"),
            (CLIENT, "127.0.0.2"),
        ]:
            assert await asyncio.to_thread(fetch, headers, source) == 200
    believed, with_port, silent, other = ((s["client"], s["scheme"]) for s in scopes)
    assert believed == (("203.0.113.9", 0), "https")
    assert with_port == (("203.0.113.9", 4711), "https")
    assert (silent[0][0], silent[1]) == ("127.0.0.1", "http")
    assert (other[0][0], other[1]) == ("127.0.0.2", "http")


async def test_proxies_sighup_changes_who_is_believed(
    serve: Serve, write_toml: Callable[[str], Path]
) -> None:
    path = write_toml("[listen]\ntrusted_proxies = []\n")
    serving = serve("--config", str(path))
    async with agent(serving.ws, "a-1", headers=CLIENT):
        assert await asyncio.to_thread(address_of, serving, "a-1") == "127.0.0.1"
    write_toml('[listen]\ntrusted_proxies = ["127.0.0.0/8"]\n')
    serving.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(serving.wait_for_log, "config_reloaded")
    async with agent(serving.ws, "a-2", headers=CLIENT):
        assert await asyncio.to_thread(address_of, serving, "a-2") == "203.0.113.9"
