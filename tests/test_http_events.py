"""The page of one agent's timeline."""

import re

import orjson
import pytest

from dscore.store import Entry
from fake_fleet import FakeFleet
from test_http_app import assert_problem, client_of


def fleet_with(*kinds: str) -> FakeFleet:
    fleet = FakeFleet("a/b")
    fleet.entries["a/b"] = [
        Entry(number, "a/b", 1_700_000_000_000 + number, kind, orjson.dumps({"by": "heartbeat"}))
        for number, kind in enumerate(kinds, 1)
    ]
    return fleet


async def test_a_timeline_is_the_newest_first_with_its_sentence() -> None:
    async with client_of(fleet_with("recovered", "online")) as client:
        document = (await client.get("/api/v1/agents/a%2Fb/events")).json()
    assert document["agent"]["id"] == "a/b"
    assert document["sentence"].startswith(
        "a/b is online: connected from 10.0.0.1 since 2023-11-14"
    )
    assert document["items"][1] == {
        "number": 1,
        "at": "2023-11-14T22:13:20.001Z",
        "kind": "recovered",
        "text": "a heartbeat came",
        "data": {"by": "heartbeat"},
    }
    assert [item["kind"] for item in document["items"]] == ["online", "recovered"]
    assert document["next_cursor"] is None


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8", "ko"),
        ("en-GB, ko", "en"),
        ("fr, KO;q=0.1", "ko"),
        ("kok, de", "en"),
        (",;=*\u00ff", "en"),
    ],
)
async def test_a_timeline_is_told_in_the_language_that_is_preferred(
    accepted: str, language: str
) -> None:
    headers = {"accept-language": accepted.encode("latin-1")}
    async with client_of(fleet_with("recovered", "online")) as client:
        answer = await client.get("/api/v1/agents/a%2Fb/events", headers=headers)
    document = answer.json()
    told = [document["sentence"], *(item["text"] for item in document["items"])]
    assert [bool(re.search("[가-힣]", text)) for text in told] == [language == "ko"] * 3
    assert answer.headers["content-language"] == language


async def test_its_pages_join_and_only_the_first_has_the_sentence() -> None:
    kinds, sentences = [], []
    async with client_of(fleet_with("a", "b", "c", "d", "e")) as client:
        query = {"limit": "2"}
        while True:
            document = (await client.get("/api/v1/agents/a%2Fb/events", params=query)).json()
            kinds += [item["kind"] for item in document["items"]]
            sentences.append(document["sentence"])
            if document["next_cursor"] is None:
                break
            query["cursor"] = document["next_cursor"]
    assert kinds == ["e", "d", "c", "b", "a"]
    assert sentences[0]
    assert sentences[1:] == [None, None]


async def test_a_short_page_has_the_sentence_of_the_whole() -> None:
    fleet = fleet_with("offline", "maintenance", "maintenance")
    fleet.by_id["a/b"].status = "offline"
    data = {"enabled": True, "reason_code": "operator"}
    fleet.entries["a/b"] = [one._replace(data=orjson.dumps(data)) for one in fleet.entries["a/b"]]
    async with client_of(fleet) as client:
        query = {"limit": "1"}
        document = (await client.get("/api/v1/agents/a%2Fb/events", params=query)).json()
    assert "offline since 2023-11-14 22:13:20Z: an operator removed it" in document["sentence"]
    assert (len(document["items"]), document["next_cursor"]) == (1, "3")


async def test_an_unknown_agent_has_none() -> None:
    async with client_of(FakeFleet()) as client:
        assert_problem(await client.get("/api/v1/agents/unknown/events"), 404)


@pytest.mark.parametrize("cursor", ["", "-1", "x", "१", "9" * 19])
async def test_a_cursor_that_is_none_is_told(cursor: str) -> None:
    async with client_of(fleet_with("a")) as client:
        query = {"cursor": cursor}
        assert_problem(await client.get("/api/v1/agents/a%2Fb/events", params=query), 400)
