"""PROTOCOL.md §2: what agents say, and how they come in."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

import dscore
from protocol.support import agents, eventually, hears_only, running, settled, upgraded, watcher
from wire import agent

TOKENS = {
    "auth": {"required": True, "tokens": ["agent-secret"], "operator_tokens": ["operator-secret"]}
}
BEFORE_INTRODUCTION = [
    {"type": "app_terminated", "request_id": "x", "status": "OK", "message": ""},
    {"type": "termination_progress", "request_id": "x", "stage": "x", "need_ms": 1},
    {"type": "connection_check_response", "client_name": "a-1"},
    {"type": "unwatch"},
    {"type": "detections", "instance_id": "a-1"},
    {"type": ""},
]


async def unauthenticated(one: Any) -> int:
    _, document = await one.health()
    return int(document["websocket"]["unauthenticated_connections"])


async def test_app_ready_of_the_deepstream_contract_word_for_word() -> None:
    async with running() as here, agent(here.ws, "unique_client_id", introduce=False) as one:
        await one.send_text(
            '{"type": "app_ready", "instance_id": "unique_client_id", "reconnection": true, '
            '"last_close_code": 1001, "config": {"sources": 4}}'
        )
        assert await one.recv() == {
            "type": "reconnection_ack",
            "status": "ok",
            "session_restored": False,
            "server_status": "running",
        }


async def test_app_ready_needs_nothing_but_the_id() -> None:
    async with running() as here, agent(here.ws, introduce=False) as one:
        await one.send("app_ready", instance_id="a-1")
        assert (await one.recv())["type"] == "app_ready_ack"
        assert (await here.details("a-1"))["id"] == "a-1"


async def test_a_connection_is_unauthenticated_until_app_ready_is_accepted() -> None:
    async with running() as here, agent(here.ws, introduce=False) as one:
        await eventually(lambda: unauthenticated(here))
        await one.send("app_ready", instance_id="")
        assert (await one.recv())["code"] == "missing_field"
        assert await unauthenticated(here) == 1
        await one.introduce()
        _, document = await here.health()
        assert document["websocket"]["authenticated_connections"] == 1
        assert document["websocket"]["unauthenticated_connections"] == 0


@pytest.mark.timed
async def test_authentication_timeout_closes_1008() -> None:
    async with running({"auth": {"timeout": 0.3}}) as here:
        began = time.monotonic()
        async with agent(here.ws, introduce=False) as one:
            assert await one.closed() == (1008, "authentication timeout")
        assert 0.3 <= time.monotonic() - began < 2.0


async def test_the_authentication_deadline_is_not_put_off_by_talking() -> None:
    async with running({"auth": {"timeout": 0.3}}) as here, agent(here.ws, introduce=False) as one:

        async def talk() -> None:
            while True:
                await one.send("client_status_request", clientName="a-1")
                await one.socket.ping()
                await asyncio.sleep(0.05)

        talking = asyncio.create_task(talk())
        assert await one.closed(3.0) == (1008, "authentication timeout")
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


async def test_the_authentication_deadline_ends_with_the_introduction() -> None:
    async with (
        running({"auth": {"timeout": 0.2}}) as here,
        agents(here.ws, "a-1") as [one],
        watcher(here.ws) as page,
    ):
        async with agent(here.ws, introduce=False) as idle:
            await idle.closed()
        await settled(one)
        await settled(page)


async def test_a_heartbeat_introduces_where_no_token_is_required() -> None:
    async with running() as here, agent(here.ws, "b-1", introduce=False) as one:
        await one.send("heartbeat", clientName="b-1", ip_address="10.1.2.3", timestamp="now")
        assert (await one.recv())["type"] == "heartbeat_response"
        await hears_only(one)  # no app_ready_ack: it has not said app_ready
        details = await here.details("b-1")
        assert (details["status"], details["ip"]) == ("online", "10.1.2.3")


async def test_a_heartbeat_without_an_address_has_the_peers() -> None:
    async with running() as here, agent(here.ws, "b-1", introduce=False) as one:
        await one.beat()
        assert (await here.details("b-1"))["ip"] == "127.0.0.1"


async def test_an_ipv4_mapped_address_is_normalised() -> None:
    async with (
        running({"listen": {"port": 0, "host": "::ffff:127.0.0.1"}}) as here,
        agent(here.ws, "a-1"),
    ):
        assert [known.ip for known in here.server.fleet.agents()] == ["127.0.0.1"]


async def test_a_heartbeat_does_not_introduce_where_tokens_are_required() -> None:
    async with running(TOKENS) as here, agent(here.ws, introduce=False) as one:
        for kind in ("heartbeat", "reconnection_success"):
            await one.send(kind, clientName="a-1")
            error = await one.recv()
            assert (error["code"], error["request_type"]) == ("not_introduced", kind)
        assert here.server.fleet.agent("a-1") is None


async def test_reconnection_success_introduces_and_is_announced_once() -> None:
    async with (
        running() as here,
        watcher(here.ws) as page,
        agent(here.ws, "b-1", introduce=False) as one,
    ):
        for _ in range(3):
            await one.send("reconnection_success", clientName="b-1")
        await hears_only(one)
        heard = await hears_only(page, "client_status_changed", "client_reconnected")
        assert heard[1]["clientName"] == "b-1"
        assert (await here.details("b-1"))["state"] == "connected"


@pytest.mark.parametrize("message", BEFORE_INTRODUCTION, ids=lambda m: str(m["type"]) or "empty")
async def test_before_introduction_other_types_are_not_introduced(message: Any) -> None:
    async with running() as here, agent(here.ws, introduce=False) as one:
        await one.send_text(json.dumps(message))
        error = await one.recv()
        assert (error["type"], error["code"]) == ("error", "not_introduced")
        assert error["request_type"] == message["type"]
        await one.introduce()


async def test_client_status_request_is_answered_before_introduction() -> None:
    async with running() as here, agents(here.ws, "a-1"), agent(here.ws, introduce=False) as one:
        await one.send("client_status_request", clientName="a-1")
        answer = await one.recv()
        assert (answer["serverStatus"], answer["clientStatus"]) == ("online", "online")
        assert await unauthenticated(here) == 1


async def test_client_status_request_tells_no_name_where_a_token_is_needed_first() -> None:
    settings = {"auth": {"required": True, "tokens": ["t"], "operator_tokens": ["o"]}}
    async with (
        running(settings) as here,
        agents(here.ws, "a-1", token="t") as [known],
        agent(here.ws, introduce=False) as one,
    ):
        await one.send("client_status_request", clientName="a-1")
        assert (await one.recv())["serverStatus"] == "error"
        await known.send("client_status_request", clientName="a-1")
        assert (await known.recv())["clientStatus"] == "online"


async def test_client_status_request_for_an_unknown_name_is_an_error_status() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        await one.send("client_status_request", clientName="a-2")
        answer = await one.recv()
        assert (answer["type"], answer["serverStatus"]) == ("server_status_response", "error")


async def test_app_ready_repeated_is_acknowledged_again() -> None:
    async with running() as here, watcher(here.ws) as page, agents(here.ws, "a-1") as [one]:
        assert (await one.introduce())["type"] == "app_ready_ack"
        assert (await one.introduce(reconnection=True))["type"] == "reconnection_ack"
        await hears_only(one)
        await hears_only(page, "client_status_changed")


@pytest.mark.parametrize(
    "message",
    [
        {"type": "app_ready", "instance_id": "a-2"},
        {"type": "heartbeat", "clientName": "a-2"},
        {"type": "reconnection_success", "clientName": "a-2"},
        {"type": "connection_check_response", "client_name": "a-2"},
        {"type": "heartbeat", "clientName": "A-1"},
    ],
    ids=lambda m: str(m["type"]),
)
async def test_another_id_on_an_introduced_connection_is_wrong_id(message: Any) -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        await one.send_text(json.dumps(message))
        error = await one.recv()
        assert (error["type"], error["code"]) == ("error", "wrong_id")
        assert error["request_type"] == message["type"]
        assert [known.id for known in here.server.fleet.agents()] == ["a-1"]
        await one.beat()


async def test_anything_else_is_handed_to_the_policy_as_parsed() -> None:
    heard: list[tuple[str, str, dict[str, Any]]] = []

    class Listening(dscore.Policy):
        def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> None:
            heard.append((agent.id, kind, message))

    async with running(policy=Listening()) as here, agents(here.ws, "a-1") as [one]:
        await one.send("detections", objects=[{"class": "사람", "score": 0.5}], frame=None)
        await hears_only(one)
        assert heard == [
            (
                "a-1",
                "detections",
                {
                    "type": "detections",
                    "objects": [{"class": "사람", "score": 0.5}],
                    "frame": None,
                },
            )
        ]


async def test_an_unexpected_answer_is_not_the_policys() -> None:
    heard: list[str] = []

    class Listening(dscore.Policy):
        def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> None:
            heard.append(kind)

    async with running(policy=Listening()) as here, agents(here.ws, "a-1") as [one]:
        await one.send("app_terminated", request_id="none", status="OK", message="")
        await one.send("termination_progress", request_id="none", stage="x", need_ms=5)
        await hears_only(one)
        assert heard == []


async def test_an_introduction_during_a_drain_is_closed_1013() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        async with upgraded(here.ws) as late, upgraded(here.ws) as later:
            await eventually(lambda: unauthenticated(here))
            drain = asyncio.create_task(here.server.drain())
            order = await one.recv_type("terminate_app")
            await late.say("app_ready", instance_id="a-2")
            assert await late.closed() == (1013, "Server shutting down")
            await later.say("heartbeat", clientName="a-3")
            assert await later.closed() == (1013, "Server shutting down")
            await one.answer(order)
        report = await drain
        assert (report.total, report.acked) == (1, 1)


async def test_token_in_app_ready_or_on_the_upgrade() -> None:
    bearer = {"Authorization": "Bearer agent-secret"}
    async with running(TOKENS) as here:
        async with agent(here.ws, "a-1", token="agent-secret"):
            pass
        async with agent(here.ws, "a-2", headers=bearer):
            pass
        assert {known.id for known in here.server.fleet.agents()} == {"a-1", "a-2"}


@pytest.mark.parametrize("token", ["wrong", "operator-secret", "agent-secre", ""])
async def test_a_bad_agent_token_is_closed_1008_authentication_failed(token: str) -> None:
    async with running(TOKENS) as here, agent(here.ws, introduce=False) as one:
        await one.send("app_ready", instance_id="a-1", token=token)
        assert await one.closed() == (1008, "authentication failed")
        assert one.kept == []
        assert here.server.fleet.agent("a-1") is None


async def test_watch_without_the_operator_role_is_forbidden_and_lives_on() -> None:
    async with running(TOKENS) as here, agent(here.ws, introduce=False) as one:
        for fields in ({}, {"token": "agent-secret"}):
            await one.send("watch", **fields)
            error = await one.recv()
            assert (error["code"], error["request_type"]) == ("forbidden", "watch")
        assert await unauthenticated(here) == 1
        await one.send("watch", token="operator-secret", snapshot=True)
        await settled(one)
        assert await unauthenticated(here) == 0


async def test_an_operator_may_bring_its_token_on_the_upgrade() -> None:
    headers = {"Authorization": "Bearer operator-secret"}
    async with (
        running(TOKENS) as here,
        agent(here.ws, "op", headers=headers, introduce=False) as page,
    ):
        await page.send("watch")
        async with agent(here.ws, "a-1", token="agent-secret"):
            assert (await page.recv_type("client_status_changed"))["id"] == "a-1"


async def test_operator_calls_without_a_token_are_401() -> None:
    async with running(TOKENS) as here:
        for token in (None, "agent-secret", "operator-secret"):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            answer = await here.pages.get("/api/v1/agents", headers=headers)
            assert answer.status_code == (200 if token == "operator-secret" else 401)


async def test_token_files_hold_one_token_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("# the fleet\n\nfirst\n  second  \n")
    async with running({"auth": {"required": True, "token_file": str(file)}}) as here:
        for token in ("first", "second"):
            async with agent(here.ws, f"a-{token}", token=token):
                pass
        for token in ("# the fleet", "first\nsecond", "third"):
            async with agent(here.ws, introduce=False) as one:
                await one.send("app_ready", instance_id="a", token=token)
                assert await one.closed() == (1008, "authentication failed")
