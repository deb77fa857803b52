"""The audit (`operator_action`, `GET /api/v1/audit`), and what every answer says against misuse."""

import asyncio
import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dscore
from dscore.http.types import Receive, Scope, Send
from protocol.support import running
from serving import Serving
from wire import agent

Serve = Callable[..., Serving]

AUTH = {"required": True, "operator_tokens": ["boss"], "tokens": ["agent"]}
BOSS = {"authorization": "Bearer boss"}


async def lines(here: Any, **query: object) -> dict[str, Any]:
    answer = await here.pages.get("/api/v1/audit", params=query, headers=BOSS)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_audit_tells_who_did_what_from_where_and_what_came_of_it(tmp_path: Path) -> None:
    operators = tmp_path / "operators"
    operators.write_text("boss name=anna\nwall role=watcher\n")
    operators.chmod(0o600)
    auth = {"required": True, "operator_token_file": operators, "tokens": ["agent"]}
    listen = {"port": 0, "trusted_proxies": ["127.0.0.1"]}
    async with running({"auth": auth, "listen": listen}) as here:
        async with agent(here.ws, "a/1", token="agent") as wire:
            headers = {**BOSS, "x-forwarded-for": "203.0.113.9"}
            pages = here.pages
            await pages.post("/api/v1/maintenance", json={"enabled": False}, headers=headers)
            answering = asyncio.create_task(
                pages.post("/api/v1/agents/a%2F1/terminate", headers=BOSS)
            )
            await wire.answer(await wire.recv_type("terminate_app"))
            assert (await answering).status_code == 200
        wall = {"authorization": "Bearer wall"}
        assert (await pages.delete("/api/v1/agents/x", headers=wall)).status_code == 403
        assert (await pages.delete("/api/v1/agents/x", headers={})).status_code == 401
        assert (await pages.get("/api/v1/agents", headers=BOSS)).status_code == 200
        found = await lines(here)
    refused, forbidden, terminated, maintained = found["items"]
    assert found["next_cursor"] is None
    assert refused["who"] is None
    assert (refused["status"], refused["method"], refused["agent_id"]) == (401, "DELETE", "x")
    assert (forbidden["who"], forbidden["status"]) == ("operators:2", 403)
    assert (terminated["who"], terminated["agent_id"]) == ("operators:1(anna)", "a/1")
    assert terminated["path"] == "/api/v1/agents/a%2F1/terminate"
    assert maintained["parameters"] == {"enabled": False}
    assert (maintained["ip"], maintained["proxy"]) == ("203.0.113.9", "127.0.0.1")
    numbers = [line["number"] for line in found["items"]]
    assert numbers == sorted(numbers, reverse=True)


async def test_audit_comes_in_pages() -> None:
    async with running({"auth": AUTH}) as here:
        for number in range(5):
            await here.pages.post(f"/api/v1/agents/a-{number}/terminate", headers=BOSS)
        seen, cursor = [], None
        while True:
            page = await lines(here, limit=2, **({"cursor": cursor} if cursor else {}))
            seen += [line["agent_id"] for line in page["items"]]
            if (cursor := page["next_cursor"]) is None:
                break
            assert len(page["items"]) == 2
        assert seen == [f"a-{number}" for number in range(4, -1, -1)]
        for wrong in ("x", "-1", "1" * 20):
            answer = await here.pages.get("/api/v1/audit", params={"cursor": wrong}, headers=BOSS)
            assert answer.status_code == 400
        for token, status in [("agent", 401), ("wrong", 401)]:
            headers = {"authorization": f"Bearer {token}"}
            assert (await here.pages.get("/api/v1/audit", headers=headers)).status_code == status


async def test_audit_outlives_the_process(serve: Serve, tmp_path: Path) -> None:
    env = {"DSCORE_AUTH__OPERATOR_TOKENS": "boss"}
    first = serve("--store", str(tmp_path / "fleet.db"), env=env)
    for enabled in (True, False):
        first.request("POST", "/api/v1/maintenance", {"enabled": enabled}, headers=BOSS)
    first.stop()
    second = serve("--store", str(tmp_path / "fleet.db"), env=env)
    second.request("POST", "/api/v1/maintenance", {"enabled": True}, headers=BOSS)
    status, body = second.request("GET", "/api/v1/audit", headers=BOSS)
    assert status == 200
    asked = [line["parameters"]["enabled"] for line in json.loads(body)["items"]]
    assert asked == [True, False, True]


async def test_audit_every_answer_of_ours_is_neither_sniffed_nor_kept() -> None:
    async with running({"auth": AUTH}) as here:
        for method, path in [
            ("GET", "/deepstream/health"),
            ("GET", "/livez"),
            ("GET", "/metrics"),
            ("GET", "/api/v1/agents"),
            ("POST", "/api/v1/drain"),
            ("GET", "/no-such-path"),
            ("GET", "/"),
            ("OPTIONS", "/api/v1/agents"),
            ("GET", "/socket.io/?EIO=4&transport=polling"),
            ("GET", "/socket.io/?EIO=9&transport=polling"),
            ("GET", "/deepstream/ws"),
        ]:
            answer = await here.pages.request(method, path)
            assert answer.headers["x-content-type-options"] == "nosniff", path
            if path != "/":
                assert answer.headers["cache-control"] == "no-store", path
            assert "strict-transport-security" not in answer.headers, "there is no TLS of ours"


async def test_audit_an_app_says_for_itself_what_may_be_kept() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(b"X-Content-Type-Options", b"mine")] if scope["path"] == "/own" else []
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})

    listen = {"port": 0, "trusted_proxies": ["127.0.0.1"]}
    config = dscore.Config.model_validate({"listen": listen, "store": {"path": ":memory:"}})
    async with dscore.Server(config, app=app) as server:

        def fetch(path: str) -> http.client.HTTPResponse:
            connection = http.client.HTTPConnection(*server.address, timeout=30)
            connection.request("GET", path, headers={"X-Forwarded-Proto": "https"})
            response = connection.getresponse()
            response.read()
            connection.close()
            return response

        plain, own = [await asyncio.to_thread(fetch, path) for path in ("/mine", "/own")]
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert "cache-control" not in plain.headers
    # Behind a proxy that ends TLS it is the proxy's to promise.
    assert "strict-transport-security" not in plain.headers
    assert own.headers.get_all("x-content-type-options") == ["mine"]
