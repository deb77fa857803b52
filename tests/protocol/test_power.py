"""PROTOCOL.md §2, "Power": who may change a fleet, with the real program."""

import asyncio
import http.client
import json
import os
import re
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

import dscore
from dscore import operator_token
from dscore.errors import LifespanError
from serving import Serving, dscore_command
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]

POWER = [
    ("POST", "/api/v1/drain"),
    ("POST", "/api/v1/maintenance"),
    ("POST", "/api/v1/agents/a/terminate"),
    ("POST", "/api/v1/agents/a/message"),
    ("DELETE", "/api/v1/agents/a"),
    ("PUT", "/api/v1/drain"),
    ("POST", "/api/v1/no-such-path"),
]
READING = ["/api/v1/agents", "/api/v1/status", "/api/v1/drain", "/api/v1/maintenance"]
REQUIRED = {
    "DSCORE_AUTH__REQUIRED": "true",
    "DSCORE_AUTH__TOKENS": "agent-secret",
    "DSCORE_AUTH__OPERATOR_TOKENS": "operator-secret",
}
NO_TOKEN = {"authorization": ""}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def without(serving: Serving, method: str, path: str, **headers: str) -> int:
    """The status of a request without a token."""
    connection = http.client.HTTPConnection(serving.host, serving.port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_power_takes_a_token_on_loopback_too_and_reading_does_not(lasting: Serving) -> None:
    for method, path in POWER:
        assert without(lasting, method, path) == 401, (method, path)
    for path in READING:
        assert without(lasting, "GET", path) == 200
    assert lasting.request("POST", "/api/v1/maintenance", {"enabled": False})[0] == 200


def test_power_the_token_lies_in_a_file_of_the_owner_alone(lasting: Serving) -> None:
    found = lasting.token_path.stat()
    assert found.st_mode & 0o777 == 0o600
    assert found.st_uid == os.geteuid()
    assert lasting.token_path.parent.stat().st_mode & 0o777 == 0o700
    line = lasting.wait_for_log("operator_token_left")
    assert line["path"] == str(lasting.token_path)
    assert lasting.token_path.read_text().strip() not in lasting.log


def test_power_a_proxy_in_front_is_not_loopback(lasting: Serving) -> None:
    for name in (
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "x-forwarded-anything",
        "Via",
    ):
        assert without(lasting, "GET", "/api/v1/agents", **{name: "x"}) == 401
        assert without(lasting, "POST", "/api/v1/drain", **{name: "x"}) == 401
        shown = {name: "x", **lasting.power}
        assert lasting.request("GET", "/api/v1/agents", headers=shown)[0] == 200
    for path in ("/livez", "/readyz", "/metrics", "/deepstream/health"):
        assert without(lasting, "GET", path, **{"X-Forwarded-For": "10.0.0.1"}) == 200


def test_power_two_authorization_fields_are_400(lasting: Serving) -> None:
    token = lasting.power["authorization"]
    for path in ("/api/v1/agents", "/deepstream/health", "/metrics"):
        with socket.create_connection((lasting.host, lasting.port), 5) as raw:
            fields = f"Authorization: Bearer wrong\r\nAuthorization: {token}\r\n"
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}\r\n".encode())
            assert raw.recv(4096).startswith(b"HTTP/1.1 400 "), path


def test_power_the_command_line_finds_the_token_by_itself(serve: Serve) -> None:
    serving = serve()
    for host in ("127.0.0.1", "localhost"):
        url = f"http://{host}:{serving.port}"
        assert dscore_command("maintenance", "on", "--url", url).stdout == "maintenance is on\n"
        assert dscore_command("maintenance", "off", "--url", url).returncode == 0
    blind = {"XDG_RUNTIME_DIR": str(serving.log_path.parent)}
    refused = dscore_command("maintenance", "on", "--url", serving.url, **blind)
    assert refused.returncode == 1
    assert "needs an operator's token, and none was found in" in refused.stderr
    assert f"{blind['XDG_RUNTIME_DIR']}/dscore, " in refused.stderr
    assert refused.stderr.endswith(
        "; give it with --token or DSCORE_TOKEN, or run this as the server's user\n"
    )
    drained = dscore_command("drain", "--url", serving.url)
    assert (drained.returncode, drained.stderr) == (0, "")
    assert serving.wait() == 0


