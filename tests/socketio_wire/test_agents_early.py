"""PROTOCOL.md §2 and §6: events before the introduction wait for it, and leaving "/" ends nothing
else. Whatever carries them, packet by packet."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

import dscore
from protocol.support import eventually, running, settled
from socketio_wire.agents import PATH, SocketioWire, agent, each_carrier
from socketio_wire.support import Here, Session
from wire import DEADLINE_SECONDS
from wire import agent as raw_agent

PLACEHOLDER = '{"_placeholder":true,"num":0}'


class Listening(dscore.Policy):
    """Remembers what it hears, and answers with how much that is."""

    namespaces = ("/chat",)

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> Any:
        self.heard.append((kind, message))
        return {"seen": len(self.heard)}

    def on_namespace_message(
        self, agent: dscore.Agent, namespace: str, kind: str, message: dict[str, Any]
    ) -> Any:
        self.heard.append((namespace, message))
        return {"seen": len(self.heard)}

    @property
    def numbers(self) -> list[int]:
        return [message["n"] for _, message in self.heard]


def notes(count: int, first: int = 0) -> list[str]:
    return [f'42["note",{{"n":{n}}}]' for n in range(first, first + count)]


async def join_chat(one: SocketioWire) -> None:
    await one.packet("40/chat,")
    while not str(await one._packet(DEADLINE_SECONDS)).startswith("40/chat,"):
        pass


@asynccontextmanager
async def older(here: Any, transport: str) -> AsyncIterator[SocketioWire]:
    """A client of Engine.IO 3, in "/" from the beginning."""
    there = Here(here.port, PATH, None)
    if transport == "polling":
        session = await there.open(eio=3)
        one = SocketioWire(session, "b-1")
        yield one
        await session.post("1:1")
    else:
        async with there.socket(eio=3) as socket:
            yield SocketioWire(socket, "b-1")


@each_carrier
async def test_2_events_before_the_introduction_are_handled_and_acked_after_it(
    carrier: str,
) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier, introduce="") as one:
        binary = "b/wA=" if carrier == "polling" else b"\xff\x00"
        await one.packet(*notes(10))
        await one.packet('427["asked",{"n":10}]')
        await one.packet(f'451-8["picture",{{"n":11,"data":{PLACEHOLDER}}}]', binary)
        await settled(one)
        assert (one.kept, one.acks, policy.heard) == ([], {}, [])
        await one.beat()
        await settled(one)
        assert policy.numbers == list(range(12))
        assert policy.heard[-1] == ("picture", {"type": "picture", "n": 11, "data": b"\xff\x00"})
        assert one.acks == {7: [{"seen": 11}], 8: [{"seen": 12}]}
        assert one.kept == []


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_2_the_same_over_engine_io_3(transport: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here, older(here, transport) as one:
        packets = [*notes(12), '42["heartbeat",{"clientName":"b-1"}]', *notes(3, 12)]
        if isinstance(one.carrier, Session):
            await one.carrier.say(*packets)
        else:
            await one.packet(*packets)

        async def are_heard() -> bool:
            return policy.numbers == list(range(15))

        await eventually(are_heard)
        assert here.server.fleet.connected_ids() == ["b-1"]


@each_carrier
async def test_2_other_namespaces_wait_in_the_same_order(carrier: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier, introduce="") as one:
        await one.packet("40/chat,", '42/chat,["note",{"n":0}]', *notes(1, 1))
        await one.packet('42/chat,["note",{"n":2}]')
        while not str(await one._packet(10)).startswith("40/chat,"):
            pass
        await one.beat()
        await settled(one)
        assert policy.numbers == [0, 1, 2]
        assert [where for where, _ in policy.heard] == ["/chat", "note", "/chat"]


@each_carrier
async def test_2_more_than_32_events_are_not_introduced_and_count(carrier: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier, introduce="") as one:
        await one.packet(*notes(34))
        for _ in range(2):
            error = await one.recv()
            assert (error["code"], error["request_type"]) == ("not_introduced", "note")
        await one.beat()
        await settled(one)
        assert policy.numbers == list(range(32))
        assert here.server.core_stats()["errors_total"] == 2


@each_carrier
async def test_2_more_than_64_kib_of_events_are_not_introduced_and_count(carrier: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier, introduce="") as one:
        long = "x" * 16_000
        for n in range(6):
            await one.packet(f'42["note",{{"n":{n},"text":"{long}"}}]')
        for _ in range(2):
            assert (await one.recv())["code"] == "not_introduced"
        await one.beat()
        await settled(one)
        assert policy.numbers == [0, 1, 2, 3]


@each_carrier
async def test_2_past_the_room_for_them_the_tenth_error_still_ends_it(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="") as one:
        await one.packet(*notes(42))
        await one.closes(1008, "too many errors", sent_away=False)
        assert [message["code"] for message in one.kept] == ["not_introduced"] * 10


@each_carrier
async def test_2_what_waits_is_counted_as_input_and_let_go_with_the_connection(
    carrier: str,
) -> None:
    policy = Listening()
    async with running(policy=policy) as here:
        held = here.server.core_stats()["input_bytes"]
        async with agent(here, carrier, introduce="") as one:
            await one.packet(f'42["note",{{"n":0,"text":"{"x" * 50_000}"}}]')
            await settled(one)

            async def is_counted() -> bool:
                return here.server.core_stats()["input_bytes"] >= held + 50_000

            await eventually(is_counted)
            await one.packet("1")

            async def is_let_go() -> bool:
                return here.server.core_stats()["input_bytes"] < held + 50_000

            await eventually(is_let_go)
        assert policy.heard == []


@each_carrier
async def test_2_what_waits_goes_on_waiting_while_an_introduction_is_judged(carrier: str) -> None:
    class Slow(Listening):
        def __init__(self) -> None:
            super().__init__()
            self.asked = asyncio.Event()
            self.verdict = asyncio.Event()

        async def authenticate(self, candidate: dscore.Candidate) -> bool:
            self.asked.set()
            await self.verdict.wait()
            return candidate.agent_id == "b-1"

    policy = Slow()
    async with running(policy=policy) as here, agent(here, carrier, introduce="") as one:
        await one.packet(*notes(3))
        # What comes while it is judged stands behind it; a POST is answered once it is dealt with.
        sent = asyncio.create_task(
            one.packet('42["heartbeat",{"clientName":"b-1"}]', '423["note",{"n":3}]')
        )
        await policy.asked.wait()
        assert policy.heard == []
        policy.verdict.set()
        await sent
        assert (await one.recv())["type"] == "heartbeat_response"
        await settled(one)
        assert policy.numbers == [0, 1, 2, 3]
        assert one.acks == {3: [{"seen": 4}]}


@each_carrier
async def test_2_what_waits_for_an_introduction_that_is_refused_is_not_handled(
    carrier: str,
) -> None:
    class Strict(Listening):
        def authenticate(self, candidate: dscore.Candidate) -> bool:
            return False

    policy = Strict()
    async with running(policy=policy) as here, agent(here, carrier, introduce="") as one:
        await one.packet(*notes(3))
        await one.send("app_ready", instance_id="b-1")
        await one.closes(1008, "authentication failed", sent_away=True)
        assert (policy.heard, one.kept, one.acks) == ([], [], {})


@each_carrier
async def test_2_a_faulty_introduction_leaves_it_waiting_for_the_next(carrier: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier, introduce="") as one:
        await one.packet(*notes(3))
        await one.send("app_ready")
        assert (await one.recv())["code"] == "missing_field"
        assert policy.heard == []
        await one.beat()
        await settled(one)
        assert policy.numbers == [0, 1, 2]


@each_carrier
async def test_2_what_a_watcher_buffered_is_refused_and_ends_nothing(carrier: str) -> None:
    async with running() as here, agent(here, carrier, introduce="") as page:
        await page.packet(*notes(20))
        await page.send("watch")
        for _ in range(20):
            assert (await page.recv())["code"] == "not_introduced"
        async with raw_agent(here.ws, "a-1"):
            assert (await page.recv_type("client_status_changed"))["id"] == "a-1"


@each_carrier
async def test_2_heartbeats_buffered_before_a_token_end_nothing(carrier: str) -> None:
    tokens = {"auth": {"required": True, "tokens": ["secret"], "operator_tokens": ["operator"]}}
    async with running(tokens) as here, agent(here, carrier, introduce="") as one:
        await one.packet(*['42["heartbeat",{"clientName":"b-1"}]'] * 20)
        for _ in range(20):
            assert (await one.recv())["code"] == "not_introduced"
        await one.introduce(token="secret")
        await one.beat()


@each_carrier
async def test_6_a_client_that_leaves_the_main_namespace_keeps_the_others(carrier: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier) as one:
        await one.packet("40/chat,")
        await one.packet("41")
        await one.packet('42/chat,5["note",{"n":1}]')
        answers: list[str] = []
        while not answers or not answers[-1].startswith("43/chat,5"):
            answers.append(str(await one._packet(10)))
        assert json.loads(answers[-1].removeprefix("43/chat,5")) == [{"seen": 1}]
        assert here.server.fleet.connected_ids() == ["b-1"]
        await one.join()
        await one.beat()
        await one.packet("41/chat,")
        await one.beat()


@each_carrier
async def test_6_what_is_sent_to_a_client_that_has_left_waits_for_it_to_join_again(
    carrier: str,
) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier) as one:
        await join_chat(one)
        await one.packet("41", '42/chat,["note",{"n":1}]')
        known = here.server.fleet.agent("b-1")
        assert known is not None

        async def has_left() -> bool:
            return policy.numbers == [1]

        await eventually(has_left)
        assert known.send({"type": "news", "n": 1}) is False
        assert await known.send_kept({"type": "news", "n": 2}) is False
        assert known.undelivered == 2
        with pytest.raises(dscore.NotConnectedError):
            known.send({"type": "news", "data": b"1"})
        with pytest.raises(dscore.NotConnectedError):
            await known.request("ask")
        ended = await asyncio.wait_for(known.terminate(timeout=600), DEADLINE_SECONDS)
        assert (ended.outcome, ended.message) == ("failed", "the agent has left its namespace")
        await one.join()
        assert [(await one.recv_type("news"))["n"] for _ in range(2)] == [1, 2]

        async def has_it_all() -> bool:
            return known.undelivered == 0 and known.send({"type": "news", "n": 3})

        await eventually(has_it_all)
        await one.recv_type("news")
        await one.beat()


@each_carrier
async def test_6_leaving_ends_what_waits_for_an_answer_there(carrier: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier) as one:
        await join_chat(one)
        known = here.server.fleet.agent("b-1")
        assert known is not None
        termination = asyncio.ensure_future(known.terminate(timeout=600))
        request = asyncio.ensure_future(known.request("ask", timeout=600))
        elsewhere = asyncio.ensure_future(known.request("ask", namespace="/chat", timeout=600))
        await one.recv_type("terminate_app")
        await one.packet("41")
        assert (await asyncio.wait_for(termination, DEADLINE_SECONDS)).outcome == "vanished"
        with pytest.raises(dscore.NotConnectedError):
            await asyncio.wait_for(request, DEADLINE_SECONDS)
        assert not elsewhere.done()
        elsewhere.cancel()
        assert here.server.fleet.connected_ids() == ["b-1"]


@each_carrier
async def test_6_one_that_leaves_its_last_namespace_has_left(carrier: str) -> None:
    policy = Listening()
    async with running(policy=policy) as here, agent(here, carrier) as one:
        await one.packet("40/chat,", "41", "41/chat,")
        with suppress(ConnectionClosed):
            while True:
                await one._packet(10)

        async def is_gone() -> bool:
            return here.server.fleet.connected_ids() == []

        await eventually(is_gone)
