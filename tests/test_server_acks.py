"""Requests to agents, and the acks that end them."""

import asyncio
from typing import Any

import pytest

from dscore.errors import (
    ConnectionLostError,
    NoAcksError,
    NotConnectedError,
    RequestError,
    RequestTimeoutError,
    TooManyRequestsError,
    UnknownAgentError,
)
from dscore.server import acks
from fake_core import Closed, Opened, Reply, introduction
from faked import FakeServer, running


async def introduce(server: FakeServer, conn: int = 1, agent_id: str = "a") -> None:
    await server.join(conn)
    await server.happen(introduction(conn, "app_ready", instance_id=agent_id))


async def ask(
    server: FakeServer, *words: Any, agent_id: str = "a", **options: Any
) -> "asyncio.Task[Any]":
    """A request that is on its way."""
    agent = server.fleet.agent(agent_id)
    assert agent is not None
    asked = asyncio.create_task(agent.request(*words, **options))
    await asyncio.sleep(0)
    return asked


def ids(server: FakeServer) -> list[int]:
    return [number for _, _, _, number, _ in server.pool.named("send_event")]


@pytest.mark.parametrize(
    ("data", "argument"), [(b"[]", None), (b'["ok"]', "ok"), (b"[1,2]", [1, 2]), (b"[[1]]", [1])]
)
async def test_what_the_agent_acks_with_is_returned(data: bytes, argument: Any) -> None:
    async with running() as server:
        await introduce(server)
        asked = await ask(server, "shoot", {"quality": 3})
        [(conn, event, namespace, number, attachments)] = server.pool.named("send_event")
        assert (conn, event, namespace) == (1, ["shoot", {"quality": 3}], "/")
        assert attachments == []
        await server.happen(Reply(1, number, "/", data))
        assert await asked == argument
        assert server.core_stats()["requests_waiting"] == 0


async def test_a_message_is_no_name_of_an_event() -> None:
    async with running() as server:
        await introduce(server)
        with pytest.raises(TypeError, match="the event is its name"):
            await (await ask(server, {"type": "shoot"}))
        assert server.pool.named("send_event") == []


async def test_bytes_go_both_ways() -> None:
    async with running() as server:
        await introduce(server)
        asked = await ask(server, "store", [b"\x00"])
        [(_, event, _, number, attachments)] = server.pool.named("send_event")
        assert event == ["store", [{"_placeholder": True, "num": 0}]]
        assert attachments == [b"\x00"]
        answer = b'[{"jpeg":{"_placeholder":true,"num":0}}]'
        await server.happen(Reply(1, number, "/", answer, [b"\xff"]))
        assert await asked == {"jpeg": b"\xff"}


async def test_each_request_has_an_id_of_its_own_and_its_own_answer() -> None:
    async with running() as server:
        await introduce(server, 1, "a")
        await introduce(server, 2, "b")
        asked = [await ask(server, "x", agent_id=agent_id) for agent_id in ("a", "a", "b")]
        numbers = ids(server)
        assert len(set(numbers)) == 3
        for conn, number in zip((2, 1, 1), reversed(numbers), strict=True):
            await server.happen(Reply(conn, number, "/", b"[%d]" % number))
        assert await asyncio.gather(*asked) == numbers


async def test_unknown_repeated_and_foreign_acks_are_counted_and_dropped() -> None:
    async with running() as server:
        await introduce(server, 1, "a")
        await introduce(server, 2, "b")
        asked = await ask(server, "x")
        [number] = ids(server)
        await server.happen(
            Reply(1, number + 1, "/", b"[]"),
            Reply(2, number, "/", b"[]"),
            Reply(1, number, "/other", b"[]"),
            Reply(1, number, "/", b"[1]"),
            Reply(1, number, "/", b"[2]"),
        )
        assert await asked == 1
        await server.happen(Reply(1, number, "/", b"[3]"))
        assert server.core_stats()["stray_replies_total"] == 5


async def test_a_request_ends_in_time() -> None:
    async with running() as server:
        await introduce(server)
        asked = await ask(server, "x", timeout=0.01)
        with pytest.raises(RequestTimeoutError) as late:
            await asked
        assert isinstance(late.value, TimeoutError)
        assert late.value.agent_id == "a"
        await server.happen(Reply(1, ids(server)[0], "/", b"[]"))
        assert server.core_stats()["stray_replies_total"] == 1


async def test_a_request_ends_with_its_connection() -> None:
    async with running() as server:
        await introduce(server)
        asked = await ask(server, "x")
        await server.happen(Closed(1))
        with pytest.raises(ConnectionLostError):
            await asked
        assert server.core_stats()["requests_waiting"] == 0


async def test_a_request_ends_with_a_takeover_in_the_other_dialect() -> None:
    async with running() as server:
        await introduce(server)
        asked = await ask(server, "x")
        await server.introduce(2, "a")
        assert server.pool.closes(1) == [(4409, "taken over")]
        with pytest.raises(ConnectionLostError):
            await asked
        agent = server.fleet.agent("a")
        assert agent is not None
        assert agent.dialect == "raw"
        with pytest.raises(NoAcksError, match="raw dialect"):
            await agent.request("x")


async def test_a_caller_that_gives_up_is_forgotten() -> None:
    async with running() as server:
        await introduce(server)
        asked = await ask(server, "x")
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert server.core_stats()["requests_waiting"] == 0


async def test_an_agent_that_is_away_or_unknown_cannot_be_asked() -> None:
    async with running() as server:
        await introduce(server)
        await server.happen(Closed(1))
        with pytest.raises(NotConnectedError):
            await (await ask(server, "x"))
        with pytest.raises(UnknownAgentError):
            await server.fleet.request("unknown", "x")


async def test_what_is_no_json_is_an_error_and_nothing_waits() -> None:
    async with running() as server:
        await introduce(server)
        with pytest.raises(ValueError, match="JSON"):
            await (await ask(server, "x", {1}))
        assert server.core_stats()["requests_waiting"] == 0


@pytest.mark.parametrize(
    ("data", "attachments"), [(b"[", []), (b'[{"_placeholder":true,"num":1}]', [b"x"])]
)
async def test_an_ack_that_cannot_be_read_is_an_error(
    data: bytes, attachments: list[bytes]
) -> None:
    async with running() as server:
        await introduce(server)
        asked = await ask(server, "x")
        await server.happen(Reply(1, ids(server)[0], "/", data, attachments))
        with pytest.raises(RequestError, match="cannot be read"):
            await asked


async def test_waiting_requests_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acks, "MAX_WAITING", 2)
    async with running() as server:
        await introduce(server)
        waiting = [await ask(server, "x") for _ in range(2)]
        with pytest.raises(TooManyRequestsError):
            await (await ask(server, "x"))
        await server.happen(Closed(1))
        for asked in waiting:
            with pytest.raises(ConnectionLostError):
                await asked


async def test_nothing_hangs_when_the_server_is_closed() -> None:
    async with running() as server:
        await server.happen(Opened(1, endpoint="socketio"))
        await server.happen(introduction(1, "app_ready", instance_id="a"))
        asked = await ask(server, "x")
    with pytest.raises(ConnectionLostError):
        await asked
