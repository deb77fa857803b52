"""The operator API."""

import asyncio
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from dscore.errors import NotConnectedError, NotKeptError
from dscore.history import Sample
from fake_fleet import FakeAgent, FakeFleet
from test_http_app import assert_problem, client_of

DEADLINE = 30.0
AWKWARD_IDS = ["line/3/cam 1", "a%2Fb", "카메라-1", "x?y#z", "..", "drain", "a/terminate", "+"]


def escaped(agent_id: str) -> str:
    return quote(agent_id, safe="").replace(".", "%2E")


async def ids_of(client, **query: Any) -> list[str]:
    """Every id, page by page."""
    ids: list[str] = []
    while True:
        answer = await client.get("/api/v1/agents", params=query)
        assert answer.status_code == 200, answer.text
        document = answer.json()
        ids += [item["id"] for item in document["items"]]
        if document["next_cursor"] is None:
            return ids
        query["cursor"] = document["next_cursor"]


async def test_agents_are_listed_with_items_and_next_cursor() -> None:
    fleet = FakeFleet("b", "a")
    fleet.by_id["a"].last_heartbeat = 1_700_000_000.5
    fleet.by_id["a"].rtt, fleet.by_id["a"].labels = 0.00125, {"site": "busan"}
    async with client_of(fleet) as client:
        document = (await client.get("/api/v1/agents")).json()
    assert document["next_cursor"] is None
    assert document["items"][0] == {
        "id": "a",
        "status": "online",
        "state": "connected",
        "reason_code": None,
        "connected": True,
        "dialect": "raw",
        "ip": "10.0.0.1",
        "connected_at": "2023-11-14T22:13:20.000Z",
        "since": "2023-11-14T22:13:20.000Z",
        "last_heartbeat": "2023-11-14T22:13:20.500Z",
        "rtt_ms": 1.25,
        "labels": {"site": "busan"},
    }
    assert [item["id"] for item in document["items"]] == ["a", "b"]


async def test_filters_by_reason_dialect_and_label() -> None:
    fleet = FakeFleet("a", "b", "c")
    a, b, c = fleet.by_id.values()
    a.reason_code, b.dialect = "reconnect_timeout", "socketio"
    b.labels, c.labels = {"site": "busan", "line": "3"}, {"site": "seoul"}
    async with client_of(fleet) as client:
        assert await ids_of(client, reason="reconnect_timeout") == ["a"]
        assert await ids_of(client, dialect="socketio") == ["b"]
        assert await ids_of(client, label="site=busan") == ["b"]
        assert await ids_of(client, label="site") == ["b", "c"]
        assert await ids_of(client, label=["site", "line=3"]) == ["b"]
        assert await ids_of(client, label="line=4") == []
        assert await ids_of(client, label=["site=seoul", "line"]) == []


@pytest.mark.parametrize(
    "sort", ["id", "-id", "status", "-state", "connected_at", "-last_heartbeat"]
)
async def test_pages_join_to_the_whole_in_order(sort: str) -> None:
    fleet = FakeFleet(*(f"{number:02}" for number in range(25)))
    for number, agent in enumerate(fleet.by_id.values()):
        agent.status = "online" if number % 3 else "offline"
        agent.last_heartbeat = None if number % 4 == 0 else float(number % 5)
        agent.connected_at = float(number % 2)
    async with client_of(fleet) as client:
        whole = await ids_of(client, sort=sort, limit=1000)
        assert await ids_of(client, sort=sort, limit=4) == whole
    name = sort.lstrip("-")
    values = [getattr(fleet.by_id[each], name) or 0 for each in whole] if name != "id" else whole
    assert values == sorted(values, reverse=sort.startswith("-"))
    assert sorted(whole) == sorted(fleet.by_id)


