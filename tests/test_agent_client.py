"""The agent against a server that does what the test wants: the contract's checklist and more."""

import asyncio
import contextlib
import dataclasses
import os
import socket
import threading
import time
from typing import Any

import psutil
import pytest

from dscore_agent import (
    Agent,
    AgentConfig,
    Exit,
    ReconnectPolicy,
    State,
    Status,
    TerminateAnswer,
    TerminateRequest,
    conversation,
)
from dscore_agent.termination import MAX_REQUESTS
from fake_server import SECONDS, FakeServer, Peer, until

REAL_WAITS = ReconnectPolicy(jitter=False)


class Running:
    """An agent and its exit code."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.run = asyncio.ensure_future(agent.run())

    async def exit_code(self) -> int:
        return await asyncio.wait_for(self.run, SECONDS)

    async def __aenter__(self) -> "Running":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.agent.close()
        await self.exit_code()


def start(config: AgentConfig, **hooks: Any) -> Running:
    return Running(Agent(config, **hooks))


async def waiting(running: Running) -> Status:
    """The agent's status once it waits for its next attempt."""
    await until(lambda: running.agent.state is State.WAITING, "wait")
    return running.agent.status


@pytest.mark.parametrize(
    ("code", "reason", "seconds"),
    [
        (1001, "Server shutting down gracefully", 5),
        (1001, "Server shutdown timeout", 5),
        (1013, "Server shutting down", 10),
        (1013, "Server temporarily unavailable", 10),
        (1000, "", 1),
        (1002, "", 1),
        (1008, "authentication timeout", 1),
        (1011, "heartbeat timeout", 1),
        (4000, "", 1),
        (4409, "taken over", 300),
        (1008, "authentication failed", 300),
    ],
)
async def test_reconnect_7_the_delay_for_each_close_code(
    code: int, reason: str, seconds: float
) -> None:
    async with FakeServer() as server, start(server.config(reconnect=REAL_WAITS)) as one:
        await (await server.acquaint()).close(code, reason)
        status = await waiting(one)
        assert (status.retry_in, status.last_close_code, status.last_close_reason) == (
            seconds,
            code,
            reason,
        )
        assert status.server_shutting_down is (code in (1001, 1013))


async def test_a_cut_connection_counts_as_1006() -> None:
    async with FakeServer() as server, start(server.config(reconnect=REAL_WAITS)) as one:
        (await server.acquaint()).cut()
        status = await waiting(one)
        assert (status.retry_in, status.last_close_code) == (1, 1006)


async def test_reconnect_7_does_not_come_back_after_a_final_close() -> None:
    async with FakeServer() as server, start(server.config()) as one:
        await (await server.acquaint()).close(1000, "Client terminated")
        assert await one.exit_code() == Exit.STOPPED
        assert one.agent.state is State.CLOSED


async def test_reconnect_7_the_server_s_hint_wins() -> None:
    async with FakeServer() as server, start(server.config(reconnect=REAL_WAITS)) as one:
        peer = await server.acquaint()
        await peer.send("server_shutdown", message="", timestamp="", reconnectAfter=7250)
        await peer.close(1001, "Server shutting down gracefully")
        assert (await waiting(one)).retry_in == 7.25


@pytest.mark.parametrize("hint", ["soon", None, -1, True, 1e400])
async def test_a_hint_that_is_no_duration_is_ignored(hint: object) -> None:
    async with FakeServer() as server, start(server.config(reconnect=REAL_WAITS)) as one:
        peer = await server.acquaint()
        await peer.send("server_shutdown", reconnectAfter=hint)
        await peer.close(1001)
        assert (await waiting(one)).retry_in == 5


async def test_health_shutting_down_keeps_an_agent_away() -> None:
    async with FakeServer() as server:
        server.health = {"status": "shutting_down"}
        async with start(server.config(reconnect=REAL_WAITS)) as one:
            status = await waiting(one)
            assert (status.retry_in, status.health) == (10, "shutting_down")
            assert status.server_shutting_down
            assert not one.agent.send({"type": "work"})


