"""The pages and access before them, over a fake fleet."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from dscore.auth import Keyring, Tokens
from dscore.http.access import Access
from dscore.http.app import build_app
from dscore.http.rules import Rules
from fake_fleet import FakeFleet
from fake_trail import FakeTrail

OPENAPI = ["/api/v1/openapi.json", "/openapi.json"]
PROBES = ["/livez", "/readyz", "/startupz"]


OWN = "made-by-the-server-itself-made-by-the-server"


class WrongTokens:
    """Hears of wrong tokens, and slows nothing."""

    def __init__(self) -> None:
        self.notes: list[dict[str, Any]] = []
        self.delays = 0

    def note(self, where: str, ip: str, /, **fields: object) -> None:
        self.notes.append({"where": where, "ip": ip, **fields})

    async def delay(self) -> None:
        self.delays += 1


def app_of(
    fleet: FakeFleet,
    *,
    tokens: Tokens | None = None,
    loopback: bool = True,
    required: bool = False,
    is_open: bool = False,
    **options: Any,
) -> Access:
    """The pages of a fleet; without `tokens` the server has made its own, `OWN`."""
    rules = Rules(
        keyring=Keyring(Tokens(), tokens or Tokens.generated(OWN)),
        is_configured=bool(tokens),
        is_required=required,
        is_open=is_open,
        is_loopback=loopback,
    )
    options = {"wrong_tokens": WrongTokens(), "trail": FakeTrail(), **options}
    return build_app(fleet, rules=rules, **options)


@asynccontextmanager
async def client_of(
    fleet: FakeFleet, *, token: str | None = OWN, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client that shows a token, unless `token` is None."""
    transport = httpx.ASGITransport(app=app_of(fleet, **options))
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    url = "http://127.0.0.1:8765"
    async with httpx.AsyncClient(transport=transport, base_url=url, headers=headers) as client:
        yield client


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["type"] == "about:blank"
    assert document["title"]
    assert document["detail"]
    return document


async def user_app(scope, receive, send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"user " + scope["path"].encode()})


async def test_paths_that_are_not_ours_go_to_the_users_app() -> None:
    async with client_of(FakeFleet("a"), user_app=user_app) as client:
        assert (await client.get("/x/y")).text == "user /x/y"
        assert (await client.get("/api/v1x")).text == "user /api/v1x"
        assert (await client.get("/livez")).json() == {"status": "ok"}
        assert (await client.get("/api/v1/agents/a")).json()["id"] == "a"
        assert_problem(await client.put("/api/v1/agents"), 405)


async def test_servers_of_a_process_share_handlers_and_each_answers_for_itself() -> None:
    fleets = FakeFleet("a"), FakeFleet("b")
    apps = [app_of(fleet, page_at=at) for fleet, at in zip(fleets, ("/", "/fleet/"), strict=True)]
    for app, name, at in zip(apps, "ab", ("/", "/fleet/"), strict=True):
        transport = httpx.ASGITransport(app=app)
        power = {"authorization": f"Bearer {OWN}"}
        url = "http://127.0.0.1:8765"
        async with httpx.AsyncClient(transport=transport, base_url=url, headers=power) as client:
            items = (await client.get("/api/v1/agents")).json()["items"]
            assert [item["id"] for item in items] == [name]
            assert (await client.get("/api/v1/status")).json()["page"] == at
            assert (await client.get(at)).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["", "/", "/users", "/users/1", "/agents/", "/agents/a/b", "/agentsx", "/statusx", "/docs"],
)
async def test_below_the_apis_path_only_our_exact_paths_are_kept_from_the_users_app(
    path: str,
) -> None:
    async with client_of(FakeFleet("a"), user_app=user_app) as client:
        for method in ("GET", "POST"):
            answer = await client.request(method, f"/api/v1{path}")
            assert answer.text == f"user /api/v1{path}"
    async with client_of(FakeFleet("a")) as client:
        assert_problem(await client.get(f"/api/v1{path}"), 404)