async def test_a_cursor_survives_agents_that_come_and_go() -> None:
    fleet = FakeFleet("b", "d", "f", "h")
    async with client_of(fleet) as client:
        first = (await client.get("/api/v1/agents", params={"limit": 2})).json()
        assert [item["id"] for item in first["items"]] == ["b", "d"]
        for agent_id in ("b", "d"):
            del fleet.by_id[agent_id]
        for agent_id in ("a", "c", "e"):
            fleet.by_id[agent_id] = FakeAgent(agent_id)
        assert await ids_of(client, limit=2, cursor=first["next_cursor"]) == ["e", "f", "h"]


async def test_filters_narrow_the_list() -> None:
    fleet = FakeFleet("Cam-1", "cam-2", "box-1")
    fleet.by_id["cam-2"].status = "offline"
    fleet.by_id["cam-2"].state = "offline"
    fleet.by_id["box-1"].ip = "10.9.9.9"
    async with client_of(fleet) as client:
        assert await ids_of(client, q="CAM") == ["Cam-1", "cam-2"]
        assert await ids_of(client, q="9.9") == ["box-1"]
        assert await ids_of(client, status="offline") == ["cam-2"]
        assert await ids_of(client, state="offline", q="cam") == ["cam-2"]
        assert await ids_of(client, state="late") == []


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 1001}, {"limit": "x"}, {"status": "away"}, {"sort": "ip"}],
)
async def test_a_query_that_is_not_valid_names_its_field(query: dict[str, Any]) -> None:
    async with client_of(FakeFleet()) as client:
        document = assert_problem(await client.get("/api/v1/agents", params=query), 422)
    [name] = query
    assert document["errors"][0]["where"] == f"query.{name}"


@pytest.mark.parametrize("cursor", ["", "x", "!!", "é", "bnVsbA", "WyJpZCJd", "WyJpZCIsMSwiYSJd"])
async def test_a_cursor_that_is_not_ours_is_a_400(cursor: str) -> None:
    async with client_of(FakeFleet("a")) as client:
        assert_problem(await client.get("/api/v1/agents", params={"cursor": cursor}), 400)


async def test_a_cursor_of_another_order_is_a_400() -> None:
    async with client_of(FakeFleet("a", "b")) as client:
        first = (await client.get("/api/v1/agents", params={"limit": 1})).json()
        query = {"cursor": first["next_cursor"], "sort": "-id"}
        assert_problem(await client.get("/api/v1/agents", params=query), 400)


@pytest.mark.parametrize("agent_id", AWKWARD_IDS)
async def test_any_id_can_be_named(agent_id: str) -> None:
    fleet = FakeFleet(agent_id)
    fleet.by_id[agent_id].config = {"streams": 4}
    path = f"/api/v1/agents/{escaped(agent_id)}"
    async with client_of(fleet) as client:
        document = (await client.get(path)).json()
        assert (document["id"], document["config"]) == (agent_id, {"streams": 4})
        assert (document["undelivered"], document["dropped"]) == (0, 0)
        assert (await client.post(f"{path}/terminate")).status_code == 200
        assert (await client.post(f"{path}/message", json={"type": "x"})).status_code == 202
        assert (await client.delete(path)).status_code == 204
    assert fleet.terminated == [(agent_id, None)]
    assert fleet.removed == [agent_id]


async def test_unknown_agents_are_404_everywhere() -> None:
    async with client_of(FakeFleet()) as client:
        for method, path, body in [
            ("GET", "/api/v1/agents/x", None),
            ("DELETE", "/api/v1/agents/x", None),
            ("POST", "/api/v1/agents/x/terminate", None),
            ("POST", "/api/v1/agents/x/message", {"type": "t"}),
        ]:
            document = assert_problem(await client.request(method, path, json=body), 404)
            assert "'x'" in document["detail"]


async def test_an_id_that_is_not_utf8_is_a_400() -> None:
    async with client_of(FakeFleet()) as client:
        assert_problem(await client.get("/api/v1/agents/%FF"), 400)


