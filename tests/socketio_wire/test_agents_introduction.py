"""PROTOCOL.md §1 and §2 over Socket.IO: one registry, one policy, whichever way an agent came."""

import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

import dscore
from protocol.support import eventually, hears_only, running, settled, upgraded, watcher
from socketio_wire.agents import PATH, agent, each_carrier
from socketio_wire.support import Here, fetch
from wire import agent as raw_agent

TOKENS = {
    "auth": {"required": True, "tokens": ["agent-secret"], "operator_tokens": ["operator-secret"]}
}
TOKEN = '{"token":"agent-secret"}'
BEFORE_INTRODUCTION = ["detections", "unwatch", "connection_check_response"]
ROOM = 32


async def test_1_socket_io_is_served_on_the_one_port() -> None:
    async with running() as here:
        target = f"{PATH}?EIO=4&transport=polling"
        answer = await fetch(here.port, "GET", target)
        opened = json.loads(answer.text[1:])
        assert opened["upgrades"] == ["websocket"]
        assert (opened["pingInterval"], opened["pingTimeout"]) == (30_000, 120_000)
        assert opened["maxPayload"] == 1_000_000
        assert (await here.health())[0] == 200


@pytest.mark.parametrize(("allowed", "status"), [(True, 200), (False, 400)])
async def test_1_engine_io_3_when_it_is_allowed(allowed: bool, status: int) -> None:
    async with running({"socket": {"allow_eio3": allowed}}) as here:
        answer = await fetch(here.port, "GET", f"{PATH}?EIO=3&transport=polling")
        assert answer.status == status


async def test_1_the_settings_of_the_socketio_contract_rule_the_transport() -> None:
    settings = {
        "socket": {
            "cors": {"origin": ["https://fleet.example"], "methods": ["GET"]},
            "pingInterval": 1000,
            "pingTimeout": 2000,
            "transports": ["polling"],
            "maxHttpBufferSize": 5000,
        }
    }
    async with running(settings) as here:
        session = await Here(here.port, PATH, None).open(Origin="https://fleet.example")
        assert session.opened["upgrades"] == []
        assert (session.opened["pingInterval"], session.opened["pingTimeout"]) == (1000, 2000)
        assert session.opened["maxPayload"] == 5000
        answer = await session.poll(headers={"Origin": "https://evil.example"})
        assert answer.status == 403


@each_carrier
async def test_1_an_agent_is_the_same_agent_whichever_way_it_comes(carrier: str) -> None:
    async with running() as here, raw_agent(here.ws, "a-1") as raw:
        async with agent(here, carrier, "a-1") as one:
            assert await raw.closed() == (4409, "taken over")
            async with raw_agent(here.ws, "a-1") as back:
                await one.closes(4409, "taken over", sent_away=True)
                await back.beat()
        assert [known.id for known in here.server.fleet.agents()] == ["a-1"]


@each_carrier
async def test_1_all_connections_are_counted_alike(carrier: str) -> None:
    async with running() as here, raw_agent(here.ws, "a-1"), agent(here, carrier):
        async with agent(here, carrier, introduce=""):

            async def counted() -> bool:
                _, document = await here.health()
                return document["websocket"] == {
                    "total_connections": 3,
                    "authenticated_connections": 2,
                    "unauthenticated_connections": 1,
                    "is_shutting_down": False,
                }

            await eventually(counted)
        assert set((await here.health())[1]["connected_instances"]) == {"a-1", "b-1"}