async def test_the_users_pages_about_its_own_api_are_its_own() -> None:
    theirs = FastAPI(title="theirs")
    async with client_of(FakeFleet(), user_app=theirs) as client:
        assert (await client.get("/openapi.json")).json()["info"]["title"] == "theirs"
        for path in ("/docs", "/redoc"):
            page = (await client.get(path)).text
            assert "theirs" in page
            assert "'/openapi.json'" in page or '"/openapi.json"' in page
        assert (await client.get("/api/v1/openapi.json")).json()["info"]["title"] == "dscore"


async def test_openapi_json_is_ours_where_the_users_app_has_none() -> None:
    theirs = FastAPI(openapi_url=None)
    for app in (None, theirs):
        async with client_of(FakeFleet(), user_app=app) as client:
            documents = [(await client.get(path)) for path in OPENAPI]
            assert [document.status_code for document in documents] == [200, 200]
            assert documents[0].json() == documents[1].json()
            assert documents[0].json()["info"]["title"] == "dscore"


async def test_without_a_users_app_other_paths_are_404_problems() -> None:
    async with client_of(FakeFleet()) as client:
        assert_problem(await client.get("/nothing"), 404)
        # Without its last slash it is no path of Socket.IO: the answer has the right one.
        assert "/socket.io/" in assert_problem(await client.get("/socket.io"), 404)["detail"]
        assert_problem(await client.get("/docs"), 404)


async def test_a_method_that_is_not_taken_is_a_405_problem_with_allow() -> None:
    async with client_of(FakeFleet()) as client:
        answer = await client.put("/api/v1/maintenance", json={})
        assert_problem(answer, 405)
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
        assert_problem(await client.post("/livez"), 405)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/api/v1/agents/a", "GET, HEAD, DELETE"),
        ("PATCH", "/api/v1/drain", "GET, HEAD, POST"),
        ("GET", "/api/v1/agents/a/terminate", "POST"),
        ("DELETE", "/livez", "GET, HEAD"),
        ("POST", "/api/v1/agents/a%2Fb/events", "GET, HEAD"),
    ],
)
async def test_allow_names_every_method_of_the_path(method: str, path: str, allow: str) -> None:
    async with client_of(FakeFleet("a")) as client:
        answer = await client.request(method, path)
        assert_problem(answer, 405)
        allowed = set(answer.headers["allow"].split(", "))
        assert allowed == {*allow.split(", "), "OPTIONS"}


async def test_openapi_lets_no_body_be_null() -> None:
    bodies = [
        each["requestBody"]
        for each in operations(await openapi()).values()
        if "requestBody" in each
    ]
    assert len(bodies) == 7
    for body in bodies:
        assert "null" not in str(body["content"]["application/json"]["schema"])


async def test_head_is_answered_wherever_get_is() -> None:
    async with client_of(FakeFleet()) as client:
        for path in [*PROBES, "/deepstream/health", "/metrics", "/api/v1/agents"]:
            assert (await client.head(path)).status_code == 200


async def test_no_request_takes_a_thread() -> None:
    """FastAPI runs a dependency that is a plain function in a thread: two wake-ups for a few words
    of a query, a fifth of what the counts of a fleet took."""
    threads = set(threading.enumerate())
    async with client_of(FakeFleet("a")) as client:
        for path in ["agents?q=a", "agents/a", "facets?state=late", "history", "status", "drain"]:
            assert (await client.get(f"/api/v1/{path}")).status_code == 200
        maintenance = await client.post("/api/v1/maintenance", json={"enabled": False})
        assert maintenance.status_code == 200
        assert (await client.get("/deepstream/health")).status_code == 200
        assert (await client.delete("/api/v1/agents/a")).status_code == 204
    assert set(threading.enumerate()) <= threads


async def test_an_error_of_ours_is_a_500_problem() -> None:
    fleet = FakeFleet()
    fleet.core_stats = None  # type: ignore[method-assign, assignment]
    app = app_of(fleet)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert_problem(await client.get("/api/v1/status"), 500)


async def test_drain_2_all_but_health_probes_metrics_and_drain_get_503() -> None:
    fleet = FakeFleet("a")
    await_end = fleet.drain_may_end
    async with client_of(fleet, user_app=user_app) as client:
        assert (await client.post("/api/v1/drain")).status_code == 202
        for path in ["/", "/api/v1/agents", "/api/v1/status", *OPENAPI, "/api/v1/drainx"]:
            answer = await client.get(path)
            assert_problem(answer, 503)
            assert answer.headers["retry-after"] == "10"
        assert_problem(await client.delete("/api/v1/agents/a"), 503)
        for path in ["/livez", "/startupz", "/metrics", "/api/v1/drain"]:
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/deepstream/health")).status_code == 503
        await_end.set()


