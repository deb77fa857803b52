"""PROTOCOL.md §5 rule 3: time in which the server did not look counts for no deadline.

The server is a process of its own that is stopped and continued, or its loop is blocked."""

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import uvloop

import dscore
from dscore.policy import Candidate
from protocol.support import Bytes, agents, eventually, frame, introduced, running, upgraded
from serving import Serving
from socketio_wire.support import web, websocket
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]


def environment(**settings: object) -> dict[str, str]:
    """`monitoring__offline_timeout=1` as the server reads it."""
    return {f"DSCORE_{name.upper()}": str(value) for name, value in settings.items()}


def stopped_for(server: Serving, seconds: float) -> None:
    """Stops the process, lets time pass, and continues it."""
    os.kill(server.pid, signal.SIGSTOP)
    wait_until(lambda: _state(server.pid) == "T" or None, "stopped process")
    time.sleep(seconds)
    os.kill(server.pid, signal.SIGCONT)


def block(seconds: float) -> None:
    """Holds the loop up."""
    time.sleep(seconds)


def on_the_loop_of_serve(story: Coroutine[Any, Any, None]) -> None:
    """Which looks at its timers first, and at its sockets then."""
    loop = uvloop.new_event_loop()
    loop.run_until_complete(story)
    loop.close()


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def details(server: Serving, agent_id: str) -> dict[str, Any]:
    status, body = server.get(f"/api/v1/agents/{agent_id}")
    assert status == 200, body
    document: dict[str, Any] = json.loads(body)
    return document


def metric(server: Serving, name: str) -> float:
    text = server.get("/metrics")[1].decode()
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, f"no {name} in:\n{text}"
    return float(found[1])


async def fleet(stack: AsyncExitStack, server: Serving, size: int) -> list[Bytes]:
    """So many agents, introduced at once: none is silent for long before the test begins."""
    ones = (stack.enter_async_context(introduced(server.ws, f"a-{n}")) for n in range(size))
    return await asyncio.gather(*ones)


async def test_liveness_3_what_lies_unread_behind_a_stop_is_read_before_anyone_is_silent(
    serve: Serve,
) -> None:
    # More sockets than one poll brings; each has beaten while nothing was read.
    server = serve(
        env=environment(
            socket__ping_interval=4,
            socket__ping_timeout=3,
            monitoring__connection_check_interval=4,
            monitoring__health_check_interval=4,
            monitoring__offline_timeout=7,
        )
    )
    async with AsyncExitStack() as stack:
        everyone = await fleet(stack, server, 600)
        for number, one in enumerate(everyone):
            await one.say("heartbeat", clientName=f"a-{number}")
        os.kill(server.pid, signal.SIGSTOP)
        for number, one in enumerate(everyone):
            await one.say("heartbeat", clientName=f"a-{number}")
        await asyncio.sleep(8)
        os.kill(server.pid, signal.SIGCONT)
        for one in everyone:
            await one.send(frame(9, b"still here"))
        for one in everyone:
            while (heard := await one.frame())[0] != 10:
                assert heard[0] != 8, heard
    assert metric(server, "dscore_gaps_total") == 1
    assert metric(server, "dscore_gap_seconds_total") >= 8
    assert server.wait_for_log("gap")["seconds"] >= 8


async def test_liveness_3_a_stop_counts_for_no_deadline_of_the_mute(serve: Serve) -> None:
    # They say nothing at all: what was left of their time when the server was stopped is left.
    server = serve(
        env=environment(
            socket__ping_interval=1,
            socket__ping_timeout=2,
            auth__timeout=2.5,
            limits__handshake_timeout=2.5,
        )
    )
    async with introduced(server.ws) as mute, upgraded(server.ws) as unknown:
        stopped_for(server, 5)
        went_on = time.monotonic()
        assert await unknown.closed() == (1008, "authentication timeout")
        assert time.monotonic() - went_on > 1.5
        assert await mute.closed() == (1011, "ping timeout")
        assert time.monotonic() - went_on > 2


async def test_liveness_3_an_agent_in_its_grace_stays_so_over_a_stop(serve: Serve) -> None:
    server = serve(
        env=environment(
            monitoring__reconnection_grace_period=2, monitoring__heartbeat_grace_period=0
        )
    )
    async with agent(server.ws, "a-1") as one:
        await one.vanish()
    wait_until(lambda: details(server, "a-1")["state"] == "reconnecting" or None, "grace")
    stopped_for(server, 4)
    went_on = time.monotonic()
    assert details(server, "a-1")["status"] == "online"
    wait_until(lambda: details(server, "a-1")["status"] == "offline" or None, "its end")
    assert time.monotonic() - went_on > 1.2, "what was left of it"


