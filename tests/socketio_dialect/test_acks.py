"""Acks of real clients, both ways."""

import asyncio
from typing import Any

import pytest

import dscore
from protocol.support import eventually, running
from socketio_clients import Clients, app_ready
from socketio_dialect.support import Transports, base, each_client, every_library, is_connected


class Answering(dscore.Policy):
    """Returns what the message asks for."""

    def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
        if kind == "broken":
            raise LookupError(kind)
        return message.get("wanted")


class AnsweringLater(dscore.Policy):
    """The same, later."""

    async def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
        await asyncio.sleep(0.01)
        if kind == "broken":
            raise LookupError(kind)
        return message.get("wanted")


@each_client
async def test_messages_of_the_contract_are_acknowledged_with_nothing(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        one = await clients.connect(library, base(here), transports, greeting=[])
        for event, message in [
            ("client_status_request", {"clientName": "a-1"}),
            ("watch", {}),
            ("unwatch", {}),
        ]:
            assert await one.call(event, message) == []
        other = await clients.connect(library, base(here), transports, name="a-1", greeting=[])
        for event, message in [
            ("app_ready", {"instance_id": "a-1"}),
            ("heartbeat", {"clientName": "a-1"}),
            ("connection_check_response", {"client_name": "a-1"}),
            ("reconnection_success", {"clientName": "a-1"}),
            ("app_terminated", {"request_id": "x", "status": "OK", "message": ""}),
            ("termination_progress", {"request_id": "x", "stage": "x", "need_ms": 1}),
            # Refused, and acknowledged as well.
            ("heartbeat", {"clientName": "a-2"}),
        ]:
            assert await other.call(event, message) == []
        assert (await other.message("error"))["code"] == "wrong_id"


@each_client
@pytest.mark.parametrize("policy", [Answering, AnsweringLater])
async def test_what_on_message_returns_is_the_acks_argument(
    clients: Clients, library: str, transports: Transports, policy: type[dscore.Policy]
) -> None:
    async with running(policy=policy()) as here:
        one = await clients.introduce(library, base(here), transports)
        for wanted in ({"saved": 3, "names": ["사람"]}, [1, 2], "text", 0, False, 1.5, ""):
            assert await one.call("note", {"wanted": wanted}) == [wanted]


@every_library
@pytest.mark.parametrize("policy", [Answering, AnsweringLater])
async def test_nothing_returned_is_an_ack_of_nothing(
    clients: Clients, library: str, policy: type[dscore.Policy]
) -> None:
    async with running(policy=policy()) as here:
        one = await clients.introduce(library, base(here))
        assert await one.call("note", {}) == []
        assert await one.call("broken", {}) == []


@every_library
async def test_without_a_hook_everything_is_acknowledged(clients: Clients, library: str) -> None:
    async with running() as here:
        one = await clients.introduce(library, base(here))
        assert await one.call("note", {}) == []


@every_library
async def test_a_hundred_acks_find_their_events(clients: Clients, library: str) -> None:
    async with running(policy=AnsweringLater()) as here:
        one = await clients.introduce(library, base(here))
        answers = await asyncio.gather(*(one.call("note", {"wanted": n}) for n in range(100)))
        assert answers == [[n] for n in range(100)]


@each_client
async def test_a_request_gets_the_clients_ack(
    clients: Clients, library: str, transports: Transports
) -> None:
    taken = {"taken": True, "names": ["사람"]}
    async with running() as here:
        one = await clients.introduce(
            library, base(here), transports, listen=["snapshot"], answers={"snapshot": taken}
        )
        known = here.server.fleet.agent("b-1")
        assert known is not None
        assert await known.request("snapshot", {"quality": 80}) == taken
        assert await one.message("snapshot") == {"quality": 80}
        answers = await asyncio.gather(*(known.request("snapshot", {"n": n}) for n in range(20)))
        assert answers == [taken] * 20


@every_library
async def test_a_request_may_be_made_from_a_hook(clients: Clients, library: str) -> None:
    answers: list[object] = []

    class Asking(dscore.Policy):
        async def on_connect(self, agent: dscore.Agent) -> None:
            answers.append(await agent.request("who", {}))

    async with running(policy=Asking()) as here:
        await clients.introduce(
            library, base(here), listen=["who"], answers={"who": {"model": "Jetson"}}
        )

        async def answered() -> bool:
            return answers == [{"model": "Jetson"}]

        await eventually(answered)


@each_client
async def test_a_request_that_the_client_does_not_outlive_fails(
    clients: Clients, library: str, transports: Transports
) -> None:
    async with running() as here:
        # It listens and never acknowledges; python-socketio always does, so it does not listen.
        listen = [] if library == "python" else ["snapshot"]
        greeting = app_ready("b-1")
        one = await clients.introduce(
            library, base(here), transports, listen=listen, greeting=greeting
        )
        known = here.server.fleet.agent("b-1")
        assert known is not None
        if library != "python":
            request = asyncio.create_task(known.request("snapshot", {}))
            await one.message("snapshot")
            await one.disconnect()
            with pytest.raises(dscore.NotConnectedError):
                await asyncio.wait_for(request, 10)
        else:
            await one.disconnect()

        async def gone() -> bool:
            return not await is_connected(here, "b-1")

        await eventually(gone)
        with pytest.raises(dscore.NotConnectedError):
            await known.request("snapshot", {})