async def test_health_that_does_not_answer_in_time_is_server_not_ready() -> None:
    async with FakeServer() as server:
        server.health = None
        config = server.config(reconnect=REAL_WAITS, health_check_timeout=0.05)
        async with start(config) as one:
            status = await waiting(one)
            assert (status.retry_in, status.health) == (1, "unreachable")
            assert not status.server_shutting_down


async def test_an_attempt_without_a_server_waits_longer_each_time() -> None:
    config = AgentConfig(url="ws://127.0.0.1:1", reconnect=ReconnectPolicy(base=0.01, jitter=False))
    seen = []
    async with start(config, on_state=lambda status: seen.append(status.retry_in)):
        await until(lambda: len([one for one in seen if one]) >= 4, "attempts")
    assert [one for one in seen if one][:4] == [0.01, 0.02, 0.04, 0.08]


async def test_without_health_checks_none_is_sent() -> None:
    async with FakeServer() as server:
        async with start(server.config(health_check_enabled=False)):
            await server.acquaint()
        assert server.looks == 0


async def test_introduces_itself_truthfully() -> None:
    async with FakeServer() as server:
        config = server.config(token="s3cret", app_config={"site": "north"})
        async with start(config) as one:
            peer = await server.acquaint()
            assert peer.introduction == {
                "type": "app_ready",
                "instance_id": "a-1",
                "reconnection": False,
                "last_close_code": 0,
                "config": {"site": "north"},
                "token": "s3cret",
            }
            await peer.close(1001)
            again = (await server.acquaint()).introduction
            assert (again["reconnection"], again["last_close_code"]) == (True, 1001)
            await until(lambda: one.agent.state is State.READY, "ack")
            assert one.agent.status.session_restored


async def test_who_was_never_acknowledged_is_no_reconnection() -> None:
    async with FakeServer() as server, start(server.config()):
        await (await server.accept()).close(1013, "Server shutting down")
        again = (await server.acquaint()).introduction
        assert (again["reconnection"], again["last_close_code"]) == (False, 1013)


async def test_heartbeats_come_when_the_server_wants_them() -> None:
    async with FakeServer() as server, start(server.config()):
        peer = await server.acquaint(nextHeartbeatIn=50)
        began = time.monotonic()
        beat = await peer.recv()
        assert (beat["type"], beat["clientName"]) == ("heartbeat", "a-1")
        assert beat["timestamp"].endswith("Z")
        assert time.monotonic() - began >= 0.04
        await peer.send("heartbeat_response", status="ok", nextHeartbeatIn=60_000)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(peer.socket.recv(), 0.2)


async def test_a_heartbeat_response_is_an_ack_too() -> None:
    async with FakeServer() as server, start(server.config()) as one:
        peer = await server.accept()
        await peer.recv_type("app_ready")
        await peer.send("heartbeat_response", status="ok", nextHeartbeatIn=60_000)
        await until(lambda: one.agent.state is State.READY, "ack")


async def test_without_an_ack_a_heartbeat_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    # Servers of the DeepStream contract acknowledge no first introduction (`compat.app_ready_ack`).
    monkeypatch.setattr(conversation, "ACK_SECONDS", 0.02)
    async with FakeServer() as server, start(server.config()) as one:
        peer = await server.accept()
        assert (await peer.recv())["type"] == "app_ready"
        for _ in range(2):
            assert (await peer.recv())["type"] == "heartbeat"
        assert one.agent.state is State.INTRODUCING
        await peer.send("heartbeat_response", status="ok", nextHeartbeatIn=60_000)
        await until(lambda: one.agent.state is State.READY, "ack")


async def test_a_failed_heartbeat_that_wants_a_reconnect_gets_one() -> None:
    async with FakeServer() as server, start(server.config()):
        peer = await server.acquaint()
        await peer.send("heartbeat_response", status="error", shouldReconnect=True)
        assert await peer.closed() == (1000, "heartbeat failed")
        assert (await server.acquaint()).introduction["reconnection"]