@each_carrier
async def test_1_no_namespace_but_the_main_one_is_served(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        await one.packet("40/admin,")
        assert await one.refusal() == '44/admin,{"message":"Invalid namespace"}'
        await one.beat()


@each_carrier
async def test_2_the_name_of_an_event_is_its_type(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="") as one:
        await one.send_text('["heartbeat",{"clientName":"b-1","type":"app_ready"}]')
        response = await one.recv()
        assert response["type"] == "heartbeat_response"
        assert set(response) == {"type", "status", "timestamp", "message", "nextHeartbeatIn"}
        assert (await here.details("b-1"))["id"] == "b-1"


@each_carrier
async def test_2_a_heartbeat_introduces_where_no_token_is_required(carrier: str) -> None:
    async with running() as here, watcher(here.ws) as page, agent(here, carrier):
        assert (await page.recv_type("client_status_changed"))["status"] == "online"
        assert here.server.fleet.connected_ids() == ["b-1"]
        assert (await here.details("b-1"))["id"] == "b-1"


@each_carrier
async def test_2_app_ready_introduces_and_is_acknowledged(carrier: str) -> None:
    async with running() as here, agent(here, carrier, "a-1", introduce="") as one:
        ack = await one.introduce(config={"sources": 4})
        assert (ack["status"], ack["server_status"]) == ("ok", "running")
        ack = await one.introduce(reconnection=True)
        assert ack["session_restored"] in (True, False)


@each_carrier
async def test_2_reconnection_success_introduces_and_is_announced_once(carrier: str) -> None:
    async with (
        running() as here,
        watcher(here.ws) as page,
        agent(here, carrier, introduce="") as one,
    ):
        for _ in range(2):
            await one.send("reconnection_success", clientName="b-1")
        await settled(one)
        await hears_only(page, "client_status_changed", "client_reconnected")


@each_carrier
@pytest.mark.parametrize("kind", BEFORE_INTRODUCTION)
async def test_2_before_the_introduction_other_types_are_not_introduced_past_the_room_for_them(
    carrier: str, kind: str
) -> None:
    async with running() as here, agent(here, carrier, introduce="") as one:
        for _ in range(ROOM + 1):
            await one.send(kind, client_name="b-1")
        error = await one.recv()
        assert (error["type"], error["code"]) == ("error", "not_introduced")
        assert error["request_type"] == kind
        await one.beat()


@each_carrier
async def test_2_a_status_may_be_asked_before_the_introduction(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="") as one:
        await one.send("client_status_request", clientName="unknown")
        response = await one.recv_type("server_status_response")
        assert response["serverStatus"] == "error"


@each_carrier
async def test_2_another_id_on_an_introduced_connection_is_wrong_id(carrier: str) -> None:
    async with running() as here, agent(here, carrier) as one:
        for kind, field in (("heartbeat", "clientName"), ("app_ready", "instance_id")):
            await one.send(kind, **{field: "b-2"})
            assert (await one.recv())["code"] == "wrong_id"
        await one.beat()


@each_carrier
async def test_2_anything_else_is_the_policys_and_acked_with_its_answer(carrier: str) -> None:
    heard: list[tuple[str, str, dict[str, Any]]] = []

    class Listening(dscore.Policy):
        def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
            heard.append((agent.id, kind, message))
            return {"seen": len(heard)} if kind == "detections" else None

    async with running(policy=Listening()) as here, agent(here, carrier) as one:
        assert await one.acked(7, '["detections",{"objects":["사람"]}]') == [{"seen": 1}]
        assert await one.acked(8, '["other"]') == []
        assert heard == [
            ("b-1", "detections", {"type": "detections", "objects": ["사람"]}),
            ("b-1", "other", {"type": "other"}),
        ]


@each_carrier
async def test_2_types_of_the_contract_are_acked_with_nothing(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="") as one:
        assert await one.acked(0, '["heartbeat",{"clientName":"b-1"}]') == []
        assert await one.acked(1, '["heartbeat",{"clientName":"b-1"}]') == []
        assert await one.acked(2, '["client_status_request",{"clientName":"b-1"}]') == []
        await one.recv_type("heartbeat_response")


@each_carrier
async def test_2_the_first_heartbeat_and_all_behind_it_may_come_together(carrier: str) -> None:
    heard: list[int] = []

    class Listening(dscore.Policy):
        def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> None:
            heard.append(message["n"])

    notes = [f'42["note",{{"n":{n}}}]' for n in range(30)]
    async with running(policy=Listening()) as here, agent(here, carrier, introduce="") as one:
        # The introduction stands in the middle: what comes before it waits for it.
        await one.packet(notes[0], '42["heartbeat",{"clientName":"b-1"}]', *notes[1:])
        assert (await one.recv())["type"] == "heartbeat_response"
        await settled(one)
        assert heard == list(range(30))
        assert one.kept == []


@each_carrier
async def test_2_without_tokens_no_introduction_is_due(carrier: str) -> None:
    settings = {"auth": {"timeout": 0.2}}
    async with running(settings) as here, agent(here, carrier, introduce="") as one:
        async with upgraded(here.ws) as unauthenticated:
            # The raw connection came later, and has been sent away already.
            assert await unauthenticated.closed() == (1008, "authentication timeout")
        await one.beat()


@each_carrier
async def test_2_where_tokens_are_required_the_introduction_has_a_deadline(carrier: str) -> None:
    settings = {"auth": {**TOKENS["auth"], "timeout": 0.2}}
    async with running(settings) as here, agent(here, carrier, introduce="") as one:
        await one.closes(1008, "authentication timeout", sent_away=False)


@each_carrier
@pytest.mark.parametrize("how", ["connect", "upgrade", "app_ready"])
async def test_2_a_token_in_connect_on_the_request_or_in_app_ready(carrier: str, how: str) -> None:
    headers = {"Authorization": "Bearer agent-secret"} if how == "upgrade" else None
    auth = TOKEN if how == "connect" else ""
    async with (
        running(TOKENS) as here,
        agent(here, carrier, introduce="", auth=auth, headers=headers) as one,
    ):
        await one.introduce(**({"token": "agent-secret"} if how == "app_ready" else {}))
        await one.beat()


@each_carrier
async def test_2_a_token_in_connect_lets_a_heartbeat_introduce(carrier: str) -> None:
    async with running(TOKENS) as here, agent(here, carrier, auth=TOKEN):
        assert here.server.fleet.connected_ids() == ["b-1"]


@each_carrier
async def test_2_without_a_token_a_heartbeat_is_no_introduction(carrier: str) -> None:
    async with running(TOKENS) as here, agent(here, carrier, introduce="") as one:
        await one.send("heartbeat", clientName="b-1")
        assert (await one.recv())["code"] == "not_introduced"
        await one.introduce(token="agent-secret")


@each_carrier
@pytest.mark.parametrize("token", ["wrong", "operator-secretx"])
async def test_2_a_bad_token_is_closed_1008_authentication_failed(carrier: str, token: str) -> None:
    async with running(TOKENS) as here, agent(here, carrier, introduce="") as one:
        await one.send("app_ready", instance_id="b-1", token=token)
        await one.closes(1008, "authentication failed", sent_away=True)
        async with agent(here, carrier, introduce="", auth=f'{{"token":"{token}"}}') as other:
            with suppress(ConnectionClosed):  # it may have been sent away by then
                await other.send("heartbeat", clientName="b-1")
            await other.closes(1008, "authentication failed", sent_away=True)
        assert here.server.fleet.connected_ids() == []


@each_carrier
async def test_2_a_connection_may_watch(carrier: str) -> None:
    async with (
        running() as here,
        raw_agent(here.ws, "a-1"),
        agent(here, carrier, introduce="") as page,
    ):
        await page.send("watch", snapshot=True)
        changed = await page.recv_type("client_status_changed")
        assert (changed["id"], changed["snapshot"]) == ("a-1", True)
        async with raw_agent(here.ws, "a-2"):
            assert (await page.recv_type("client_status_changed"))["id"] == "a-2"


@each_carrier
async def test_2_watching_needs_the_operator_role_where_tokens_are_required(carrier: str) -> None:
    async with running(TOKENS) as here, agent(here, carrier, introduce="") as page:
        await page.send("watch")
        assert (await page.recv())["code"] == "forbidden"
        await page.send("watch", token="operator-secret")
        async with raw_agent(here.ws, "a-1", token="agent-secret"):
            assert (await page.recv_type("client_status_changed"))["id"] == "a-1"