@pytest.mark.parametrize("outcome", ["acked", "failed", "timed_out", "vanished", "notified"])
async def test_terminate_tells_every_outcome_with_200(outcome: str) -> None:
    fleet = FakeFleet("a")
    fleet.outcome, fleet.last_word = outcome, "the pipeline hangs"
    async with client_of(fleet) as client:
        answer = await client.post("/api/v1/agents/a/terminate", json={"timeout": 2.5})
    assert answer.status_code == 200
    assert answer.json() == {
        "outcome": outcome,
        "request_id": "6f1c",
        "latency_ms": 1.5,
        "complete": True if outcome == "acked" else None,
        "message": "the pipeline hangs",
    }
    assert fleet.terminated == [("a", 2.5)]


async def test_terminate_of_an_absent_agent_is_a_409() -> None:
    fleet = FakeFleet("a")
    fleet.by_id["a"].connected = False
    async with client_of(fleet) as client:
        assert_problem(await client.post("/api/v1/agents/a/terminate"), 409)


@pytest.mark.parametrize("body", [{"timeout": 0}, {"timeout": -1}, {"timeout": 1e9}, {"tmeout": 1}])
async def test_terminate_refuses_senseless_timeouts(body: dict[str, Any]) -> None:
    async with client_of(FakeFleet("a")) as client:
        answer = await client.post("/api/v1/agents/a/terminate", json=body)
        assert_problem(answer, 422)


async def test_message_is_handed_on_whole() -> None:
    fleet = FakeFleet("a")
    message = b'{"type":"set_roi", "n":123456789012345678901234567890, "k":"\\u00e9"}'
    options = {"content": message, "headers": {"content-type": "application/json"}}
    async with client_of(fleet) as client:
        answer = await client.post("/api/v1/agents/a/message", **options)
        assert (answer.status_code, answer.json()) == (202, {"delivered": True})
        fleet.by_id["a"].connected = False
        answer = await client.post("/api/v1/agents/a/message", **options)
        assert answer.json() == {"delivered": False}
    assert fleet.sent == [("a", message)] * 2


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b"{", 422),
        (b"{}", 422),
        (b'{"type": 1}', 422),
        (b'{"type": ""}', 422),
        (b"\xff", 422),
        (b'{"type": "x", "n": NaN}', 422),
        (b'{"type": "x", "k": "\\ud800"}', 422),
        ('{"type": "x"}'.encode("utf-16"), 422),
        (b"[" * 100_000, 422),
    ],
)
async def test_message_must_be_an_object_with_a_type(content: bytes, status: int) -> None:
    fleet = FakeFleet("a")
    async with client_of(fleet) as client:
        headers = {"content-type": "application/json"}
        answer = await client.post("/api/v1/agents/a/message", content=content, headers=headers)
    assert_problem(answer, status)
    assert fleet.sent == []


async def test_a_body_that_is_not_sent_as_json_is_a_415() -> None:
    async with client_of(FakeFleet("a")) as client:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        for path in ("agents/a/message", "agents/a/terminate", "drain", "maintenance"):
            answer = await client.post(f"/api/v1/{path}", content=b'{"a": 1}', headers=headers)
            assert_problem(answer, 415)


async def test_message_that_the_store_does_not_take_is_a_503() -> None:
    fleet = FakeFleet("a")

    async def send_kept(agent_id: str, message: bytes) -> bool:
        raise NotKeptError("the store takes no message now: disk full")

    fleet.send_kept = send_kept  # type: ignore[method-assign]
    async with client_of(fleet) as client:
        answer = await client.post("/api/v1/agents/a/message", json={"type": "x"})
        assert "disk full" in assert_problem(answer, 503)["detail"]
        assert answer.headers["retry-after"] == "1"


async def test_message_that_no_outbox_could_keep_is_a_409() -> None:
    fleet = FakeFleet("a")

    async def send_kept(agent_id: str, message: bytes) -> bool:
        raise NotConnectedError(agent_id)

    fleet.send_kept = send_kept  # type: ignore[method-assign]
    async with client_of(fleet) as client:
        answer = await client.post("/api/v1/agents/a/message", json={"type": "x"})
        assert_problem(answer, 409)