async def test_answers_a_connection_check() -> None:
    async with FakeServer() as server, start(server.config()):
        peer = await server.acquaint()
        await peer.send("connection_check", client_name="a-1", expect_response_within=30000)
        assert await peer.recv() == {"type": "connection_check_response", "client_name": "a-1"}


async def test_nonsense_from_the_server_leaves_no_trace() -> None:
    seen: list[dict[str, Any]] = []
    async with FakeServer() as server, start(server.config(), on_message=seen.append):
        peer = await server.acquaint()
        for text in ("", "{", "[]", '{"type": 1}', '{"no": "type"}', '{"type": "terminate_app"}'):
            await peer.socket.send(text)
        await peer.send("app_ready_ack", nextHeartbeatIn="never")
        await peer.send("work", n=1)
        await until(lambda: seen, "message")
    assert seen == [{"type": "work", "n": 1}]


async def answer_to(peer: Peer, request_id: str = "r-1") -> dict[str, Any]:
    await peer.send("terminate_app", request_id=request_id, reason="Server shutting down")
    answer = await peer.recv_type("app_terminated")
    return {name: answer[name] for name in ("request_id", "status", "message", "complete")}


async def test_terminate_app_stops_the_application_and_the_agent() -> None:
    asked: list[TerminateRequest] = []
    async with FakeServer() as server, start(server.config(), on_terminate=asked.append) as one:
        peer = await server.acquaint()
        assert await answer_to(peer) == {
            "request_id": "r-1",
            "status": "OK",
            "message": "Application terminated gracefully",
            "complete": True,
        }
        await peer.close(1000, "Client terminated")
        assert await one.exit_code() == Exit.STOPPED
    assert (asked[0].reason, asked[0].request_id) == ("Server shutting down", "r-1")
    assert asked[0].deadline == pytest.approx(time.monotonic() + 10, abs=2)


async def refuse_ok(_: TerminateRequest) -> TerminateAnswer:
    return TerminateAnswer("ERROR", "filesink0 hangs")


async def crash(_: TerminateRequest) -> None:
    raise RuntimeError("no such pipeline")


async def cancelled(_: TerminateRequest) -> None:
    worker = asyncio.ensure_future(asyncio.sleep(SECONDS))
    worker.cancel()
    await worker


def leave(_: TerminateRequest) -> None:
    raise SystemExit(0)


async def fail_on_a_file(request: TerminateRequest) -> TerminateAnswer:
    name = b"rec\xff.mp4".decode(errors="surrogateescape")
    await request.progress(f"closing {name}", 100)
    return TerminateAnswer("ERROR", f"cannot close {name}")


@pytest.mark.parametrize(
    ("hook", "status", "message"),
    [
        (None, "OK", "Application terminated gracefully"),
        (lambda _: True, "OK", "Application terminated gracefully"),
        (lambda _: False, "ERROR", "the application answered False"),
        (refuse_ok, "ERROR", "filesink0 hangs"),
        (lambda request: refuse_ok(request), "ERROR", "filesink0 hangs"),
        (crash, "ERROR", "no such pipeline"),
        (cancelled, "ERROR", "the hook was cancelled"),
        (leave, "ERROR", "the hook raised SystemExit(0)"),
        (fail_on_a_file, "ERROR", "cannot close rec?.mp4"),
    ],
)
async def test_the_hook_decides_the_answer(hook: Any, status: str, message: str) -> None:
    async with FakeServer() as server, start(server.config(), on_terminate=hook) as one:
        peer = await server.acquaint()
        assert await answer_to(peer) == {
            "request_id": "r-1",
            "status": status,
            "message": message,
            "complete": True,
        }
        if status == "OK":
            await peer.close(1000, "Client terminated")
        assert await one.exit_code() == (Exit.STOPPED if status == "OK" else Exit.FORCED)


