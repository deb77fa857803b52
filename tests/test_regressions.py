"""What went wrong once, or could be made to from the network."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable

import pytest

import fake_core
from dscore.http.health import SAMPLE_SECONDS, SystemSampler
from dscore.messages import Refusal, parse
from dscore.messages.inbound import MAX_CONFIG
from dscore.policy import Candidate, Policy
from dscore.server.log_limit import LINES_A_SECOND
from dscore.server.watchers import WINDOW
from fake_core import introduction, message
from faked import FakeServer, eventually, running
from serving import Serving


async def watched_fleet(server: FakeServer, agents: int) -> None:
    for conn in range(1, agents + 1):
        ready = introduction(conn, "app_ready", instance_id=f"a{conn}")
        server.pool.push(fake_core.Opened(conn), ready)
    await server.happen()
    await server.watch(9_999)


async def test_a_watcher_that_asks_on_and_on_gets_one_snapshot_for_a_turn_of_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Each of its messages, forty bytes long, held the loop for as long as a snapshot takes.
    monkeypatch.setattr("dscore.server.loop.TURN_NS", 60_000_000_000)  # All of them are of one.
    async with running() as server:
        await watched_fleet(server, 10)
        server.pool.push(*(message(9_999, "watch", snapshot=True) for _ in range(100)))
        await server.happen()
        assert len(server.told(9_999)) == 10


async def test_a_snapshot_that_was_asked_for_anew_ends_the_one_that_waits_for_room() -> None:
    # It waited for ever: the room was only told to its successor.
    async with running() as server:
        await watched_fleet(server, 2 * WINDOW)
        server.pool.deaf.add(9_999)
        for _ in range(3):
            await server.happen(message(9_999, "watch", snapshot=True))
        assert len(server.told(9_999)) == WINDOW
        server.pool.deaf.clear()
        await server.happen(fake_core.Drained(9_999))
        await eventually(lambda: len(server.told(9_999)) == 3 * WINDOW)


def test_without_a_free_descriptor_the_last_sample_of_the_machine_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # New connections had taken the last descriptor, and the health document was a 500.
    def no_descriptor(interval: float | None) -> float:
        raise OSError(24, "Too many open files", "/proc/stat")

    now = [0.0]
    sampler = SystemSampler(clock=lambda: now[0])
    before = sampler.sample()
    monkeypatch.setattr("dscore.http.health.psutil.cpu_percent", no_descriptor)
    now[0] += SAMPLE_SECONDS
    assert sampler.sample() == before


async def test_answers_that_no_request_waits_for_do_not_fill_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One agent wrote 16 MB of log a second.
    async with running() as server:
        await server.introduce(1, "a")
        now = [server.pool.now_ms()]
        monkeypatch.setattr(server.pool, "now_ms", lambda: now[0])
        answer = message(1, "app_terminated", request_id="unknown", status="OK")
        await server.happen(*[answer] * 500)
        now[0] += 1000
        await server.happen(answer)
    lines = [one.message for one in caplog.records if one.message.startswith("unmatched_answer")]
    assert len(lines) == LINES_A_SECOND + 1
    assert f"too_many_lines conn_id=1 lines={500 - LINES_A_SECOND}" in caplog.text


async def test_how_much_was_left_out_is_told_though_no_other_line_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Only the next line of a later second told it, and after the last flood there is none.
    async with running({"monitoring": {"process_check_interval": 0.05}}) as server:
        await server.introduce(1, "a")
        answer = message(1, "app_terminated", request_id="unknown", status="OK")
        await server.happen(*[answer] * 500)
        await eventually(lambda: "too_many_lines conn_id=1" in caplog.text)


def test_a_config_that_is_kept_of_every_agent_is_bounded() -> None:
    # A thousand new ids with a megabyte each were a gigabyte, for as long as sessions last.
    config = {"x": "y" * MAX_CONFIG}
    ready = {"type": "app_ready", "instance_id": "a", "config": config}
    with pytest.raises(Refusal, match=r"config is longer than 65536 bytes") as refused:
        parse("app_ready", json.dumps(ready).encode())
    assert refused.value.code == "bad_field"


async def test_a_connection_has_one_watch_looked_at_at_a_time() -> None:
    # Each was a task of its own for as long as authenticate took.
    class Slow(Policy):
        async def authenticate(self, candidate: Candidate) -> bool:
            if candidate.role == "operator":
                await asyncio.Event().wait()
            return True

    async with running(policy=Slow()) as server:
        await server.introduce(1, "a")
        await eventually(lambda: not server._tasks)
        await server.happen(*[message(1, "watch")] * 5)
        assert len(server._tasks) == 1
        assert len(server.pool.named("refuse")) == 4


def test_answers_that_wait_are_sent_before_a_connection_moves_to_the_reactor_of_its_session(
    serve: Callable[..., Serving],
) -> None:
    # They were dropped; over TLS the record that was begun took a reactor down.
    serving = serve("--reactors", "2")
    requests = b"OPTIONS /deepstream/ws HTTP/1.1\r\nHost: localhost\r\n\r\n" * 560
    opening = "/socket.io/?EIO=4&transport=polling"
    # Connections take turns between the reactors: one of the two is in the other than its session.
    for _ in range(2):
        session = json.loads(serving.get(opening)[1][1:])["sid"]
        with socket.socket() as one:
            one.settimeout(30)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
            one.connect((serving.host, serving.port))
            # All of them are to be read in one go.
            os.kill(serving.pid, signal.SIGSTOP)
            try:
                poll = f"GET {opening}&sid={session} HTTP/1.1\r\nHost: localhost\r\n\r\n"
                one.sendall(requests + poll.encode())
            finally:
                os.kill(serving.pid, signal.SIGCONT)
            answers = b""
            while answers.count(b"HTTP/1.1 ") < 560:
                part = one.recv(65536)
                assert part, answers[-200:]
                answers += part