async def test_maintenance_is_read_and_switched() -> None:
    fleet = FakeFleet()
    async with client_of(fleet) as client:
        assert (await client.get("/api/v1/maintenance")).json() == {"enabled": False}
        answer = await client.post("/api/v1/maintenance", json={"enabled": True})
        assert (answer.status_code, answer.json()) == (200, {"enabled": True})
        assert fleet.maintenance is True
        for body in ({}, {"enabled": "yes"}, {"enabled": 1}, {"enabled": True, "x": 1}, None):
            assert_problem(await client.post("/api/v1/maintenance", json=body), 422)
        assert fleet.maintenance is True


async def test_status_sums_it_up() -> None:
    fleet = FakeFleet("a", "b", "c")
    fleet.by_id["c"].status = fleet.by_id["c"].state = "offline"
    fleet.by_id["c"].connected = False
    async with client_of(fleet) as client:
        document = (await client.get("/api/v1/status")).json()
        assert document["status"] == "ok"
        assert document["address"] == "127.0.0.1:8765"
        assert document["connections"] == {"total": 4, "authenticated": 2, "unauthenticated": 2}
        states = {"connected": 2, "offline": 1}
        assert document["agents"] == {
            "total": 3,
            "online": 2,
            "offline": 1,
            "states": states,
            "dialects": {"raw": 2, "socketio": 0},
        }
        assert document["store"]["status"] == "ok"
        assert document["loop_lag_ms"] == 2.0
        assert document["core"]["heartbeats_total"] == 7
        fleet.maintenance = True
        assert (await client.get("/api/v1/status")).json()["status"] == "maintenance"


async def test_drain_is_idle_before_it_is_asked_for() -> None:
    async with client_of(FakeFleet("a")) as client:
        document = (await client.get("/api/v1/drain")).json()
    assert (document["state"], document["total"], document["report"]) == ("idle", 0, None)


async def test_drain_answers_at_once_and_a_second_call_joins() -> None:
    fleet = FakeFleet("a", "b")
    async with client_of(fleet) as client:
        body = {"intent": "restart", "timeout": 3}
        first = await client.post("/api/v1/drain", json=body)
        assert first.status_code == 202
        assert (first.json()["intent"], first.json()["pending"]) == ("restart", 2)
        second = await client.post("/api/v1/drain", json={"intent": "terminate"})
        assert (second.status_code, second.json()["intent"]) == (202, "restart")
        assert fleet.drains == [("restart", 3.0)]
        assert (await client.get("/api/v1/drain")).json()["report"] is None
        fleet.drain_may_end.set()
        document = (await client.get("/api/v1/drain", params={"wait": DEADLINE})).json()
        assert (document["state"], document["acked"]) == ("done", 2)
        assert document["report"]["acked"] == 2


async def test_drain_status_waits_no_longer_than_asked() -> None:
    fleet = FakeFleet("a")
    async with client_of(fleet) as client:
        await client.post("/api/v1/drain")
        get = client.get("/api/v1/drain", params={"wait": 0.01})
        assert (await asyncio.wait_for(get, DEADLINE)).json()["pending"] == 1
        fleet.drain_may_end.set()


@pytest.mark.parametrize("body", [{"intent": "stop"}, {"timeout": 0}, {"when": "now"}])
async def test_drain_refuses_what_it_does_not_know(body: dict[str, Any]) -> None:
    fleet = FakeFleet()
    async with client_of(fleet) as client:
        assert_problem(await client.post("/api/v1/drain", json=body), 422)
    assert fleet.drains == []


async def test_a_filter_that_can_never_fit_is_refused_with_those_that_can() -> None:
    async with client_of(FakeFleet()) as client:
        for name, one in (("state", "late"), ("reason", "ping_timeout"), ("dialect", "socketio")):
            answer = await client.get("/api/v1/agents", params={name: "no-such"})
            assert answer.status_code == 422
            assert f"'{one}'" in answer.json()["detail"]