async def test_stopped_without_reaching_the_end_is_ok_and_a_code_of_its_own() -> None:
    async def stop(_: TerminateRequest) -> TerminateAnswer:
        return TerminateAnswer(message="no index", complete=False)

    async with FakeServer() as server, start(server.config(), on_terminate=stop) as one:
        peer = await server.acquaint()
        answer = await answer_to(peer)
        assert (answer["status"], answer["complete"]) == ("OK", False)
        await peer.close(1000, "Client terminated")
        assert await one.exit_code() == Exit.INCOMPLETE == 5


@pytest.mark.parametrize("blocking", [False, True])
async def test_an_application_that_hangs_is_left_by_force_and_said_so(blocking: bool) -> None:
    released = threading.Event()

    def block(_: TerminateRequest) -> None:
        released.wait(SECONDS)

    async def hang(_: TerminateRequest) -> None:
        # It takes no notice of being cancelled.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(SECONDS)
        await asyncio.to_thread(released.wait, SECONDS)

    async with FakeServer() as server:
        config = server.config(graceful_shutdown_timeout=0.1)
        async with start(config, on_terminate=block if blocking else hang) as one:
            answer = await answer_to(await server.acquaint())
            assert answer["status"] == "ERROR"
            assert "did not stop in time" in answer["message"]
            assert await one.exit_code() == Exit.FORCED
        released.set()


async def test_progress_reaches_the_server_while_the_application_stops() -> None:
    async def stop(request: TerminateRequest) -> None:
        await request.progress("eos", 1500)

    async with FakeServer() as server, start(server.config(), on_terminate=stop):
        peer = await server.acquaint()
        await peer.send("terminate_app", request_id="r-1", reason="")
        assert await peer.recv() == {
            "type": "termination_progress",
            "request_id": "r-1",
            "stage": "eos",
            "need_ms": 1500,
        }
        assert (await peer.recv())["type"] == "app_terminated"


async def test_a_flood_of_requests_is_answered_within_measure() -> None:
    go_on = asyncio.Event()

    async def stop(_: TerminateRequest) -> None:
        await go_on.wait()

    async with FakeServer() as server, start(server.config(), on_terminate=stop):
        peer = await server.acquaint()
        await peer.send("terminate_app", request_id="x" * 100_000, reason="")
        for n in range(2 * MAX_REQUESTS):
            await peer.send("terminate_app", request_id=f"r-{n}", reason="x" * 1000)
        await peer.send("connection_check")
        await peer.recv_type("connection_check_response")
        go_on.set()
        answers = [await peer.recv() for _ in range(MAX_REQUESTS)]
        assert [one["request_id"] for one in answers] == [f"r-{n}" for n in range(MAX_REQUESTS)]
        # It leaves all the same, and nothing more was said.
        await peer.close(1000, "Client terminated")


WRONG = [None, True, -1, 0, 1e308, 2**63, "x" * 1000, [], {"a": []}]


async def test_wrong_types_in_every_field_leave_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    fields = {
        "app_ready_ack": ("status", "session_restored", "server_status", "nextHeartbeatIn"),
        "reconnection_ack": ("status", "session_restored", "server_status"),
        "heartbeat_response": ("status", "message", "nextHeartbeatIn"),
        "connection_check": ("client_name", "timestamp", "expect_response_within"),
        "server_shutdown": ("message", "timestamp", "reconnectAfter"),
        "error": ("code", "message", "request_type"),
    }
    seen: list[dict[str, Any]] = []
    async with FakeServer() as server, start(server.config(), on_message=seen.append) as one:
        peer = await server.acquaint()
        for type_name, names in fields.items():
            for name in names:
                for value in WRONG:
                    await peer.send(type_name, **{name: value})
        for _ in range(3 * len(WRONG)):
            # A full queue of the fake server would hold up the close.
            await peer.recv_type("connection_check_response")
        await peer.send("terminate_app", request_id=None, reason=[])
        await peer.socket.send("[" * 1_000_000)
        await peer.send("work", n=1)
        await until(lambda: {"type": "work", "n": 1} in seen, "message")
        assert (one.agent.state, one.agent.is_terminating) == (State.READY, False)
    assert max(len(record.getMessage()) for record in caplog.records) < 3000