class TestOperatorToken:
    TOKENS = Tokens(["secret"], role="operator")

    @pytest.mark.parametrize("loopback", [True, False])
    async def test_lets_the_right_token_in(self, loopback: bool) -> None:
        async with client_of(FakeFleet(), tokens=self.TOKENS, loopback=loopback) as client:
            for value in ("Bearer secret", "bearer secret", "Bearer   secret "):
                answer = await client.get("/api/v1/agents", headers={"authorization": value})
                assert answer.status_code == 200

    @pytest.mark.parametrize("loopback", [True, False])
    @pytest.mark.parametrize(
        "value", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic secret", "secret", "\xff"]
    )
    async def test_refuses_any_other(self, loopback: bool, value: str | None) -> None:
        headers = {} if value is None else {"authorization": value.encode("latin-1")}
        async with client_of(
            FakeFleet("a"), token=None, tokens=self.TOKENS, loopback=loopback
        ) as client:
            for method, path in [
                ("GET", "/api/v1/agents"),
                ("DELETE", "/api/v1/agents/a"),
                ("POST", "/api/v1/drain"),
                ("GET", "/api/v1"),
                ("GET", "/api/v1/no-such-path"),
            ]:
                answer = await client.request(method, path, headers=headers)
                assert_problem(answer, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer realm=")

    @pytest.mark.parametrize("tokens", [None, Tokens()])
    async def test_is_not_asked_for_where_none_is_set_on_loopback(
        self, tokens: Tokens | None
    ) -> None:
        async with client_of(FakeFleet(), token=None, tokens=tokens) as client:
            assert (await client.get("/api/v1/agents")).status_code == 200

    async def test_can_be_replaced_while_serving(self) -> None:
        app = app_of(FakeFleet())
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/api/v1/agents")).status_code == 200
            app.rules = replace(
                app.rules, keyring=Keyring(Tokens(), self.TOKENS), is_configured=True
            )
            assert_problem(await client.get("/api/v1/agents"), 401)

    async def test_is_checked_before_the_body(self) -> None:
        async with client_of(FakeFleet(), tokens=self.TOKENS) as client:
            answer = await client.post("/api/v1/maintenance", content=b"{")
            assert_problem(answer, 401)

    async def test_no_token_set_closes_the_api_beyond_loopback(self) -> None:
        async with client_of(FakeFleet(), token=None, loopback=False) as client:
            document = assert_problem(await client.get("/api/v1/status"), 401)
            assert "auth.operator_token_file" in document["detail"]

    async def test_is_not_asked_for_health_probes_and_metrics(self) -> None:
        async with client_of(FakeFleet(), token=None, tokens=self.TOKENS, loopback=False) as client:
            for path in [*PROBES, "/deepstream/health", "/metrics", *OPENAPI]:
                answer = await client.get(path, headers={"host": "fleet.example"})
                assert answer.status_code == 200

    async def test_makes_foreign_names_fine_and_named_origins(self) -> None:
        headers = {
            "authorization": "Bearer secret",
            "host": "fleet.example",
            "origin": "https://ops.example",
        }
        async with client_of(
            FakeFleet("a"), tokens=self.TOKENS, cors_origins=["https://ops.example"]
        ) as client:
            answer = await client.delete("/api/v1/agents/a", headers=headers)
            assert answer.status_code == 204


class TestBrowserOnLoopback:
    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"]
    )
    async def test_a_rebound_name_is_refused(self, host: str) -> None:
        async with client_of(FakeFleet()) as client:
            for method, path in [("GET", "/api/v1/agents"), ("POST", "/api/v1/drain")]:
                assert_problem(await client.request(method, path, headers={"host": host}), 403)

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:8765", "127.0.0.1:8765", "127.3.2.1", "[::1]:8765"]
    )
    async def test_names_of_this_machine_are_let_in(self, host: str) -> None:
        async with client_of(FakeFleet()) as client:
            answer = await client.get("/api/v1/agents", headers={"host": host})
            assert answer.status_code == 200

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.example",
            "null",
            "http://10.0.0.1:8765",
            "http://localhost.evil.example",
            "x",
        ],
    )
    async def test_a_foreign_page_may_change_nothing(self, origin: str) -> None:
        fleet = FakeFleet("a")
        async with client_of(fleet) as client:
            for method, path in [("POST", "/api/v1/drain"), ("DELETE", "/api/v1/agents/a")]:
                answer = await client.request(method, path, headers={"origin": origin})
                assert_problem(answer, 403)
        assert fleet.drains == []
        assert fleet.removed == []

    async def test_our_own_page_may(self) -> None:
        for origin in ("http://127.0.0.1:8765", "http://localhost:3000"):
            async with client_of(FakeFleet("a")) as client:
                answer = await client.delete("/api/v1/agents/a", headers={"origin": origin})
                assert answer.status_code == 204


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def openapi(**options: Any) -> dict[str, Any]:
    async with client_of(FakeFleet(), **options) as client:
        return orjson.loads((await client.get("/openapi.json")).content)


