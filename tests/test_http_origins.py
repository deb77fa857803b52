"""Pages and the operator API: the shared vectors, and what an answer says of who may read it."""

import json
from pathlib import Path
from typing import Any

import pytest

from dscore._core import OriginRules
from fake_fleet import FakeFleet
from test_http_app import assert_problem, client_of

VECTORS = json.loads((Path(__file__).parent / "vectors" / "origins.json").read_bytes())
AGENTS = "/api/v1/agents"
REMEDIES = {
    "foreign": "name it in socket.cors_origins",
    "repeated": "one Origin field at most",
    "host": "listen.names",
}


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['why']} {case['origin']}")
def test_the_boundary_judges_every_vector_as_it_says(case: dict[str, Any]) -> None:
    rules = OriginRules(case["origins"], case["names"])
    host = None if case["host"] is None else case["host"].encode()
    address, _, port = case["local"].rpartition(":")
    allowed, refusal = rules.judge(
        [origin.encode() for origin in case["origin"]],
        host,
        (address.strip("[]"), int(port)),
        check_host=case["check_host"],
    )
    expected = {"same": None, "any": b"*"}
    if case["expect"] in REMEDIES:
        assert allowed is None
        assert REMEDIES[case["expect"]] in str(refusal)
    else:
        assert refusal is None
        assert allowed == expected.get(case["expect"], (case["origin"] or [""])[0].encode())


def test_settings_that_cannot_be_are_named() -> None:
    with pytest.raises(ValueError, match='origins: "https://a/" cannot be one'):
        OriginRules(["https://a/"])
    with pytest.raises(ValueError, match='names: "a:80" cannot be one'):
        OriginRules(["self"], ["a:80"])
    with pytest.raises(ValueError, match="local"):
        OriginRules(["self"]).judge([], None, ("nowhere", 1), check_host=True)


async def test_an_origin_that_is_let_in_may_read_the_answer_with_credentials() -> None:
    async with client_of(FakeFleet(), cors_origins=["https://ops.example"]) as client:
        answer = await client.get(AGENTS, headers={"origin": "https://ops.example"})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://ops.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["vary"] == "Origin"
        refused = await client.get(AGENTS, headers={"origin": "https://evil.example"})
        assert "socket.cors_origins" in assert_problem(refused, 403)["detail"]
        assert "access-control-allow-origin" not in refused.headers


async def test_every_origin_may_without_credentials_where_all_are_let_in() -> None:
    async with client_of(FakeFleet(), cors_origins=["*"]) as client:
        headers = {"origin": "https://evil.example", "host": "evil.example"}
        answer = await client.get(AGENTS, headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_preflight_is_answered_before_a_token_is_asked_for() -> None:
    origins = {"cors_origins": ["https://ops.example"], "cors_methods": ["GET", "POST", "DELETE"]}
    async with client_of(FakeFleet(), required=True, **origins) as client:
        asks = {
            "origin": "https://ops.example",
            "access-control-request-method": "DELETE",
            "access-control-request-headers": "authorization",
        }
        answer = await client.options(f"{AGENTS}/a", headers=asks)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-methods"] == "GET, POST, DELETE"
        assert answer.headers["access-control-allow-headers"] == "authorization"
        assert answer.headers["access-control-allow-origin"] == "https://ops.example"
        foreign = {**asks, "origin": "https://evil.example"}
        assert_problem(await client.options(f"{AGENTS}/a", headers=foreign), 403)


async def test_two_origins_are_refused() -> None:
    async with client_of(FakeFleet()) as client:
        twice = [("origin", "http://localhost"), ("origin", "http://localhost")]
        assert_problem(await client.get(AGENTS, headers=twice), 403)


@pytest.mark.parametrize("path", [AGENTS, "/"])
async def test_a_rebound_name_reaches_neither_the_api_nor_the_page(path: str) -> None:
    async with client_of(FakeFleet(), names=["fleet.example"]) as client:
        refused = await client.get(path, headers={"host": "evil.example"})
        assert "listen.names" in assert_problem(refused, 403)["detail"]
        answer = await client.get(path, headers={"host": "fleet.example:80"})
        assert answer.status_code == 200
