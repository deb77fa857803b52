"""Requests of the operator API that are nearly right: refused, and nothing happens."""

import json
from typing import Any

import httpx
import pytest

from fake_fleet import FakeFleet
from test_http_app import assert_problem, client_of

BODIES = ["/api/v1/drain", "/api/v1/maintenance", "/api/v1/agents/a/terminate"]
MESSAGE = "/api/v1/agents/a/message"


async def post(fleet: FakeFleet, path: str, content: bytes, media_type: str | None = None) -> Any:
    headers = {} if media_type is None else {"content-type": media_type}
    async with client_of(fleet) as client:
        return await client.post(path, content=content, headers=headers)


def assert_nothing_happened(fleet: FakeFleet) -> None:
    assert fleet.drains == []
    assert not fleet.maintenance
    assert fleet.by_id["a"].connected


async def refused(path: str, content: bytes, media_type: str = "application/json") -> str:
    """What a 422 says."""
    fleet = FakeFleet("a")
    answer: httpx.Response = await post(fleet, path, content, media_type)
    assert_nothing_happened(fleet)
    return str(assert_problem(answer, 422)["detail"])


@pytest.mark.parametrize("path", [BODIES[0], BODIES[2]])
@pytest.mark.parametrize(
    "value", ["true", "false", '"5"', "[5]", "{}", "0", "-1", "86401", "1e300", "9" * 300]
)
async def test_a_timeout_is_a_number_of_seconds_and_nothing_else(path: str, value: str) -> None:
    assert "timeout" in await refused(path, f'{{"timeout": {value}}}'.encode())


@pytest.mark.parametrize("value", ['"true"', "1", "0", "null", "[]", '"off"'])
async def test_a_switch_is_true_or_false(value: str) -> None:
    assert "enabled" in await refused(BODIES[1], f'{{"enabled": {value}}}'.encode())


@pytest.mark.parametrize("value", ['"restrat"', '"RESTART"', "1", "true", "[]", '""'])
async def test_an_intent_is_one_of_two_words(value: str) -> None:
    detail = await refused(BODIES[0], f'{{"intent": {value}}}'.encode())
    assert "'terminate' or 'restart'" in detail


@pytest.mark.parametrize(
    ("path", "key", "nearest"),
    [
        ("/api/v1/drain", "timout", "timeout"),
        ("/api/v1/drain", "Intent", "intent"),
        ("/api/v1/maintenance", "enable", "enabled"),
        ("/api/v1/agents/a/terminate", "time_out", "timeout"),
    ],
)
async def test_an_unknown_key_is_answered_with_the_nearest(
    path: str, key: str, nearest: str
) -> None:
    body = {key: 5, **({"enabled": True} if "maintenance" in path else {})}
    detail = await refused(path, json.dumps(body).encode())
    assert f"unknown key '{key}': did you mean '{nearest}'?" in detail


async def test_an_unknown_key_like_no_other_is_answered_with_all() -> None:
    detail = await refused("/api/v1/drain", b'{"zzz": 1}')
    assert "known here: intent, timeout" in detail
    assert len(await refused("/api/v1/drain", b'{"' + b"z" * 5000 + b'": 1}')) < 200


@pytest.mark.parametrize("path", [*BODIES, MESSAGE])
@pytest.mark.parametrize("content", [b"null", b"[]", b"1", b'"text"', b"true", b"[{}]"])
async def test_a_body_is_an_object(path: str, content: bytes) -> None:
    assert "must be a JSON object" in await refused(path, content)


@pytest.mark.parametrize("path", [*BODIES, MESSAGE])
@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"x",
        b'{"timeout": NaN}',
        b'{"timeout": Infinity}',
        b'{"timeout": 1e400}',
        b'{"timeout": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{\x00}\x00",
        '{"type": "é"}'.encode("latin-1"),
        b'{"type": "a"} {}',
        b"\xef\xbb\xbf{}",
    ],
)
async def test_a_body_is_json(path: str, content: bytes) -> None:
    assert "is not JSON" in await refused(path, content)


@pytest.mark.parametrize("path", [*BODIES, MESSAGE])
@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""]
)
async def test_a_body_says_that_it_is_json(path: str, media_type: str | None) -> None:
    fleet = FakeFleet("a")
    answer = await post(fleet, path, b'{"enabled": true, "type": "x"}', media_type)
    assert "application/json" in assert_problem(answer, 415)["detail"]
    assert_nothing_happened(fleet)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_in_other_spellings_is_taken(media_type: str) -> None:
    answer = await post(FakeFleet("a"), BODIES[1], b'{"enabled": false}', media_type)
    assert answer.json() == {"enabled": False}


@pytest.mark.parametrize(
    ("method", "target", "said"),
    [
        ("POST", "/api/v1/drain?timeout=1", "unknown parameter 'timeout'"),
        ("POST", "/api/v1/drain?intent=restart", "unknown parameter 'intent'"),
        ("POST", "/api/v1/drain?waitt=1", "did you mean 'wait'?"),
        ("POST", "/api/v1/drain?wait=1&wait=2", "wait is given more than once"),
        ("POST", "/api/v1/drain?wait=nan", "must be a number, in digits"),
        ("POST", "/api/v1/drain?wait=301", "less than or equal to 300"),
        ("DELETE", "/api/v1/agents/a?force=true", "unknown parameter 'force'"),
        ("POST", "/api/v1/agents/a/terminate?timeout=1", "unknown parameter 'timeout'"),
        ("GET", "/api/v1/agents?statuss=offline", "did you mean 'status'?"),
        ("GET", "/api/v1/agents?limit=1_0", "must be a number, in digits"),
        ("GET", "/api/v1/agents?limit=%205", "must be a number, in digits"),
        ("GET", "/api/v1/agents?limit=true", "must be a number, in digits"),
        ("GET", "/api/v1/agents?sort=id&sort=-id", "sort is given more than once"),
        ("GET", "/api/v1/status?verbose=1", "unknown parameter 'verbose': known here: none"),
    ],
)
async def test_a_parameter_that_is_not_known_is_named(method: str, target: str, said: str) -> None:
    fleet = FakeFleet("a")
    async with client_of(fleet) as client:
        answer = await client.request(method, target)
    assert said in assert_problem(answer, 422)["detail"]
    assert_nothing_happened(fleet)
    assert fleet.removed == []


async def test_what_may_be_given_several_times_may() -> None:
    async with client_of(FakeFleet("a")) as client:
        answer = await client.get("/api/v1/agents?label=a&label=b=c")
        assert answer.json() == {"items": [], "next_cursor": None, "total": 0}