def test_power_a_token_that_was_left_is_shown_to_loopback_addresses_only(serve: Serve) -> None:
    serving = serve("--host", "0.0.0.0", "--insecure")
    url = f"http://0.0.0.0:{serving.port}"
    refused = dscore_command("maintenance", "on", "--url", url)
    assert refused.returncode == 1
    assert "its log says where, operator_token_left" in refused.stderr
    left = serving.wait_for_log("operator_token_left")
    token = Path(left["path"]).read_text().strip()
    assert dscore_command("maintenance", "on", "--url", url, "--token", token).returncode == 0


def test_power_page_prints_the_address_with_the_token(lasting: Serving) -> None:
    said = dscore_command("page", "--url", lasting.url)
    token = lasting.token_path.read_text().strip()
    assert said.stdout == f"{lasting.url}/#token={token}\n"


def test_power_page_without_a_token_says_that_it_can_only_look(lasting: Serving) -> None:
    blind = {"XDG_RUNTIME_DIR": str(lasting.log_path.parent)}
    said = dscore_command("page", "--url", lasting.url, **blind)
    assert (said.returncode, said.stdout) == (0, f"{lasting.url}/\n")
    assert said.stderr == "no operator's token was found: the page can look, not act\n"


def test_power_the_token_is_the_same_after_a_restart(serve: Serve) -> None:
    first = serve(port=0)
    port, path = first.port, first.token_path
    first.stop()
    assert not path.exists()  # the kernel chose the port: no other server will have it
    second = serve(port=port)
    token = path.read_text()
    second.stop()
    assert serve(port=port).token_path.read_text() == token


def test_power_with_tokens_of_its_own_a_server_takes_an_earlier_file_away(serve: Serve) -> None:
    first = serve()
    port, path = first.port, first.token_path
    first.stop()
    serve(port=port).stop()
    assert path.exists()
    second = serve(port=port, env={"DSCORE_AUTH__OPERATOR_TOKENS": "a+b/c"})
    assert not path.exists()
    refused = dscore_command("agents", "--url", second.url)
    assert refused.returncode == 1
    assert "this needs an operator's token, and none was found in" in refused.stderr
    said = dscore_command("page", "--url", second.url, "--token", "a+b/c")
    assert said.stdout == f"{second.url}/#token=a%2Bb%2Fc\n"
    wrong = dscore_command("page", "--url", second.url, "--token", "a b", "--json")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "the operator's token is wrong; give its token with --token" in wrong.stderr


async def test_power_a_file_that_is_not_of_this_server_is_named(server: dscore.Server) -> None:
    host, port = server.address
    left = operator_token.leave(host, port, operator_token.make_token(), os.environ)
    for command in ("drain", "page"):
        arguments = (command, "--url", f"http://{host}:{port}")
        said = await asyncio.to_thread(dscore_command, *arguments)
        assert (said.returncode, said.stdout) == (1, "")
        assert said.stderr == (
            f"dscore: the token in {left.path} is not this server's (it has tokens of its own, or "
            "is a program's: server.operator_token); give its token with --token or DSCORE_TOKEN\n"
        )
    left.path.unlink()


async def test_power_a_start_that_fails_leaves_no_file_and_takes_no_earlier_one() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"listen": {"port": port}, "store": {"path": ":memory:"}}

    async def no_app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    async def start() -> None:
        config = dscore.Config.model_validate(settings)
        with pytest.raises(LifespanError):
            await dscore.Server(config, app=no_app, leaves_token=True).start()

    await start()
    assert operator_token.find("127.0.0.1", port, os.environ) is None
    earlier = operator_token.leave("127.0.0.1", port, operator_token.make_token(), os.environ)
    await start()
    assert operator_token.find("127.0.0.1", port, os.environ) == earlier
    earlier.path.unlink()