async def test_terminated_twice_it_stops_once_and_answers_both() -> None:
    asked = []
    go_on = asyncio.Event()

    async def stop(request: TerminateRequest) -> None:
        asked.append(request.request_id)
        await go_on.wait()

    async with FakeServer() as server, start(server.config(), on_terminate=stop):
        peer = await server.acquaint()
        for request_id in ("r-1", "r-2", "r-1"):
            await peer.send("terminate_app", request_id=request_id, reason="")
        await peer.send("connection_check")
        await peer.recv_type("connection_check_response")
        go_on.set()
        answers = [await peer.recv_type("app_terminated") for _ in range(2)]
        assert [one["request_id"] for one in answers] == ["r-1", "r-2"]
    assert asked == ["r-1"]


async def test_a_connection_lost_while_stopping_does_not_save_the_application() -> None:
    go_on = asyncio.Event()

    async def stop(_: TerminateRequest) -> None:
        await go_on.wait()

    async with FakeServer() as server, start(server.config(), on_terminate=stop) as one:
        peer = await server.acquaint()
        await peer.send("terminate_app", request_id="r-1", reason="")
        await until(lambda: one.agent.state is State.TERMINATING, "termination")
        peer.cut()
        await until(lambda: one.agent.status.last_close_code == 1006, "cut")
        go_on.set()
        assert await one.exit_code() == Exit.STOPPED


async def test_stopped_on_its_machine_while_away_it_still_stops_the_application() -> None:
    asked: list[TerminateRequest] = []
    config = AgentConfig(url="ws://127.0.0.1:1", reconnect=REAL_WAITS)
    async with start(config, on_terminate=asked.append) as one:
        await waiting(one)
        await asyncio.to_thread(one.agent.stop, "SIGTERM")
        assert await one.exit_code() == Exit.STOPPED
    assert (asked[0].reason, asked[0].request_id) == ("SIGTERM", None)


async def test_new_work_is_refused_while_the_server_leaves_control_messages_are_not() -> None:
    heard: list[bool] = []
    async with FakeServer() as server:
        hook = heard.append
        async with start(
            server.config(), on_state=lambda status: hook(status.server_shutting_down)
        ) as one:
            peer = await server.acquaint()
            await until(lambda: one.agent.state is State.READY, "ack")
            await peer.send("server_shutdown", reconnectAfter=10)
            await until(lambda: heard and heard[-1], "hook")
            assert not one.agent.send({"type": "work"})
            assert one.agent.send({"type": "app_terminated", "request_id": "r-1", "status": "OK"})
            assert (await peer.recv_type("app_terminated"))["request_id"] == "r-1"
            await peer.close(1001)
            await server.acquaint()
            await until(lambda: not heard[-1], "hook")
            assert one.agent.send({"type": "work"})


async def test_a_connected_agent_hears_of_a_shutdown_from_the_health_page() -> None:
    async with FakeServer() as server, start(server.config(health_check_interval=0.02)) as one:
        await server.acquaint()
        await until(lambda: one.agent.state is State.READY, "ack")
        server.health = {"status": "ok", "websocket": {"is_shutting_down": True}}
        await until(lambda: one.agent.status.server_shutting_down, "shutdown")
        assert one.agent.status.health == "shutting_down"
        server.health = {"status": "ok"}
        await until(lambda: not one.agent.status.server_shutting_down, "recovery")


async def test_what_was_sent_while_away_arrives_after_the_ack_in_order() -> None:
    async with FakeServer() as server:
        agent = Agent(server.config(outbox_limit=3))
        assert all(agent.send({"type": "work", "n": n}) for n in range(5))
        assert (agent.status.queued, agent.status.dropped) == (3, 2)
        async with Running(agent):
            peer = await server.accept()
            await peer.recv_type("app_ready")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(peer.socket.recv(), 0.05)
            await peer.send("app_ready_ack")
            assert [(await peer.recv())["n"] for _ in range(3)] == [2, 3, 4]