async def test_openapi_lists_every_operation_with_its_answers() -> None:
    document = await openapi()
    listed = operations(document)
    assert set(listed) == {
        ("get", "/deepstream/health"),
        ("get", "/livez"),
        ("get", "/readyz"),
        ("get", "/startupz"),
        ("get", "/metrics"),
        ("get", "/api/v1/agents"),
        ("get", "/api/v1/agents/{agent_id}"),
        ("get", "/api/v1/history"),
        ("get", "/api/v1/facets"),
        ("post", "/api/v1/terminate"),
        ("post", "/api/v1/message"),
        ("post", "/api/v1/remove"),
        ("get", "/api/v1/operations/{operation_id}"),
        ("delete", "/api/v1/operations/{operation_id}"),
        ("get", "/api/v1/agents/{agent_id}/events"),
        ("delete", "/api/v1/agents/{agent_id}"),
        ("post", "/api/v1/agents/{agent_id}/terminate"),
        ("post", "/api/v1/agents/{agent_id}/message"),
        ("get", "/api/v1/audit"),
        ("get", "/api/v1/status"),
        ("get", "/api/v1/maintenance"),
        ("post", "/api/v1/maintenance"),
        ("get", "/api/v1/drain"),
        ("post", "/api/v1/drain"),
    }
    assert len({each["operationId"] for each in listed.values()}) == len(listed)
    for (_, path), operation in listed.items():
        success = [status for status in operation["responses"] if status.startswith("2")]
        assert len(success) == 1
        if success != ["204"]:
            assert operation["responses"][success[0]]["content"]
        if path.startswith("/api/v1"):
            assert {"401", "403", "default"} <= set(operation["responses"])
            assert ("503" in operation["responses"]) == (path != "/api/v1/drain")
        if path == "/metrics":
            assert {"401", "default"} <= set(operation["responses"])
        if "{agent_id}" in path:
            assert "404" in operation["responses"]


async def test_openapi_has_no_dangling_reference_and_no_foreign_error_shape() -> None:
    document = await openapi()
    text = orjson.dumps(document).decode()
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert names <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in text


@pytest.mark.parametrize(
    ("options", "reading"),
    [
        ({}, False),
        ({"loopback": False}, True),
        ({"tokens": Tokens(["x"], role="operator")}, True),
        ({"required": True}, True),
        ({"is_open": True}, False),
    ],
)
async def test_openapi_asks_for_the_token_where_it_is_needed(
    options: dict[str, Any], reading: bool
) -> None:
    token = "x" if "tokens" in options else OWN
    document = await openapi(token=token, **options)
    assert document["components"]["securitySchemes"]["operator"]["scheme"] == "bearer"
    must, may = [{"operator": []}], [{"operator": []}, {}]
    for (method, path), operation in operations(document).items():
        if path.startswith("/api/v1"):
            power = method != "get" and "is_open" not in options
            assert operation["security"] == (must if reading or power else may)
        elif path == "/metrics":
            assert operation["security"] == (must if "required" in options else may)
        else:
            assert "security" not in operation


async def test_lifespan_is_answered_without_a_users_app() -> None:
    app = app_of(FakeFleet())
    inbox = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return inbox.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
