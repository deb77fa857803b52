"""PROTOCOL.md §7: what is kept for agents that are away, and what is known of their heartbeats."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import dscore
from protocol.support import UUID, Running, agents, eventually, running
from wire import agent

LAST = 199
"""Number of the last of so many messages that no socket takes them all."""


async def gone(here: Running, agent_id: str = "a-1") -> None:
    async def is_away() -> bool:
        known = here.server.fleet.agent(agent_id)
        return known is not None and not known.connected

    await eventually(is_away)


async def left(here: Running) -> dscore.Agent:
    async with agent(here.ws, "a-1"):
        pass
    await gone(here)
    known = here.server.fleet.agent("a-1")
    assert known is not None
    return known


@pytest.mark.parametrize("form", ["object", "text"])
async def test_kept_messages_get_an_id_unless_they_have_one(form: str) -> None:
    async with running() as here:
        away = await left(here)
        for n, more in enumerate(({}, {"message_id": None}, {"message_id": "mine"})):
            message: Any = {"type": "note", "n": n, **more}
            await away.send_kept(message if form == "object" else spaced(message))
        async with agent(here.ws, "a-1", reconnection=True) as one:
            notes = [await one.recv_type("note") for _ in range(3)]
        assert [note["n"] for note in notes] == [0, 1, 2]
        first, second, third = (note["message_id"] for note in notes)
        assert UUID.fullmatch(first)
        assert UUID.fullmatch(second)
        assert first != second
        assert third == "mine"


def spaced(message: dict[str, Any]) -> bytes:
    return f"  {json.dumps(message)}\n".encode()


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"type":7}', b'{"type":"a"', b"\xff"])
async def test_what_is_no_message_is_not_kept(text: bytes) -> None:
    async with running() as here:
        away = await left(here)
        with pytest.raises(ValueError, match="message is an object"):
            await away.send_kept(text)
        assert away.undelivered == 0


async def test_delivered_true_promises_the_socket_and_is_left_as_it_is() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        known = here.server.fleet.agent("a-1")
        assert known is not None
        assert await known.send_kept({"type": "note"}) is True
        assert await one.recv_type("note") == {"type": "note"}


async def test_a_connection_that_ends_before_it_took_them_loses_no_messages() -> None:
    """A peer that does not read, and goes: what was on its way to it waits for the next one."""
    settings = {"limits": {"outbox_bytes": 64 << 20}, "session": {"outbox_limit": 1000}}
    async with running(settings) as here:
        away = await left(here)
        for n in range(LAST + 1):
            away.send({"type": "note", "n": n, "padding": "x" * 200_000})
        assert away.undelivered == LAST + 1
        async with agent(here.ws, "a-1", reconnection=True) as one:
            one.socket.transport.pause_reading()
            one.socket.transport.abort()
        await gone(here)
        async with agent(here.ws, "a-1", reconnection=True) as one:
            numbers = []
            while not numbers or numbers[-1] != LAST:
                numbers.append((await one.recv_type("note"))["n"])
        assert numbers == list(range(numbers[0], LAST + 1))


async def test_an_outbox_takes_all_of_outbox_bytes_and_is_handed_out_in_order() -> None:
    async with running({"limits": {"outbox_bytes": 65_536}}) as here:
        away = await left(here)
        for n in range(50):
            away.send({"type": "note", "n": n, "padding": "x" * 4_000})
        assert 14 <= away.undelivered <= 16
        assert away.dropped == 50 - away.undelivered
        first = 50 - away.undelivered
        async with agent(here.ws, "a-1", reconnection=True) as one:
            away.send({"type": "note", "n": 50})
            numbers = [(await one.recv_type("note"))["n"] for _ in range(first, 51)]
            assert numbers == list(range(first, 51))

        async def is_settled() -> bool:
            return here.server.core_stats()["undelivered_messages"] == 0

        await eventually(is_settled)


async def test_where_nothing_may_wait_nothing_is_said_to_wait() -> None:
    async with running({"session": {"outbox_limit": 0}}) as here:
        away = await left(here)
        with pytest.raises(dscore.NotConnectedError):
            away.send({"type": "note"})
        with pytest.raises(dscore.NotConnectedError):
            await away.send_kept({"type": "note"})


async def test_drops_are_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with running({"session": {"outbox_limit": 2}}) as here:
        away = await left(here)
        for n in range(5):
            away.send({"type": "note", "n": n})
        assert here.server.core_stats()["outbox_dropped_total"] == 3
        assert away.dropped == 3
        [line] = [one for one in caplog.messages if "outbox_dropped" in one]
        assert "agent_id=a-1" in line


async def test_outboxes_of_all_agents_together_are_bounded_the_oldest_go_first() -> None:
    settings = {"limits": {"absent_bytes": 1 << 20}, "session": {"outbox_limit": 1000}}
    async with running(settings) as here:
        async with agents(here.ws, "a-1", "a-2", "a-3"):
            pass
        known = []
        for name in ("a-1", "a-2", "a-3"):
            await gone(here, name)
            one = here.server.fleet.agent(name)
            assert one is not None
            known.append(one)
        for n in range(150):
            known[n % 3].send({"type": "note", "n": n, "padding": "x" * 10_000})
        stats = here.server.core_stats()
        assert stats["undelivered_bytes"] <= 1 << 20
        assert 95 <= stats["undelivered_messages"] <= 104
        assert stats["outbox_dropped_total"] == 150 - stats["undelivered_messages"]
        assert max(one.undelivered for one in known) - min(one.undelivered for one in known) <= 1
        async with agent(here.ws, "a-3", reconnection=True) as back:
            assert (await back.recv_type("note"))["n"] > 40


async def test_configs_of_absent_agents_are_bounded_the_oldest_go_first() -> None:
    async with running({"limits": {"absent_bytes": 1 << 20}}) as here:
        config = {"filler": "x" * 60_000, "labels": {"site": "busan"}}
        for n in range(30):
            async with agent(here.ws, f"a-{n}", config=config):
                pass
            await gone(here, f"a-{n}")
        with_config = [one.id for one in here.server.fleet.agents() if one.config is not None]
        assert with_config == [f"a-{n}" for n in range(30 - len(with_config), 30)]
        assert 16 <= len(with_config) <= 17
        assert here.server.core_stats()["configs_dropped_total"] == 30 - len(with_config)
        async with agent(here.ws, "a-0", reconnection=True, config=config):
            known = here.server.fleet.agent("a-0")
            assert known is not None
            assert known.config == config


@pytest.mark.parametrize(
    "path", ["/api/v1/agents/a-1", "/api/v1/agents", "/api/v1/agents/a-1/events"]
)
async def test_heartbeats_are_read_when_they_are_asked_for(path: str) -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        for _ in range(3):
            await one.beat()
            answer = await here.pages.get(path)
            document = answer.json()
            known = document.get("agent") or document.get("items", [document])[0]
            assert known["last_heartbeat"] is not None
            assert "never sent a heartbeat" not in (document.get("sentence") or "")
            health = (await here.pages.get("/deepstream/health")).json()
            assert known["last_heartbeat"] <= health["timestamp"]
            previous = known["last_heartbeat"]
            await asyncio.sleep(0.01)
        await one.beat()
        assert (await here.details("a-1"))["last_heartbeat"] > previous


async def test_a_heartbeat_is_known_though_another_connection_took_over() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        await one.beat()
        async with agents(here.ws, "a-1"):
            await one.closed()

            async def is_known() -> bool:
                return (await here.details("a-1"))["last_heartbeat"] is not None

            await eventually(is_known)


@pytest.mark.parametrize("end", ["close", "restart", "terminate"])
async def test_heartbeats_outlive_an_orderly_restart(tmp_path: Path, end: str) -> None:
    path = str(tmp_path / "dscore.db")
    settings = {"shutdown": {"notice": 0.05, "close_timeout": 0.05, "timeout": 0.1}}
    store = dscore.open_store(path)
    async with running(settings, store=store) as here, agents(here.ws, "a-1") as [one]:
        await one.beat()
        # It answers neither the closing handshake nor terminate_app.
        one.socket.transport.pause_reading()
        if end != "close":
            await here.server.drain(intent=end)
        await here.server.close()
        one.socket.transport.abort()
    quick = {"monitoring": {"reconnection_grace_period": 0.1, "heartbeat_grace_period": 0.1}}
    async with running(quick, store=dscore.open_store(path)) as here:

        async def is_offline() -> bool:
            return bool((await here.details("a-1"))["status"] == "offline")

        await eventually(is_offline)
        known = await here.details("a-1")
        assert known["last_heartbeat"] is not None
        assert known["reason_code"] == "reconnect_timeout"
