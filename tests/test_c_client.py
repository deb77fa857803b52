"""The C client against a server that does what the test wants: what is said, and how it ends."""

import json
import socket
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode

from c_client import EXACT, QUICK, SECONDS, Driver, acquainted, aside, needs_c, scripted
from dscore_agent.labels import faults
from fake_server import FakeServer, Peer, until

pytestmark = needs_c


async def test_introduces_itself_truthfully(c_build: Path) -> None:
    async with FakeServer() as server:
        settings = ('app_config={"labels": {"site": "grün"}}', "token=s3cret")
        agent, peer = await acquainted(c_build, server, *QUICK, *settings)
        with agent:
            said = {"instance_id": "a-1", "config": {"labels": {"site": "grün"}}, "token": "s3cret"}
            usual = {"type": "app_ready", "reconnection": False, "last_close_code": 0}
            assert peer.introduction == {**usual, **said}
            peer.cut()
            again = await server.acquaint()
            usual = {"type": "app_ready", "reconnection": True, "last_close_code": 1006}
            assert again.introduction == {**usual, **said}
            assert server.looks >= 2


LABELS: list[object] = [
    "site",
    {"site": 7, "a=b": "", "": "x", "n" * 64: "", "n" * 63: "é" * 128, "long": "é" * 129, "ok": ""},
    {str(n): "" for n in range(17)},
    {**{str(n): "" for n in range(17)}, "site": None},
    {str(n): "" for n in range(16)},
    None,
]


@pytest.mark.parametrize("labels", LABELS)
def test_labels_that_the_server_would_leave_out_are_named_at_start(
    c_build: Path, labels: object
) -> None:
    """The same words as the Python agent's."""
    config = {"labels": labels}
    with Driver(c_build, f"app_config={json.dumps(config, ensure_ascii=False)}") as agent:
        agent.status()
        assert agent.close() == 0
    said = [line.split("reason=")[1] for line in agent.errors if "label_left_out" in line]
    assert [line.strip("'").removeprefix("app_config: ") for line in said] == faults(config)


async def test_a_heartbeat_response_is_an_ack_too(c_build: Path) -> None:
    async with FakeServer() as server:
        agent = scripted(c_build, server)
        with agent:
            peer = await server.accept()
            await peer.send("heartbeat_response", status="ok", nextHeartbeatIn=30_000)
            await aside(agent.until_state, "ready")


@pytest.mark.slow
async def test_never_acknowledged_it_asks_and_leaves_after_three_heartbeats(c_build: Path) -> None:
    async with FakeServer() as server:
        agent = scripted(c_build, server, *QUICK)
        with agent:
            peer = await server.accept()
            for _ in range(3):
                await peer.recv_type("heartbeat")
            assert await peer.closed() == (1000, "no answer to 3 heartbeats")
            await server.acquaint()
            await aside(agent.until_state, "ready")


async def test_without_health_checks_none_is_sent(c_build: Path) -> None:
    async with FakeServer() as server:
        settings = ("health_check_enabled=false", "health_check_interval_sec=0.01")
        agent, peer = await acquainted(c_build, server, *settings, nextHeartbeatIn=50)
        with agent:
            for _ in range(3):
                await peer.recv_type("heartbeat")
            assert server.looks == 0


async def test_a_server_with_its_own_heartbeat_time_is_obeyed(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, nextHeartbeatIn=50)
        with agent:
            for _ in range(3):
                beat = await peer.recv_type("heartbeat")
                assert beat["clientName"] == "a-1"
                assert beat["timestamp"].endswith("Z")
            await peer.send("heartbeat_response", status="error", shouldReconnect=True)
            assert (await peer.closed())[0] == 1000


class Pinged:
    """Counts the pings that come on a connection."""

    def __init__(self, peer: Peer) -> None:
        self.count = 0
        self._handle = peer.socket.protocol.recv_frame
        peer.socket.protocol.recv_frame = self._count  # type: ignore[method-assign]

    def _count(self, frame: Frame) -> None:
        self.count += frame.opcode is Opcode.PING
        self._handle(frame)


QUIET = ("ping_interval_sec=0.5", "ping_timeout_sec=3.5", "health_check_enabled=false")


async def test_a_heartbeat_that_is_answered_saves_a_ping(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *QUIET, nextHeartbeatIn=1000)
        with agent:
            pinged = Pinged(peer)
            for _ in range(2):
                await peer.recv_type("heartbeat")
                await peer.send("heartbeat_response", status="ok", nextHeartbeatIn=1000)
            assert pinged.count == 0


