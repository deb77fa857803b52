"""The Python agent against a server that says what it likes, as test_c_client_hostile."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent_program import ALONE, Program
from c_client import aside
from dscore_agent import Agent, log, weight
from dscore_agent.health import Health
from dscore_agent.log import LineLimit, Log
from fake_server import FakeServer, Peer
from test_agent_health import asked
from test_agent_identity import said
from test_c_client_hostile import NONSENSE
from waiting import wait_until


@asynccontextmanager
async def acquainted(directory: Path, server: FakeServer) -> AsyncIterator[tuple[Program, Peer]]:
    """The agent's program, acknowledged."""
    words = ("--url", server.url, "--instance-id", "a-1")
    program = Program(directory / "log", *words, module=ALONE)
    try:
        peer = await server.acquaint()
        await aside(program.said, "connected")
        yield program, peer
    finally:
        program.close()


def peak_bytes(program: Program) -> int:
    """The most memory that it ever had."""
    status = Path(f"/proc/{program.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


async def test_nonsense_from_the_server_leaves_no_trace() -> None:
    heard: list[dict[str, Any]] = []
    async with FakeServer() as server:
        agent = Agent(server.config(), on_message=heard.append)
        await agent.start()
        peer = await server.acquaint()
        for text in NONSENSE:
            await peer.socket.send(text)
        await peer.send("work", n=1)
        await aside(wait_until, lambda: any(one["type"] == "work" for one in heard), "work")
        assert agent.status.last_close_code == 0
        await agent.close()


async def test_a_flood_of_nonsense_does_not_fill_a_disk(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeServer() as server:
        agent = Agent(server.config())
        await agent.start()
        peer = await server.acquaint()
        for text in ("nonsense", '{"type":"error"}', '{"type":"terminate_app"}'):
            for _ in range(1000):
                await peer.socket.send(text)
        await peer.send("connection_check", client_name="a-1", expect_response_within=30_000)
        await peer.recv_type("connection_check_response")
        lines = [one for one in caplog.messages if one.startswith("message_")]
        # Fifty in ten seconds, even where it takes thirty to read it all.
        assert 50 <= len(lines) <= 200
        await agent.close()


def test_how_many_lines_were_left_out_is_said_with_the_first_one_that_is_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(log.time, "monotonic", lambda: now)
    caplog.set_level(logging.INFO)
    limit = LineLimit(Log("dscore.agent"), "the server causes too many")
    for number in range(60):
        limit.info("knock", number=number)
    assert len(caplog.messages) == 50
    now += log.LIMIT_SECONDS
    limit.warning("knock", number=60)
    # The C client's words: log.c.
    words = "lines_left_out count=10 reason='the server causes too many'"
    assert caplog.messages[50:] == [words, "knock number=60"]


@pytest.mark.parametrize("part", ["{},", '{"a":0},', "[],", "0,", '"\\"[",'])
async def test_few_bytes_do_not_become_much_memory(tmp_path: Path, part: str) -> None:
    async with FakeServer() as server, acquainted(tmp_path, server) as (agent, peer):
        await peer.socket.send('{"type":"x","a":[' + part * (9_000_000 // len(part)) + "0]}")
        reason = (await aside(agent.said, "message_ignored"))["reason"]
        assert reason == "a message must be JSON: too many values"
        # The text itself, a few times: its fragments, and without its escapes.
        assert peak_bytes(agent) < 130e6


async def test_what_waits_for_a_hook_that_hangs_is_bounded_in_memory(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = False
    async with FakeServer() as server:
        agent = Agent(server.config(), on_message=lambda _: wait_until(lambda: over, "the end"))
        await agent.start()
        peer = await server.acquaint()
        for _ in range(10):
            await peer.socket.send('{"type":"x","a":[' + "[]," * 100_000 + "0]}")
        await aside(wait_until, lambda: said(caplog, "hook_call_lost"), "hook_call_lost")
        over = True
        await agent.close()


TEXTS = [
    '{"type":"x"}',
    '{"a": [1, 2, {"b": []}], "c": "[{,", "d": {}}',
    '["a\\\\", "b\\"[", "c\\\\\\"{,"]',
    "[" * 60 + "]" * 60,
    json.dumps([{"a": n, "b": [], "c": {}, "d": "x,y[z]{" * 9} for n in range(9000)], indent=None),
    json.dumps({"text": ',[{"' * 400_000}),
    "nonsense",
    '"',
    "",
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_the_estimate_counts_values_and_not_what_looks_like_them(text: str) -> None:
    def exact(value: object) -> int:
        if isinstance(value, dict):
            return 400 + sum(map(exact, value.values()))
        return 400 + sum(map(exact, value)) if isinstance(value, list) else 128

    data = text.encode().replace(b", ", b",")
    try:
        wanted = exact(orjson.loads(data))
    except orjson.JSONDecodeError:
        wanted = 128
    estimate = weight.weight(data)
    # Light ones are not looked at closely, and each piece of a heavy one may cut one value in two.
    pieces = len(data) // (256 * 1024) + 1
    assert wanted - 128 * pieces <= estimate <= max(wanted + 128 * pieces, 1024 * 1024)


async def test_a_health_page_of_too_many_values_is_none() -> None:
    page = b'{"status":"ok","x":[' + b"{}," * 1_000_000 + b"0]}"
    assert await asked(b"HTTP/1.1 200 OK\r\n\r\n", page, seconds=30.0) is Health.UNREACHABLE