async def test_power_without_a_place_for_the_file_it_stays_closed_and_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/null")
    monkeypatch.setattr(operator_token, "TMP", tmp_path / "missing")
    config = dscore.Config.model_validate({"listen": {"port": 0}})
    async with dscore.Server(config, leaves_token=True) as server:
        assert "operator_token_not_left" in caplog.text
        assert "set auth.operator_token_file" in caplog.text
        host, port = server.address
        url = f"http://{host}:{port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            assert (await client.post("/api/v1/drain")).status_code == 401
            assert (await client.get("/api/v1/agents")).status_code == 200


def test_power_open_gives_the_rule_up_on_loopback_only(serve: Serve) -> None:
    serving = serve(env={"DSCORE_AUTH__LOCAL_OPERATORS": "open"})
    assert without(serving, "DELETE", "/api/v1/agents/a") == 404
    assert without(serving, "DELETE", "/api/v1/agents/a", Via="1.1 proxy") == 401
    line = serving.wait_for_log("operator_action")
    assert (line["who"], line["status"], line["agent_id"]) == ("local", 404, "a")


def test_power_with_tokens_required_everything_takes_an_operators(serve: Serve) -> None:
    serving = serve(env=REQUIRED)
    assert not serving.token_path.exists()
    for path in (*READING, "/metrics", "/openapi.json", "/api/v1/openapi.json"):
        assert without(serving, "GET", path) == 401, path
        for token, status in (("agent-secret", 401), ("operator-secret", 200)):
            headers = bearer(token)
            assert serving.request("GET", path, headers=headers)[0] == status, (path, token)
    for path in ("/livez", "/readyz", "/startupz", "/"):
        assert without(serving, "GET", path) == 200


async def test_power_with_tokens_required_health_hides_the_ids(serve: Serve) -> None:
    serving = serve(env=REQUIRED)
    async with agent(serving.ws, "cam-1", token="agent-secret"):
        for headers, ids in [
            ({}, []),
            (bearer("agent-secret"), []),
            (bearer("wrong"), []),
            (bearer("operator-secret"), ["cam-1"]),
        ]:
            _, body = await asyncio.to_thread(
                serving.request, "GET", "/deepstream/health", None, headers
            )
            document = json.loads(body)
            assert document["connected_instances"] == ids
            assert document.get("instances_hidden", False) == (ids == [])
            assert document["websocket"]["authenticated_connections"] == 1


def test_power_wrong_tokens_are_counted_logged_and_slowed(lasting: Serving) -> None:
    began = time.monotonic()
    assert lasting.request("POST", "/api/v1/drain", headers=bearer("guess-4711"))[0] == 401
    assert time.monotonic() - began >= 0.5
    line = lasting.wait_for_log("wrong_token")
    assert (line["where"], line["ip"], line["path"]) == ("http", "127.0.0.1", "/api/v1/drain")
    assert line["reason"] == "it is in no token file"
    assert "guess-4711" not in lasting.log
    _, metrics = lasting.get("/metrics")
    assert b'dscore_wrong_tokens_total{where="http"}' in metrics
    assert b'dscore_wrong_tokens_total{where="watch"}' in metrics


def test_power_a_token_cannot_be_guessed_unheard_at_health(serve: Serve) -> None:
    """Health is answered whatever is shown, and tells by its ids whether that was right."""
    serving = serve(env=REQUIRED)

    def counted() -> float:
        _, body = serving.request("GET", "/metrics", headers=bearer("operator-secret"))
        found = re.search(rb'^dscore_wrong_tokens_total{where="http"} (.+)$', body, re.M)
        assert found is not None
        return float(found[1])

    basic = {"authorization": "Basic b3BlcmF0b3I6c2VjcmV0"}
    for headers in (bearer("operator-secret"), bearer("agent-secret"), basic, {}):
        assert serving.request("GET", "/deepstream/health", headers=headers)[0] == 200
    assert counted() == 0
    for number, method in enumerate(("GET", "HEAD", "OPTIONS"), 1):
        began = time.monotonic()
        status, _ = serving.request(method, "/deepstream/health", headers=bearer("guess-4712"))
        assert status == 200
        assert time.monotonic() - began >= 0.5
        assert counted() == number
    line = serving.wait_for_log("wrong_token")
    assert (line["where"], line["path"]) == ("http", "/deepstream/health")
    assert "guess-4712" not in serving.log