async def test_what_was_accepted_goes_out_before_the_answer_to_terminate_app() -> None:
    async with FakeServer() as server:
        agent = Agent(server.config())
        async with Running(agent):
            peer = await server.acquaint()
            await until(lambda: agent.state is State.READY, "ack")
            # Behind it in the same turn of the agent's loop.
            for n in range(100):
                agent.send({"type": "work", "n": n})
            agent.stop()
            assert [(await peer.recv())["n"] for _ in range(100)] == list(range(100))
            assert not agent.send({"type": "work"})


async def test_threads_may_send_at_once() -> None:
    async with FakeServer() as server:
        agent = Agent(server.config())

        def work(thread: int) -> None:
            for n in range(200):
                assert agent.send({"type": "work", "thread": thread, "n": n})

        async with Running(agent):
            peer = await server.acquaint()
            threads = [threading.Thread(target=work, args=(each,)) for each in range(4)]
            for thread in threads:
                thread.start()
            arrived = [await peer.recv() for _ in range(800)]
            for thread in threads:
                await asyncio.to_thread(thread.join)
        for each in range(4):
            assert [m["n"] for m in arrived if m["thread"] == each] == list(range(200))


@pytest.mark.parametrize(
    "message", [None, [], {}, {"type": 1}, {"type": "x", "data": object()}, {"type": "x" * 2000}]
)
async def test_what_is_no_message_is_an_error_for_the_caller(message: Any) -> None:
    agent = Agent(AgentConfig(max_message_size=1000))
    with pytest.raises(ValueError, match="a message"):
        agent.send(message)


async def test_a_closed_agent_takes_nothing() -> None:
    async with FakeServer() as server:
        async with start(server.config()) as one:
            await server.acquaint()
        assert not one.agent.send({"type": "work"})
        assert not one.agent.send({"type": "heartbeat", "clientName": "a-1"})
        one.agent.stop()


async def test_hooks_hear_everything_in_order_whatever_they_are() -> None:
    states: list[State] = []
    messages: list[int] = []

    async def on_state(status: Status) -> None:
        states.append(status.state)

    def on_message(message: dict[str, Any]) -> None:
        time.sleep(0.001)
        messages.append(message["n"])

    async with (
        FakeServer() as server,
        start(server.config(), on_state=on_state, on_message=on_message),
    ):
        peer = await server.acquaint()
        for n in range(20):
            await peer.send("work", n=n)
        await until(lambda: len(messages) == 20, "messages")
    assert messages == list(range(20))
    assert states == [State.CONNECTING, State.INTRODUCING, State.READY, State.CLOSED]


async def test_a_blocking_hook_costs_no_heartbeat() -> None:
    released = threading.Event()
    async with (
        FakeServer() as server,
        start(server.config(), on_message=lambda _: released.wait(SECONDS)),
    ):
        peer = await server.acquaint(nextHeartbeatIn=50)
        await peer.send("work")
        for _ in range(3):
            assert (await peer.recv())["type"] == "heartbeat"
        released.set()


async def test_a_hook_that_fails_is_logged_and_called_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls = []

    def on_message(message: dict[str, Any]) -> None:
        calls.append(message)
        raise RuntimeError("not mine")

    async with FakeServer() as server, start(server.config(), on_message=on_message):
        peer = await server.acquaint()
        await peer.send("work")
        await peer.send("work")
        await until(lambda: len(calls) == 2, "calls")
    assert "not mine" in caplog.text


@pytest.mark.timed
async def test_a_hook_may_close_the_agent() -> None:
    async with FakeServer() as server:
        agent = Agent(server.config())

        async def on_message(_: dict[str, Any]) -> None:
            await agent.close()

        agent._on_message = on_message
        running = Running(agent)
        await (await server.acquaint()).send("work")
        began = time.monotonic()
        assert await running.exit_code() == Exit.STOPPED
        assert time.monotonic() - began < 1.5