async def test_liveness_5_so_do_those_who_have_until_then_after_a_boot(serve: Serve) -> None:
    grace = environment(
        monitoring__reconnection_grace_period=3, monitoring__heartbeat_grace_period=0
    )
    server = serve(env=grace)
    directory = server.log_path.parent
    async with agent(server.ws, "a-1"):
        wait_until(lambda: details(server, "a-1")["state"] == "connected" or None, "agent")
        await asyncio.sleep(1.2)  # on disk within a second
        server.process.kill()
        server.wait()
    again = serve(env=grace, directory=directory)
    assert details(again, "a-1")["state"] == "unknown"
    stopped_for(again, 5)
    assert details(again, "a-1")["state"] == "unknown"
    async with agent(again.ws, "a-1"):
        assert details(again, "a-1")["status"] == "online"


async def test_liveness_2_misses_are_not_counted_over_a_stop(serve: Serve) -> None:
    server = serve(
        env=environment(
            monitoring__connection_check_interval=1,
            monitoring__health_check_interval=1,
            monitoring__max_missed_heartbeats=2,
            monitoring__heartbeat_grace_period=0.1,
            monitoring__offline_timeout=6,
        )
    )
    async with agent(server.ws, "b-1", introduce=False) as one:
        await one.beat()
        stopped_for(server, 7)
        assert details(server, "b-1")["status"] == "online"
        await one.beat()
        assert one.kept == [], "no connection_check either"


async def test_drain_4_answers_that_lie_unread_behind_a_stop_count(serve: Serve) -> None:
    server = serve(env=environment(shutdown__timeout=2, shutdown__report="report.json"))
    async with AsyncExitStack() as stack:
        everyone = await fleet(stack, server, 700)
        server.process.send_signal(signal.SIGTERM)
        asked = [json.loads((await one.frame())[1]) for one in everyone]
        os.kill(server.pid, signal.SIGSTOP)
        for one, order in zip(everyone, asked, strict=True):
            await one.say("app_terminated", request_id=order["request_id"], status="OK", message="")
        await asyncio.sleep(5)
        os.kill(server.pid, signal.SIGCONT)
        for one in everyone:
            assert (await one.closed())[0] == 1000
    assert server.wait() == 0
    report = json.loads((server.log_path.parent / "report.json").read_text())
    assert (report["total"], report["acked"]) == (700, 700)


async def test_drain_5_those_who_have_not_answered_keep_what_was_left(serve: Serve) -> None:
    server = serve(env=environment(shutdown__timeout=2, shutdown__notice=2))
    async with introduced(server.ws) as late, agent(server.ws, "b-1", introduce=False) as told:
        await told.beat()
        server.process.send_signal(signal.SIGTERM)
        order = json.loads((await late.frame())[1])
        stopped_for(server, 4)
        await asyncio.sleep(1)
        await late.say(
            "app_terminated", request_id=order["request_id"], status="OK", message="late"
        )
        assert (await late.closed())[0] == 1000
        assert (await told.closed())[0] == 1001
    assert server.wait() == 0


async def test_drain_restart_the_notice_is_as_long_as_it_was(serve: Serve) -> None:
    server = serve(env=environment(shutdown__notice=2, shutdown__intent="restart"))
    async with agent(server.ws, "a-1") as one:
        server.process.send_signal(signal.SIGTERM)
        await one.recv_type("server_shutdown")
        stopped_for(server, 4)
        went_on = time.monotonic()
        assert (await one.closed())[0] == 1001
        assert time.monotonic() - went_on > 1.2
    assert server.wait() == 0


async def test_liveness_3_neither_is_a_request_that_lies_unread_behind_a_stop_late(
    serve: Serve,
) -> None:
    server = serve(
        env=environment(
            socket__ping_interval=1,
            socket__ping_timeout=1,
            socket__connect_timeout=1.5,
            limits__handshake_timeout=1.5,
        )
    )
    sessions = "/socket.io/?EIO=4&transport=polling"
    async with web(server.port) as slow, web(server.port) as polling:
        opened = json.loads((await polling.fetch("GET", sessions)).text[1:])
        await slow.send(b"GET /livez HTTP/1.1\r\nHost: lo")
        os.kill(server.pid, signal.SIGSTOP)
        await polling.ask("POST", f"{sessions}&sid={opened['sid']}", "40")
        await slow.send(b"calhost\r\n\r\n")
        await asyncio.sleep(4)
        os.kill(server.pid, signal.SIGCONT)
        assert (await polling.answer()).text == "ok"
        assert (await slow.answer()).status == 200
        # Joined in time: what else waits for it are its namespace's answer, and pings.
        answer = await polling.fetch("GET", f"{sessions}&sid={opened['sid']}")
        assert (answer.status, answer.text[:2]) == (200, "40")