@pytest.mark.slow
async def test_a_heartbeat_without_an_answer_saves_none(c_build: Path) -> None:
    """There are servers that take heartbeats and say nothing: their pongs are life."""
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *QUIET, nextHeartbeatIn=1000)
        with agent:
            pinged = Pinged(peer)
            await until(lambda: pinged.count > 0, "ping")
            await peer.recv_type("heartbeat")
            assert (await aside(agent.status))["last_close_code"] == 0


async def test_heartbeats_go_out_with_looks_at_the_health_page(c_build: Path) -> None:
    """One waking for both: the first look brings the heartbeat along, though it was due later."""
    async with FakeServer() as server:
        agent, peer = await acquainted(
            c_build, server, "health_check_interval_sec=0.5", nextHeartbeatIn=3_600_000
        )
        with agent:
            await peer.recv_type("heartbeat")


async def test_answers_a_connection_check(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await peer.send("connection_check", client_name="a-1", expect_response_within=30000)
            answer = {"type": "connection_check_response", "client_name": "a-1"}
            assert await peer.recv() == answer


async def test_a_message_that_was_kept_twice_is_heard_once(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            for n in range(3):
                await peer.send("work", message_id="m-1", n=n)
            await peer.send("work", message_id="m-2", n=9)
            await aside(agent.until, "last one", lambda one: one.get("message", {}).get("n") == 9)
            got = [one["message"]["n"] for one in agent.events if one.get("event") == "message"]
            assert got == [0, 9]


async def test_terminated_twice_it_stops_once_and_answers_both(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await aside(agent.do, "handle")
            for request_id in ("r-1", "r-2", "r-1"):
                await peer.send("terminate_app", request_id=request_id, reason="why")
            await aside(agent.until_event, "terminate")
            assert await aside(agent.send, {"type": "work"}) is False
            await aside(agent.tell, "progress eos 2500")
            for request_id in ("r-1", "r-2"):
                said = {"stage": "eos", "need_ms": 2500, "request_id": request_id}
                assert await peer.recv() == {"type": "termination_progress", **said}
            await aside(agent.tell, "finish true done")
            for request_id in ("r-1", "r-2"):
                said = {"status": "OK", "message": "done", "complete": True}
                assert await peer.recv() == {
                    "type": "app_terminated",
                    "request_id": request_id,
                    **said,
                }
            await peer.close(1000, "Client terminated")
            assert (await aside(agent.until_event, "exited"))["code"] == 0
            names = [one.get("event") for one in agent.events]
            assert names.count("terminate") == 1


async def test_a_connection_lost_while_stopping_does_not_save_the_application(
    c_build: Path,
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, *QUICK)
        with agent:
            await aside(agent.do, "handle")
            await peer.send("terminate_app", request_id="r-1", reason="")
            await aside(agent.until_event, "terminate")
            peer.cut()
            await aside(agent.until_status, lambda one: one["last_close_code"] == 1006, "cut")
            await aside(agent.tell, "finish true done")
            assert (await aside(agent.until_event, "exited"))["code"] == 0


async def test_an_answer_on_which_no_server_hangs_up_ends_the_agent_all_the_same(
    c_build: Path,
) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server)
        with agent:
            await peer.send("terminate_app", request_id="r-1", reason="")
            assert (await peer.recv())["status"] == "OK"
            assert (await aside(agent.until_event, "exited"))["code"] == 0


async def test_what_was_accepted_goes_out_before_the_answer(c_build: Path) -> None:
    async with FakeServer() as server:
        agent = scripted(c_build, server)
        with agent:
            peer = await server.accept()
            for n in range(300):
                await aside(agent.tell, f'send {{"type": "work", "n": {n}}}')
            await aside(agent.until_status, lambda one: one["queued"] == 300, "queue")
            await peer.acknowledge()
            await peer.send("terminate_app", request_id="r-1", reason="")
            got = [await peer.recv() for _ in range(301)]
            assert [one["n"] for one in got[:300]] == [*range(300)]
            assert got[300]["type"] == "app_terminated"


async def test_past_the_limit_the_oldest_is_dropped_and_counted(c_build: Path) -> None:
    async with FakeServer() as server:
        agent = scripted(c_build, server, "outbox_limit=2")
        with agent:
            peer = await server.accept()
            for n in range(5):
                assert await aside(agent.send, {"type": "work", "n": n})
            assert (await aside(agent.status))["dropped"] == 3
            await peer.acknowledge()
            assert [(await peer.recv())["n"] for _ in range(2)] == [3, 4]


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"type":1}', "{'type':'a'}", '{"type":"a"', '{"type":"\\ud800"}']
)
async def test_what_is_no_message_is_an_error_for_the_caller(c_build: Path, text: str) -> None:
    async with FakeServer() as server:
        agent, _ = await acquainted(c_build, server)
        with agent:
            await aside(agent.tell, f"send {text}")
            answer = await aside(agent.until, "answer", lambda one: "sent" in one)
            assert answer["sent"] is False
            assert "message" in answer["error"]


async def test_a_message_over_the_limit_is_an_error_for_the_caller(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, _ = await acquainted(c_build, server, "max_message_size=64")
        with agent:
            assert not await aside(agent.send, {"type": "work", "text": "a" * 64})


async def test_eight_threads_may_send_at_once(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, peer = await acquainted(c_build, server, "outbox_limit=1000000")
        with agent:
            await aside(agent.tell, "flood 250")
            seen: dict[int, list[int]] = {}
            for _ in range(2000):
                one = await peer.recv_type("work")
                seen.setdefault(one["thread"], []).append(one["n"])
            assert all(numbers == [*range(250)] for numbers in seen.values())
            assert len(seen) == 8


async def test_stopped_on_its_machine_while_away_it_still_stops_the_application(
    c_build: Path,
) -> None:
    with Driver(c_build, "url=ws://127.0.0.1:1", *EXACT) as agent:
        await aside(agent.until_state, "waiting")
        await aside(agent.do, "handle")
        await aside(agent.tell, "stop SIGTERM")
        assert (await aside(agent.until_event, "terminate"))["local"]
        await aside(agent.tell, "finish true done")
        assert (await aside(agent.until_event, "exited"))["code"] == 0


async def test_a_connected_agent_hears_of_a_shutdown_from_the_health_page(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, _ = await acquainted(c_build, server, "health_check_interval_sec=0.05")
        with agent:
            server.health = {"status": "shutting_down"}
            await aside(agent.until, "news", lambda one: one.get("server_shutting_down"))
            assert not await aside(agent.send, {"type": "work"})
            server.health = {"status": "ok"}
            since = len(agent.lines)
            await aside(
                agent.until,
                "end of it",
                lambda one: one.get("server_shutting_down") is False,
                SECONDS,
                since,
            )


@pytest.mark.parametrize("moment", ["dialling", "upgrade", "introduced", "waiting"])
async def test_closing_at_any_moment_is_quick(c_build: Path, moment: str) -> None:
    async with FakeServer() as server:
        # The kernel takes connections for it, no answer comes; it takes no more once it is full.
        mute = socket.create_server(("127.0.0.1", 0), backlog=1 if moment == "dialling" else 9)
        full = [socket.socket() for _ in range(3 if moment == "dialling" else 0)]
        port = mute.getsockname()[1]
        for one in full:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        url = {"introduced": server.url, "waiting": "ws://127.0.0.1:1"}
        settings = (f"url={url.get(moment, f'ws://127.0.0.1:{port}')}", *EXACT)
        with Driver(c_build, *settings, "health_check_enabled=false") as agent:
            if moment == "introduced":
                peer = await server.acquaint()
            state = {"introduced": "ready", "waiting": "waiting"}.get(moment, "connecting")
            await aside(agent.until_state, state)
            # Longer than a closing handshake takes, shorter than what else it might wait for.
            await aside(agent.tell, "close 9000000")
            assert (await aside(agent.until_event, "closed"))["code"] == 0
            if moment == "introduced":
                assert await peer.closed() == (1001, "agent stopped")
            await aside(agent.close)
        for one in (mute, *full):
            one.close()


async def test_the_block_of_the_contract(c_build: Path) -> None:
    async with FakeServer() as server:
        agent, _ = await acquainted(c_build, server)
        with agent:
            await aside(agent.tell, "log")
            for line in (
                "=== WebSocket State ===",
                "State: 3 (ready)",
                "Reconnect attempts: 0",
                "Last close code: 0 (none)",
                "Server shutting down: false",
                "Last health status: ok",
                "======================",
            ):
                await aside(agent.until_error, line)
