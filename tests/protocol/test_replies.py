"""PROTOCOL.md §3: what the server says to agents, field by field."""

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

import dscore
from protocol.support import ISO_UTC, UUID, agents, hears_only, running, upgraded
from wire import agent

SHORT = {"monitoring": {"connection_check_interval": 0.1}}


def is_now(moment: object) -> bool:
    """Whether this is the present moment as every timestamp is written."""
    assert isinstance(moment, str)
    assert ISO_UTC.fullmatch(moment), moment
    parsed = datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return abs(datetime.now(timezone.utc) - parsed) < timedelta(seconds=5)


async def test_app_ready_ack() -> None:
    async with running() as here, agent(here.ws, introduce=False) as one:
        ack = await one.introduce(reconnection=False, last_close_code=0, config={})
        assert ack == {
            "type": "app_ready_ack",
            "status": "ok",
            "session_restored": False,
            "server_status": "running",
            "nextHeartbeatIn": 30_000,
        }
        assert type(ack["nextHeartbeatIn"]) is int


async def test_app_ready_ack_can_be_turned_off_and_only_that_one() -> None:
    async with running({"compat": {"app_ready_ack": False}}) as here:
        async with agent(here.ws, introduce=False) as one:
            await one.send("app_ready", instance_id="a-1")
            await one.beat()
            assert one.kept == []
        async with agent(here.ws, introduce=False) as one:
            assert (await one.introduce(reconnection=True))["session_restored"] is True


async def test_reconnection_ack_alone_and_true() -> None:
    async with running() as here:
        for restored in (False, True):
            async with agent(here.ws, introduce=False) as one:
                assert await one.introduce(reconnection=True) == {
                    "type": "reconnection_ack",
                    "status": "ok",
                    "session_restored": restored,
                    "server_status": "running",
                }
                await hears_only(one)


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "heartbeat received"), ("ko", "하트비트 수신 완료")]
)
async def test_heartbeat_response(language: str, sentence: str) -> None:
    settings = {"log": {"language": language}, "monitoring": {"health_check_interval": 12.5}}
    async with running(settings) as here, agent(here.ws, introduce=False) as one:
        # The first is answered in Python, those after it in the core: the bytes are the same.
        for _ in range(3):
            response = await one.beat()
            assert is_now(response.pop("timestamp"))
            assert response == {
                "type": "heartbeat_response",
                "status": "ok",
                "message": sentence,
                "nextHeartbeatIn": 12_500,
            }
            assert type(response["nextHeartbeatIn"]) is int


async def test_heartbeat_response_on_failure_asks_to_reconnect() -> None:
    class Broken(dscore.Policy):
        def authenticate(self, candidate: dscore.Candidate) -> bool:
            raise LookupError("the database is away")

    async with running(policy=Broken()) as here, agent(here.ws, introduce=False) as one:
        response = await one.beat()
        assert is_now(response.pop("timestamp"))
        assert isinstance(response.pop("message"), str)
        assert response == {
            "type": "heartbeat_response",
            "status": "error",
            "shouldReconnect": True,
        }
        assert (await one.closed())[0] == 1011


async def test_connection_check() -> None:
    async with running(SHORT) as here, agents(here.ws, "a-1") as [one]:
        await one.beat()
        check = await one.recv()
        assert is_now(check.pop("timestamp"))
        assert check == {
            "type": "connection_check",
            "client_name": "a-1",
            "expect_response_within": 30_000,
        }


async def test_terminate_app_has_an_id_of_its_own_for_every_agent_and_request() -> None:
    async with running() as here, agents(here.ws, "a-1", "a-2") as both:
        ids = set()
        for _ in range(2):
            for one in both:
                waiting = asyncio.create_task(
                    here.server.fleet.terminate(one.agent_id, timeout=0.05)
                )
                order = await one.recv()
                assert UUID.fullmatch(order["request_id"])
                ids.add(order.pop("request_id"))
                assert order == {"type": "terminate_app", "reason": "Server shutting down"}
                assert (await waiting).outcome == "timed_out"
        assert len(ids) == 4


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "The server is shutting down. Please reconnect in a moment."),
        ("ko", "서버가 종료됩니다. 잠시 후 재연결을 시도해주세요."),
    ],
)
async def test_server_shutdown(language: str, sentence: str) -> None:
    settings = {
        "shutdown": {"notice": 0.05, "reconnect_window": 4, "intent": "restart"},
        "log": {"language": language},
    }
    async with running(settings) as here, agents(here.ws, *"abcd") as four:
        await here.server.drain()
        slots = []
        for one in four:
            await one.closed()
            [message] = one.kept
            assert is_now(message.pop("timestamp"))
            slots.append(message.pop("reconnectAfter"))
            assert message == {"type": "server_shutdown", "message": sentence}
        assert all(type(slot) is int and 5_000 <= slot <= 9_000 for slot in slots), slots
        assert len(set(slots)) == 4, "each its own"


async def test_server_shutdown_default_window_is_five_seconds_for_a_small_fleet() -> None:
    settings = {"shutdown": {"notice": 0.05, "intent": "restart"}}
    async with running(settings) as here, agents(here.ws, *map(str, range(20))) as many:
        await here.server.drain()
        slots = []
        for one in many:
            await one.closed()
            slots.append(one.kept[0]["reconnectAfter"])
        assert len(set(slots)) == 20
        assert min(slots) >= 5_000
        assert 9_000 < max(slots) <= 10_000, "spread over all of the window"


@pytest.mark.parametrize(
    ("language", "running_sentence"),
    [("en", "The server is running normally."), ("ko", "서버가 정상 동작 중입니다.")],
)
async def test_server_status_response(language: str, running_sentence: str) -> None:
    async with running({"log": {"language": language}}) as here, agents(here.ws, "a-1") as [one]:
        await one.send("client_status_request", clientName="a-1")
        answer = await one.recv()
        assert is_now(answer.pop("timestamp"))
        uptime = answer.pop("serverUptime")
        assert 0 <= uptime < 60
        assert answer == {
            "type": "server_status_response",
            "serverStatus": "online",
            "clientStatus": "online",
            "message": running_sentence,
        }


async def test_server_status_response_of_a_failure() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        await one.send("client_status_request", clientName="unknown")
        answer = await one.recv()
        assert is_now(answer.pop("timestamp"))
        assert isinstance(answer.pop("message"), str)
        assert answer == {"type": "server_status_response", "serverStatus": "error"}


async def test_server_status_response_in_a_drain_is_shutting_down() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        drain = asyncio.create_task(here.server.drain())
        order = await one.recv_type("terminate_app")
        await one.send("client_status_request", clientName="a-1")
        answer = await one.recv_type("server_status_response")
        assert (answer["serverStatus"], answer["clientStatus"]) == ("shutting_down", "online")
        await one.answer(order)
        await drain


async def test_error_has_a_code_a_message_and_the_type_if_there_was_one() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        await one.send("heartbeat")
        error = await one.recv()
        assert isinstance(error.pop("message"), str)
        assert error == {"type": "error", "code": "missing_field", "request_type": "heartbeat"}
        await one.send_text("{")
        error = await one.recv()
        assert isinstance(error.pop("message"), str)
        assert error == {"type": "error", "code": "bad_json"}
        await one.beat()


async def test_what_is_said_is_text_and_never_compressed_or_fragmented() -> None:
    async with running() as here, upgraded(here.ws) as one:
        await one.say("app_ready", instance_id="a-1")
        opcode, _ = await one.frame()  # which checks the rest
        assert opcode == 1
