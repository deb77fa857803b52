"""What is sent to agents of either dialect: messages, attachments, broadcasts."""

import json

import pytest

from dscore.errors import NotConnectedError
from dscore.server import Agent
from fake_core import Closed, introduction
from faked import FakeServer, running


async def agents(server: FakeServer) -> tuple[Agent, Agent]:
    """One of each dialect: on connection 1 raw, on 2 Socket.IO."""
    await server.introduce(1, "raw")
    await server.join(2)
    await server.happen(introduction(2, "app_ready", instance_id="sio"))
    raw, sio = server.fleet.agent("raw"), server.fleet.agent("sio")
    assert raw is not None
    assert sio is not None
    assert (raw.dialect, sio.dialect) == ("raw", "socketio")
    return raw, sio


async def test_a_message_is_the_same_in_either_dialect() -> None:
    async with running() as server:
        for agent in await agents(server):
            assert agent.send({"type": "go", "n": 1})
        assert server.told(1, "go") == server.told(2, "go") == [{"type": "go", "n": 1}]


async def test_bytes_go_as_attachments_over_socketio() -> None:
    async with running() as server:
        _, sio = await agents(server)
        assert sio.send({"type": "picture", "jpeg": b"\xff", "more": [b"\xfe"]})
        placeholders = [{"_placeholder": True, "num": number} for number in (0, 1)]
        event = ["picture", {"jpeg": placeholders[0], "more": [placeholders[1]]}]
        sent = [(2, event, "/", None, [b"\xff", b"\xfe"])]
        assert server.pool.named("send_event") == sent


async def test_bytes_are_none_of_the_raw_dialect() -> None:
    async with running() as server:
        raw, _ = await agents(server)
        before = list(server.pool.commands)
        with pytest.raises(ValueError, match="agent 'raw' speaks the raw dialect"):
            raw.send({"type": "picture", "jpeg": b"\xff"})
        assert server.pool.commands == before


async def test_bytes_never_wait_in_an_outbox() -> None:
    async with running() as server:
        _, sio = await agents(server)
        await server.happen(Closed(2))
        with pytest.raises(NotConnectedError):
            sio.send({"type": "picture", "jpeg": b"\xff"})
        assert sio.undelivered == 0
        assert sio.send({"type": "go"}) is False
        assert sio.undelivered == 1


async def test_another_namespace_is_for_socketio_while_it_is_connected() -> None:
    async with running() as server:
        raw, sio = await agents(server)
        assert sio.send({"type": "go", "n": 1}, namespace="/x")
        assert sio.send(b'{"type": "go", "n": 2}', namespace="/x")
        assert server.pool.named("send_event") == [
            (2, ["go", {"n": 1}], "/x", None, []),
            (2, ["go", {"n": 2}], "/x", None, []),
        ]
        with pytest.raises(ValueError, match="namespaces"):
            raw.send({"type": "go"}, namespace="/x")


@pytest.mark.parametrize("message", [{}, {"type": 7}, {"type": "x", "a": {1}}])
async def test_what_is_no_message_is_an_error(message: dict[str, object]) -> None:
    async with running() as server:
        for agent in await agents(server):
            with pytest.raises(ValueError, match="message"):
                agent.send(message)
        with pytest.raises(ValueError, match="message"):
            server.fleet.broadcast(message)


@pytest.mark.parametrize("text", [b"[]", b"{", b'{"type": 1}'])
async def test_text_for_another_namespace_must_be_a_message(text: bytes) -> None:
    async with running() as server:
        _, sio = await agents(server)
        with pytest.raises(ValueError):  # noqa: PT011 -- json's own words differ
            sio.send(text, namespace="/x")


async def test_broadcast_reaches_agents_watchers_or_all() -> None:
    async with running() as server:
        await agents(server)
        await server.watch(3)
        await server.join(4)
        message = {"type": "news"}
        assert server.fleet.broadcast(message) == 2
        assert server.fleet.broadcast(message, to="watchers") == 1
        assert server.fleet.broadcast(json.dumps(message).encode(), to="all") == 4
        assert [sorted(conns) for conns, _ in server.pool.named("send_many")[-3:]] == [
            [1, 2],
            [3],
            [1, 2, 3, 4],
        ]
        with pytest.raises(ValueError, match="no bytes"):
            server.fleet.broadcast({"type": "news", "blob": b""})


async def test_broadcast_to_all_skips_the_unauthenticated_where_tokens_are_required() -> None:
    async with running({"auth": {"required": True, "tokens": ["t"]}}) as server:
        await server.join(1)
        await server.introduce(2, "a", token="t")
        assert server.fleet.broadcast({"type": "news"}, to="all") == 1


async def test_broadcast_to_agents_restores_the_socketio_contract_s_emit() -> None:
    async with running({"monitoring": {"broadcast_to_agents": True}}) as server:
        await server.join(1)
        await server.introduce(2, "a")
        assert [one["name"] for one in server.told(1, "client_status_changed")] == ["a"]
        assert [one["name"] for one in server.told(2, "client_status_changed")] == ["a"]