@pytest.mark.timed
@pytest.mark.parametrize("moment", ["dialling", "upgrade", "introduced", "waiting"])
async def test_closing_at_any_moment_is_quick_and_leaves_no_socket(moment: str) -> None:
    before = sockets()
    async with FakeServer() as server:
        # The kernel takes connections for it, no answer comes; it takes no more once it is full.
        mute = socket.create_server(("127.0.0.1", 0), backlog=1 if moment == "dialling" else 9)
        port = mute.getsockname()[1]
        full = [socket.socket() for _ in range(3 if moment == "dialling" else 0)]
        for one in full:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        config = {
            "dialling": AgentConfig(url=f"ws://127.0.0.1:{port}", health_check_enabled=False),
            "upgrade": AgentConfig(url=f"ws://127.0.0.1:{port}", health_check_enabled=False),
            "introduced": server.config(),
            "waiting": AgentConfig(url="ws://127.0.0.1:1", reconnect=REAL_WAITS),
        }[moment]
        agent = Agent(config)
        await agent.start()
        if moment == "introduced":
            peer = await server.acquaint()
        elif moment == "waiting":
            await until(lambda: agent.state is State.WAITING, "wait")
        else:
            await until(lambda: len(client_sockets(port)) > len(full), "socket")
            await until(lambda: client_sockets(port)[-1] == moment, f"socket in its {moment}")
            assert agent.state is State.CONNECTING
        began = time.monotonic()
        await agent.close()
        assert time.monotonic() - began < 1.0
        if moment == "introduced":
            assert await peer.closed() == (1001, "agent stopped")
        for one in (mute, *full):
            one.close()
    await until(lambda: sockets() <= before, "closed sockets")


async def test_200_reconnects_leave_no_thread_and_no_descriptor() -> None:
    async with FakeServer() as server:
        quick = ReconnectPolicy(base=0.0, restart_delay=0.0, shutdown_delay=0.0, shutdown_step=0.0)
        async with start(server.config(reconnect=quick)) as one:
            peer = await server.acquaint()
            descriptors, before = len(os.listdir("/proc/self/fd")), own_threads()
            for n in range(200):
                if n % 3 == 0:
                    peer.cut()
                elif n % 3 == 1:
                    await peer.close(1001, "Server shutting down gracefully")
                else:
                    await peer.close(1013, "Server shutting down")
                peer = await server.acquaint()
            await until(lambda: one.agent.state is State.READY, "ack")
            await until(
                lambda: len(os.listdir("/proc/self/fd")) <= descriptors, "closed descriptors"
            )
            # Addresses are looked up in a thread that is gone a moment later.
            await until(lambda: own_threads() == before - {"dscore-agent-dns"}, "threads that end")


async def test_an_agent_starts_only_once() -> None:
    agent = Agent(dataclasses.replace(AgentConfig(), url="ws://127.0.0.1:1"))
    with pytest.raises(RuntimeError, match="not started"):
        await agent.wait()
    with pytest.raises(RuntimeError, match="not started"):
        agent.stop()
    await agent.close()
    await agent.start()
    with pytest.raises(RuntimeError, match="only once"):
        await agent.start()
    await agent.close()


def client_sockets(port: int) -> list[str]:
    """How far each connection of this process to a port has come, the newest last."""
    every = psutil.Process().net_connections("tcp")
    mine = [one for one in every if one.raddr and one.raddr.port == port]
    mine.sort(key=lambda one: one.fd)
    return ["dialling" if one.status == psutil.CONN_SYN_SENT else "upgrade" for one in mine]


def own_threads() -> set[str]:
    """Names of all threads but those of asyncio's pool, which looks up addresses."""
    names = {thread.name for thread in threading.enumerate()}
    return {name for name in names if not name.startswith("asyncio_")}


def sockets() -> int:
    """Sockets that this process has open."""
    links = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            links.append(os.readlink(f"/proc/self/fd/{name}"))
    return sum(link.startswith("socket:") for link in links)
