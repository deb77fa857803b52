"""Many agents at once: which are chosen, how they are asked, and who is left."""

import asyncio
from typing import Any

import httpx
import pytest

from dscore.http import bulk
from dscore.http.waves import AT_ONCE, MAX_TOLD, Operation, Pace
from fake_fleet import FakeFleet
from faked import eventually
from test_http_app import OWN, client_of

POWER = {"authorization": f"Bearer {OWN}"}


def fleet_of(count: int) -> FakeFleet:
    fleet = FakeFleet(*(f"cam-{n}" for n in range(count)))
    for n in range(count):
        fleet.by_id[f"cam-{n}"].labels = {"site": "busan" if n % 2 else "seoul"}
    return fleet


async def post(client: httpx.AsyncClient, path: str, **wish: Any) -> httpx.Response:
    return await client.post(f"/api/v1/{path}", json=wish, headers=POWER)


async def test_a_dry_run_counts_and_asks_none() -> None:
    fleet = fleet_of(10)
    fleet.by_id["cam-3"].connected = False
    async with client_of(fleet) as client:
        wish = {"filter": {"label": ["site=busan"]}, "dry_run": True, "wave": 3}
        document = (await post(client, "terminate", **wish)).json()
        removal = (await post(client, "remove", **wish)).json()
    assert (document["id"], document["state"], document["total"]) == (None, "counted", 4)
    assert document["left"] == ["cam-1", "cam-5", "cam-7", "cam-9"]
    assert (document["connected"], document["waves"]) == (4, 2)
    assert (removal["total"], removal["connected"]) == (5, 4)
    assert fleet.terminated == fleet.removed == []


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"all": True}, {0, 1, 2, 3, 4, 5}),
        ({"label": ["site=seoul"]}, {0, 2, 4}),
        ({"ids": ["cam-4", "cam-1", " cam-1 ", "other"]}, {1, 4}),
        ({"ids": ["cam-4", "cam-1"], "label": ["site"], "q": "4"}, {4}),
        ({"ids": []}, set()),
        ({"state": ["late", "reconnecting"]}, {5}),
        ({"q": "AM-2", "status": "online", "dialect": "raw"}, {2}),
        ({"reason": "operator"}, set()),
    ],
)
async def test_what_is_given_must_all_fit(choice: dict[str, Any], expected: set[int]) -> None:
    fleet = fleet_of(6)
    fleet.by_id["cam-5"].state = "late"
    async with client_of(fleet) as client:
        answer = await client.post(
            "/api/v1/terminate?wait=20", json={"filter": choice}, headers=POWER
        )
    assert answer.status_code == 202
    assert answer.json()["state"] == "done"
    assert {agent_id for agent_id, _ in fleet.terminated} == {f"cam-{n}" for n in expected}


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"filter": {}},
        {"filter": {"label": []}},
        {"filter": {"all": False}},
        {"filter": {"all": True, "q": "cam"}},
        {"filter": {"sate": ["late"]}},
        {"filter": {"state": ["lost"]}},
        {"filter": {"all": True}, "wave": 0},
        {"filter": {"all": True}, "pause": -1},
        {"filter": {"all": True}, "max_failed": -1},
        {"filter": {"all": True}, "dryrun": True},
        {"filter": {"all": True}, "timeout": 0},
    ],
)
async def test_a_wish_that_is_none_touches_no_agent(wish: dict[str, Any]) -> None:
    fleet = fleet_of(2)
    async with client_of(fleet) as client:
        answer = await post(client, "terminate", **wish)
    assert answer.status_code == 422
    assert fleet.terminated == []