def test_power_leaves_a_line_for_each_use(lasting: Serving) -> None:
    lasting.request("POST", "/api/v1/maintenance", {"enabled": False})
    lasting.request("DELETE", "/api/v1/agents/no%2Fsuch")
    without(lasting, "DELETE", "/api/v1/agents/refused")

    def written() -> list[dict[str, Any]]:
        lines = [line for line in lasting.log_lines() if line.get("event") == "operator_action"]
        return lines if lines[-1:] and lines[-1].get("agent_id") == "refused" else []

    # The log is written by a thread of its own, after the response.
    lines = wait_until(written, "the line of the last use")
    (switched,) = [line for line in lines if line.get("parameters") == {"enabled": False}][-1:]
    assert switched["who"] == "generated"
    assert switched["ip"] == "127.0.0.1"
    assert (switched["method"], switched["path"]) == ("POST", "/api/v1/maintenance")
    assert switched["status"] == 200
    (removed,) = [line for line in lines if line.get("agent_id") == "no/such"]
    assert (removed["method"], removed["status"]) == ("DELETE", 404)
    (refused,) = [line for line in lines if line.get("agent_id") == "refused"]
    assert (refused["who"], refused["status"]) == (None, 401)


def test_power_a_filter_is_written_down_in_the_words_that_it_was_typed_in(lasting: Serving) -> None:
    chosen = {"label": ["site=busan", "line=3"], "state": ["late"]}
    lasting.request("POST", "/api/v1/terminate", {"filter": chosen, "dry_run": True})

    def written() -> dict[str, Any] | None:
        lines = [line for line in lasting.log_lines() if "filter" in (line.get("parameters") or {})]
        return lines[-1]["parameters"]["filter"] if lines else None

    filter = wait_until(written, "the line of the dry run")
    assert filter == {"label": "site=busan, line=3", "state": "late"}


def test_power_a_drain_is_written_down_with_its_source(serve: Serve, tmp_path: Path) -> None:
    tokens = tmp_path / "operators"
    tokens.write_text("# of the night shift\nsecret\n")
    tokens.chmod(0o644)
    serving = serve(env={"DSCORE_AUTH__OPERATOR_TOKEN_FILE": str(tokens)})
    readable = serving.wait_for_log("token_file_readable")
    assert (readable["setting"], readable["path"]) == ("auth.operator_token_file", str(tokens))
    command = ("drain", "--url", serving.url, "--timeout", "3s")
    assert dscore_command(*command, DSCORE_TOKEN="secret").returncode == 0
    serving.wait()
    line = serving.wait_for_log("operator_action")
    assert line["who"] == "operators:2"
    assert line["parameters"] == {"intent": None, "timeout": 3.0}
    assert line["status"] == 202


def test_power_of_a_signal_is_written_down(serve: Serve) -> None:
    serving = serve()
    serving.stop()
    line = serving.wait_for_log("operator_action")
    assert (line["who"], line["source"], line["action"]) == ("signal", "SIGTERM", "drain")


async def test_power_an_embedded_server_writes_no_file(server: dscore.Server) -> None:
    token = server.operator_token
    assert token is not None
    host, port = server.address
    directory = Path(os.environ["XDG_RUNTIME_DIR"], "dscore")
    assert not (directory / f"operator-{host}-{port}.token").exists()
    async with httpx.AsyncClient(base_url=f"http://{host}:{port}", trust_env=False) as client:
        body = {"enabled": False}
        assert (await client.post("/api/v1/maintenance", json=body)).status_code == 401
        answer = await client.post("/api/v1/maintenance", json=body, headers=bearer(token))
        assert answer.status_code == 200