async def test_a_window_of_agents_begins_at_an_offset_and_tells_how_many_fit() -> None:
    fleet = FakeFleet(*(f"cam-{n}" for n in range(12)))
    fleet.by_id["cam-7"].state = "offline"
    async with client_of(fleet) as client:
        document = (await client.get("/api/v1/agents?sort=problem&offset=9&limit=2")).json()
        first = (await client.get("/api/v1/agents?sort=problem&limit=3")).json()
        rest = await client.get(f"/api/v1/agents?sort=problem&cursor={first['next_cursor']}")
        both = await client.get(f"/api/v1/agents?cursor={first['next_cursor']}&offset=1")
    assert [item["id"] for item in document["items"]] == ["cam-9", "cam-10"]
    assert document["total"] == 12
    assert [item["id"] for item in first["items"]] == ["cam-7", "cam-0", "cam-1"]
    assert [item["id"] for item in rest.json()["items"]][:2] == ["cam-2", "cam-3"]
    assert both.status_code == 400


async def test_several_states_fit_any_of_them() -> None:
    fleet = FakeFleet("a", "b", "c")
    fleet.by_id["a"].state, fleet.by_id["b"].state = "late", "offline"
    async with client_of(fleet) as client:
        document = (await client.get("/api/v1/agents?state=late&state=offline")).json()
        wrong = await client.get("/api/v1/agents?state=late&state=lost")
    assert [item["id"] for item in document["items"]] == ["a", "b"]
    assert wrong.status_code == 422


async def test_history_comes_in_columns() -> None:
    fleet = FakeFleet()
    fleet.samples["hour"] = [
        Sample(1_000, (3, 0, 0, 0, 0, 1, 0), 3, 0),
        Sample(6_000, (2, 0, 0, 1, 0, 1, 0), 0, 1),
    ]
    async with client_of(fleet) as client:
        document = (await client.get("/api/v1/history")).json()
        later = (await client.get("/api/v1/history?span=hour&after=1000")).json()
        day = (await client.get("/api/v1/history?span=day")).json()
    assert document["at"] == [1_000, 6_000]
    assert (document["states"]["connected"], document["states"]["late"]) == ([3, 2], [0, 0])
    assert (document["connects"], document["disconnects"]) == ([3, 0], [0, 1])
    assert later["at"] == [6_000]
    assert day["at"] == day["states"]["connected"] == []


async def test_facets_are_of_those_that_fit() -> None:
    fleet = FakeFleet("a", "b", "c")
    fleet.by_id["a"].labels = {"site": "busan", "api_token": "x"}
    fleet.by_id["b"].labels = {"site": "seoul", "cam": "rtsp://user:pass@host/1"}
    fleet.by_id["b"].state, fleet.by_id["b"].reason_code = "offline", "operator"
    async with client_of(fleet) as client:
        document = (await client.get("/api/v1/facets")).json()
        busan = (await client.get("/api/v1/facets?label=site=busan")).json()
        wrong = await client.get("/api/v1/facets?lable=site")
    assert document == {
        "total": 3,
        "states": {"connected": 2, "offline": 1},
        "reasons": {"operator": 1},
        "labels": [
            {
                "name": "cam",
                "values": [{"value": "rtsp://•••@host/1", "states": {"offline": 1}}],
                "more": 0,
            },
            {
                "name": "site",
                "values": [
                    {"value": "busan", "states": {"connected": 1}},
                    {"value": "seoul", "states": {"offline": 1}},
                ],
                "more": 0,
            },
        ],
    }
    assert (busan["total"], busan["states"]) == (1, {"connected": 1})
    assert "did you mean" in wrong.text


async def test_secrets_of_a_config_are_not_shown() -> None:
    fleet = FakeFleet("a")
    fleet.by_id["a"].config = {"uri": "rtsp://admin:pa55@10.0.0.9/1", "db": {"password": "x"}}
    fleet.by_id["a"].labels = {"site": "busan", "join-token": "abc"}
    async with client_of(fleet) as client:
        text = (await client.get("/api/v1/agents/a")).text
        listed = (await client.get("/api/v1/agents")).json()
    document = orjson.loads(text)
    assert document["config"] == {"uri": "rtsp://•••@10.0.0.9/1", "db": {"password": "•••"}}
    assert listed["items"][0]["labels"] == {"site": "busan", "join-token": "•••"}
    assert "pa55" not in text