@pytest.mark.parametrize("depth", [250, 300, 900])
async def test_a_message_that_is_nested_too_deeply_is_the_operators_fault(depth: int) -> None:
    """More can be read than written: it was answered 500."""
    nested: dict[str, Any] = {}
    for _ in range(depth):
        nested = {"a": nested}
    wish = {"filter": {"all": True}, "message": {"type": "x", "d": nested}, "dry_run": True}
    async with client_of(fleet_of(3)) as client:
        answer = await client.post("/api/v1/message", json=wish)
    assert answer.status_code == (202 if depth == 250 else 422)
    if depth > 250:
        assert answer.json()["detail"] == "message: is nested too deeply"


async def test_it_takes_power() -> None:
    fleet = fleet_of(2)
    async with client_of(fleet, token=None) as client:
        for path in ("terminate", "message", "remove"):
            answer = await client.post(f"/api/v1/{path}", json={"filter": {"all": True}})
            assert answer.status_code == 401
        assert (await client.delete("/api/v1/operations/x")).status_code == 401
    assert fleet.terminated == fleet.removed == []


async def test_stops_at_the_failure_too_many_and_says_who_is_left() -> None:
    fleet = fleet_of(100)
    fleet.fails = {"cam-1", "cam-11", "cam-12", "cam-13"}
    async with client_of(fleet) as client:
        wish = {"filter": {"all": True}, "wave": 5, "max_failed": 2}
        document = (await client.post("/api/v1/terminate?wait=20", json=wish, headers=POWER)).json()
    assert (document["state"], document["wave"], document["failed"]) == ("stopped", 3, 3)
    assert [each["id"] for each in document["failures"]] == ["cam-1", "cam-11", "cam-12"]
    assert document["left_total"] == len(document["left"]) == 100 - document["asked"]
    assert document["left"][0] == f"cam-{document['asked']}"
    assert 13 <= document["asked"] <= 15
    assert document["why"] == "more failed than 2"


async def test_messages_and_removals_tell_what_came_of_them() -> None:
    fleet = fleet_of(3)
    fleet.by_id["cam-1"].connected = False
    async with client_of(fleet) as client:
        wish = {"filter": {"all": True}, "message": {"type": "reload", "n": 1}}
        sent = (await client.post("/api/v1/message?wait=20", json=wish, headers=POWER)).json()
        wish = {"filter": {"ids": ["cam-0", "cam-1"]}}
        removed = (await client.post("/api/v1/remove?wait=20", json=wish, headers=POWER)).json()
    assert sent["outcomes"] == {"delivered": 2, "kept": 1}
    assert [text for _, text in fleet.sent] == [b'{"type":"reload","n":1}'] * 3
    assert removed["outcomes"] == {"removed": 2}
    assert list(fleet.by_id) == ["cam-2"]


async def test_one_that_runs_is_looked_at_and_canceled() -> None:
    fleet = fleet_of(4)
    async with client_of(fleet) as client:
        wish = {"filter": {"all": True}, "wave": 1, "pause": 600}
        begun = (await post(client, "terminate", **wish)).json()
        path = f"/api/v1/operations/{begun['id']}"
        await eventually(lambda: len(fleet.terminated) == 1, 20)
        looked = (await client.get(path)).json()
        assert (looked["state"], looked["asked"], looked["left_total"]) == ("running", 1, 3)
        canceled = (await client.delete(path, headers=POWER)).json()
        assert (canceled["state"], canceled["left"]) == ("canceled", ["cam-1", "cam-2", "cam-3"])
        ended = (await client.get(f"{path}?wait=20")).json()
        assert ended["state"] == "canceled"
        assert (await client.get("/api/v1/operations/none")).status_code == 404
    assert len(fleet.terminated) == 1


async def test_a_drain_ends_it_even_in_a_pause() -> None:
    is_draining = False

    async def ask(agent_id: str) -> tuple[str, str]:
        return "acked", ""

    pace = Pace(wave=2, pause=600)
    operation = Operation("terminate", list("abcd"), pace, ask, lambda: is_draining)
    task = asyncio.create_task(operation.run())
    await eventually(lambda: operation.document()["answered"] == 2, 20)
    is_draining = True
    await asyncio.wait_for(task, 30)
    document = operation.document()
    assert (document["state"], document["left"]) == ("stopped", ["c", "d"])
    assert "shuts down" in document["why"]