def test_an_ack_that_waits_in_the_queue_of_a_blocked_loop_is_in_time() -> None:
    on_the_loop_of_serve(_ack_a_blocked_loop())


async def _ack_a_blocked_loop() -> None:
    async with running(policy=Deaf()) as here, agents(here.ws, "other") as [other]:
        query = "EIO=4&transport=websocket"
        async with websocket(here.port, "/socket.io/", query) as one:
            await one.collect(1)
            await one.send("40", '42["app_ready",{"instance_id":"a-1"}]')
            await eventually(lambda: _is_state(here.server, "a-1", "connected"))
            asked = asyncio.create_task(
                here.server.fleet.request("a-1", "snapshot", {}, timeout=0.6)
            )
            while "snapshot" not in str(event := await one.recv()):
                pass
            number = re.findall(r"^42(\d+)", str(event))[0]
            descriptor = one.socket.transport.get_extra_info("socket").fileno()
            ack = frame(1, f'43{number}["taken"]'.encode())
            threading.Timer(0.2, os.write, (descriptor, ack)).start()
            await other.send("work", seconds=0.9)
            assert await asked == "taken"


class Slow(dscore.Policy):
    """Takes longer than any of the peer's clocks allow."""

    async def authenticate(self, candidate: Candidate) -> bool:
        await asyncio.sleep(1.5)
        return True


async def test_liveness_3_a_peers_clocks_stand_still_while_it_is_judged() -> None:
    short = {"socket": {"ping_interval": 0.3, "ping_timeout": 0.3}, "auth": {"timeout": 2}}
    async with running(short, policy=Slow()) as here, upgraded(here.ws) as one:
        await asyncio.sleep(0.4)
        await one.send(frame(10))
        await one.say("app_ready", instance_id="a-1")
        await one.message("app_ready_ack")
        # And go on where they stood.
        assert await one.closed() == (1011, "ping timeout")


class Deaf(dscore.Policy):
    """Holds up the loop, where a message asks for it."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def on_message(self, agent: dscore.Agent, kind: str, message: dict[str, Any]) -> None:
        self.heard.append(message)
        time.sleep(message.get("seconds", 0))


async def test_liveness_3_a_blocked_loop_turns_no_introduction_away() -> None:
    async with running({"auth": {"timeout": 0.8}}) as here, AsyncExitStack() as stack:
        everyone = [await stack.enter_async_context(upgraded(here.ws)) for _ in range(100)]
        for number, one in enumerate(everyone):
            one.writer.write(
                frame(1, json.dumps({"type": "app_ready", "instance_id": f"a-{number}"}).encode())
            )
        await asyncio.sleep(0)
        block(2.5)
        for one in everyone:
            await one.message("app_ready_ack")
        assert here.server.fleet.counts().authenticated == 100
        assert here.server.core_stats()["gaps_total"] >= 1


async def test_liveness_3_held_back_input_is_no_silence() -> None:
    # It is so far ahead of the loop that it is not read any more: it has spoken all the time.
    short = {"socket": {"ping_interval": 0.3, "ping_timeout": 0.3}}
    policy = Deaf()
    async with running(short, policy=policy) as here, introduced(here.ws) as one:
        await one.say("work", seconds=2)
        for _ in range(200):
            await one.say("work", data="x" * 1000)
        await one.say("work", seconds=0, last=True)
        await eventually(lambda: _any(len(policy.heard) == 202))
        assert here.server.fleet.connected_ids() == ["a-1"]


async def _any(value: object) -> object:
    return value


def test_liveness_4_a_blocked_loop_ends_no_grace_of_one_who_is_back() -> None:
    on_the_loop_of_serve(_come_back_to_a_blocked_loop())


async def _come_back_to_a_blocked_loop() -> None:
    grace = {"monitoring": {"reconnection_grace_period": 0.6, "heartbeat_grace_period": 0}}
    async with running(grace, policy=Deaf()) as here, agents(here.ws, "other") as [other]:
        async with agents(here.ws, "a-1") as [one]:
            await one.vanish()
        await eventually(lambda: _is_state(here.server, "a-1", "reconnecting"))
        async with upgraded(here.ws) as back:
            app_ready = frame(1, b'{"type":"app_ready","instance_id":"a-1"}')
            descriptor = back.writer.get_extra_info("socket").fileno()
            # Late, no gap: its introduction waits in the queue when its time is up.
            threading.Timer(0.2, os.write, (descriptor, app_ready)).start()
            await other.send("work", seconds=0.9)
            await back.message("app_ready_ack")
            kinds = [entry.kind for entry in (await here.server.fleet.timeline("a-1"))[0]]
            assert "offline" not in kinds, kinds


async def _is_state(server: dscore.Server, agent_id: str, state: str) -> bool:
    known = server.fleet.agent(agent_id)
    return known is not None and known.state == state