def test_power_an_embedded_server_with_tokens_makes_none() -> None:
    config = dscore.Config.model_validate({"auth": {"operator_tokens": ["x"]}})
    assert dscore.Server(config).operator_token is None


@pytest.mark.parametrize(
    ("prefix", "page", "lead"), [("", "/", None), ("fleet/", "/fleet/", "fleet/")]
)
def test_power_page_is_at_its_path(serve: Serve, prefix: str, page: str, lead: str | None) -> None:
    serving = serve(env={"DSCORE_LISTEN__PAGE": page})
    status, body = serving.get(page)
    assert status == 200
    assert f'data-root="{"../" if prefix else ""}"'.encode() in body
    assert json.loads(serving.get("/api/v1/status")[1])["page"] == page
    if lead is not None:
        assert serving.get(page.rstrip("/"))[0] == 308
        assert serving.get("/")[0] == 404


def counted(serving: Serving, where: str) -> float:
    """How many wrong tokens of a kind the metrics know of."""
    _, body = serving.request("GET", "/metrics", headers=bearer("operator-secret"))
    found = re.search(rf'^dscore_wrong_tokens_total{{where="{where}"}} (.+)$', body.decode(), re.M)
    assert found is not None
    return float(found[1])


async def test_power_wrong_tokens_of_sockets_are_counted_logged_and_answered_late(
    serve: Serve,
) -> None:
    serving = serve(env=REQUIRED)
    async with agent(serving.ws, "cam-1", introduce=False) as one:
        began = time.monotonic()
        await one.send("app_ready", instance_id="cam-1", token="guess-1")
        assert await one.closed() == (1008, "authentication failed")
        assert time.monotonic() - began >= 0.5
    async with agent(serving.ws, "page", introduce=False) as page:
        await page.send("watch", token="agent-secret")
        assert (await page.recv_type("error"))["code"] == "forbidden"
        # The connection lives on, and the right token is taken.
        await page.send("watch", token="operator-secret", snapshot=True)
        await page.send("client_status_request", clientName="x")
        await page.recv_type("server_status_response")
    url = f"ws://{serving.host}:{serving.port}/socket.io/?EIO=4&transport=websocket"
    async with websockets.connect(url, proxy=None) as client:
        await client.recv()
        await client.send('40{"token": "guess-2"}')
        await client.recv()
        await asyncio.to_thread(wait_until, lambda: counted(serving, "connect") == 1, "its count")
        # Shown again by the introduction it is the same one.
        await client.send('42["heartbeat", {"clientName": "cam-2"}]')
        await asyncio.wait_for(client.wait_closed(), 10)
    kinds = ("app_ready", "watch", "connect", "http")
    counts = await asyncio.to_thread(lambda: [counted(serving, each) for each in kinds])
    assert counts == [1, 1, 1, 0]

    def logged() -> list[dict[str, Any]] | None:
        lines = [line for line in serving.log_lines() if line.get("event") == "wrong_token"]
        return lines if len(lines) == len(kinds) - 1 else None

    lines = await asyncio.to_thread(wait_until, logged, "lines of log")
    assert [line["where"] for line in lines] == ["app_ready", "watch", "connect"]
    assert all(line["ip"] == "127.0.0.1" for line in lines)
    assert "guess" not in serving.log


def test_power_wrong_tokens_hold_nothing_else_up(serve: Serve) -> None:
    serving = serve(env=REQUIRED)

    def ask(token: str) -> socket.socket:
        one = socket.create_connection((serving.host, serving.port), 10)
        line = f"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        one.sendall(line.encode())
        return one

    guesses = [ask(f"guess-{number}") for number in range(16)]
    try:
        with ask("operator-secret") as right:
            assert right.recv(4096).startswith(b"HTTP/1.1 200 ")
            answered, _, _ = select.select(guesses, [], [], 0)
            assert answered == []
    finally:
        for guess in guesses:
            guess.close()