async def test_only_so_many_run_and_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MAX_RUNNING", 2)
    monkeypatch.setattr(bulk, "KEPT", 3)
    fleet = fleet_of(2)
    async with client_of(fleet) as client:
        slow = {"filter": {"all": True}, "wave": 1, "pause": 600}
        running = [(await post(client, "terminate", **slow)).json()["id"] for _ in range(2)]
        refused = await post(client, "terminate", **slow)
        assert refused.status_code == 409
        counted = await post(client, "terminate", **slow, dry_run=True)
        assert counted.status_code == 202
        await client.delete(f"/api/v1/operations/{running[0]}", headers=POWER)
        await client.get(f"/api/v1/operations/{running[0]}?wait=30")
        over = []
        for _ in range(4):
            wish = {"filter": {"ids": []}}
            answer = await client.post("/api/v1/remove?wait=20", json=wish, headers=POWER)
            over.append(answer.json()["id"])
        found = [
            each
            for each in (*running, *over)
            if (await client.get(f"/api/v1/operations/{each}")).status_code == 200
        ]
        await client.delete(f"/api/v1/operations/{running[1]}", headers=POWER)
    assert found == [running[1], *over[-2:]]


async def test_an_agent_that_has_gone_meanwhile_is_no_failure() -> None:
    fleet = fleet_of(3)
    async with client_of(fleet) as client:
        wish = {"filter": {"all": True}, "wave": 1, "pause": 0.01}
        begun = (await post(client, "terminate", **wish)).json()
        fleet.by_id["cam-1"].connected = False
        del fleet.by_id["cam-2"]
        document = (await client.get(f"/api/v1/operations/{begun['id']}?wait=20")).json()
    assert document["outcomes"] == {"acked": 1, "not_connected": 1, "gone": 1}
    assert (document["state"], document["failed"]) == ("done", 0)


async def test_an_operation_that_is_cut_says_so() -> None:
    async def ask(agent_id: str) -> tuple[str, str]:
        return "removed", ""

    operation = Operation("remove", ["a", "b"], Pace(wave=1, pause=600), ask)
    task = asyncio.create_task(operation.run())
    await eventually(lambda: operation.document()["answered"] == 1, 20)
    task.cancel()
    await asyncio.wait({task})
    assert (operation.is_over, operation.state) == (True, "canceled")
    assert operation.document()["left"] == ["b"]


async def test_a_fault_of_ours_ends_it_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def ask(agent_id: str) -> tuple[str, str]:
        raise RuntimeError("of ours")

    operation = Operation("remove", ["a", "b"], Pace(wave=1), ask)
    await operation.run()
    assert (operation.is_over, operation.state) == (True, "stopped")
    assert "log" in operation.document()["why"]
    assert "operation_failed" in caplog.text


async def test_the_loop_turns_though_no_agent_is_waited_for() -> None:
    async def ask(agent_id: str) -> tuple[str, str]:
        return "removed", ""

    operation = Operation("remove", [str(n) for n in range(4 * AT_ONCE)], Pace(), ask)
    task = asyncio.create_task(operation.run())
    turns = 0
    while not operation.is_over:
        turns += 1
        await asyncio.sleep(0)
    await task
    assert turns >= 4


async def test_what_it_tells_is_bounded() -> None:
    async def ask(agent_id: str) -> tuple[str, str]:
        return "failed", "no"

    ids = [str(n) for n in range(3 * MAX_TOLD)]
    operation = Operation("terminate", ids, Pace(wave=2 * MAX_TOLD, max_failed=1500), ask)
    await operation.run()
    document = operation.document()
    assert len(document["failures"]) == len(document["left"]) == MAX_TOLD
    assert document["left_total"] == 3 * MAX_TOLD - document["asked"]
