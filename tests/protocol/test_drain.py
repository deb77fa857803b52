"""PROTOCOL.md §6: each numbered step of a drain, both intents."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.support import (
    UUID,
    Running,
    agents,
    eventually,
    frame,
    hears_only,
    introduced,
    running,
    settled,
    tcp,
    upgraded,
    watcher,
)
from serving import Serving
from wire import Wire, agent

Serve = Callable[..., Serving]
TERMINATED = (1000, "Client terminated")
OVERDUE = (1001, "Server shutdown timeout")
GRACEFUL = (1001, "Server shutting down gracefully")
QUICK = {"shutdown": {"timeout": 0.3, "notice": 0.15, "close_timeout": 0.3}}
RESTART = {"shutdown": {"intent": "restart", "notice": 0.2, "close_timeout": 0.3}}


async def ordered(one: Wire) -> dict[str, str]:
    return await one.recv_type("terminate_app")


async def test_drain_1_health_and_readyz_say_so_first() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        assert (await here.pages.get("/readyz")).status_code == 200
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        # An agent that has its terminate_app would be told the truth by health already.
        status, document = await here.health()
        assert (status, document["status"]) == (503, "shutting_down")
        assert (await here.pages.get("/readyz")).status_code == 503
        assert (await here.pages.get("/livez")).status_code == 200
        assert (await here.pages.get("/startupz")).status_code == 200
        await one.answer(order)
        await drain


async def test_drain_2_new_connections_are_upgraded_then_closed_1013() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        async with upgraded(here.ws) as late:  # the upgrade itself is accepted: 101
            assert await late.closed() == (1013, "Server shutting down")
        _, document = await here.health()
        assert document["websocket"]["authenticated_connections"] == 1
        await one.answer(order)
        assert (await drain).total == 1


async def test_drain_2_other_http_calls_are_503_with_retry_after() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        for method, path in [
            ("GET", "/api/v1/agents"),
            ("POST", "/api/v1/agents/a-1/terminate"),
            ("POST", "/api/v1/maintenance"),
            ("GET", "/"),
            ("GET", "/nowhere"),
        ]:
            answer = await here.pages.request(method, path)
            assert answer.status_code == 503, path
            assert int(answer.headers["retry-after"]) > 0
        for path in ("/deepstream/health", "/livez", "/readyz", "/startupz", "/metrics"):
            assert "retry-after" not in (await here.pages.get(path)).headers, path
        assert (await here.pages.get("/metrics")).status_code == 200
        status = await here.pages.get("/api/v1/drain")
        assert (status.status_code, status.json()["total"]) == (200, 1)
        await one.answer(order)
        await drain


async def test_drain_3_every_agent_gets_its_own_terminate_app_and_nothing_else() -> None:
    async with running() as here, agents(here.ws, *map(str, range(50))) as fleet:
        drain = asyncio.create_task(here.server.drain())
        orders = [await ordered(one) for one in fleet]
        assert len({order["request_id"] for order in orders}) == 50
        for one, order in zip(fleet, orders, strict=True):
            assert set(order) == {"type", "request_id", "reason"}
            assert UUID.fullmatch(order["request_id"])
            assert order["reason"] == "Server shutting down"
            await one.answer(order)
            assert await one.closed() == TERMINATED
            assert one.kept == []
        assert (await drain).acked == 50


async def test_drain_3_watchers_get_server_shutdown_and_the_unauthenticated_nothing() -> None:
    async with (
        running(QUICK) as here,
        agents(here.ws, "a-1") as [one],
        watcher(here.ws) as page,
        agent(here.ws, introduce=False) as unauthenticated,
    ):
        await one.send("watch")  # an agent that watches gets both
        await settled(one)
        await here.server.drain()
        assert await page.closed() == GRACEFUL
        assert await unauthenticated.closed() == GRACEFUL
        assert await one.closed() == OVERDUE
        assert page.kept[0]["type"] == "server_shutdown"
        assert unauthenticated.kept == []
        told = [message["type"] for message in one.kept]
        assert told.count("terminate_app") == told.count("server_shutdown") == 1


async def test_drain_3_one_that_is_not_there_any_more_does_not_stop_the_rest() -> None:
    async with running(QUICK) as here, agents(here.ws, "a-1", "gone", "a-2") as fleet:
        fleet[1].socket.transport.abort()
        drain = asyncio.create_task(here.server.drain())
        for one in (fleet[0], fleet[2]):
            await one.answer(await ordered(one))
            assert await one.closed() == TERMINATED
        report = await drain
        assert report.acked == 2
        assert report.total == report.acked + report.vanished + report.failed


@pytest.mark.timed
async def test_drain_4_ok_is_answered_1000_at_once() -> None:
    async with running() as here, agents(here.ws, "a-1", "slow") as [one, slow]:
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        began = time.monotonic()
        await one.answer(order)
        assert await one.closed() == TERMINATED
        assert time.monotonic() - began < 2.0
        assert not drain.done()
        await slow.answer(await ordered(slow))
        await drain


async def test_drain_4_ok_is_logged_in_the_documents_words(serving: Serving) -> None:
    async with agent(serving.ws, "cam-1") as one:
        serving.process.send_signal(signal.SIGTERM)
        await one.answer(await ordered(one))
        assert await one.closed() == TERMINATED
    assert await asyncio.to_thread(serving.wait) == 0
    assert "DeepStream client cam-1 terminated gracefully" in serving.log


@pytest.mark.parametrize("status", ["ok", "Ok", "ERROR", "OK ", ""])
async def test_drain_4_anything_but_ok_is_failed_and_waited_for(status: str) -> None:
    async with running(QUICK) as here, agents(here.ws, "a-1") as [one]:
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        began = time.monotonic()
        await one.answer(order, status=status)
        assert await one.closed() == OVERDUE
        assert time.monotonic() - began > 0.25
        report = await drain
        assert (report.failed, report.timed_out, report.not_acked) == (1, 0, ["a-1"])


async def test_drain_4_an_ok_after_a_refusal_still_ends_it() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        await one.answer(order, status="ERROR")
        await one.answer(order)
        assert await one.closed() == TERMINATED
        report = await drain
        assert (report.acked, report.failed) == (1, 0)


async def test_drain_4_the_id_of_another_is_no_answer() -> None:
    async with running(QUICK) as here, agents(here.ws, "a-1", "a-2") as [one, other]:
        drain = asyncio.create_task(here.server.drain())
        await ordered(one)
        order = await ordered(other)
        await one.answer(order)
        assert await one.closed() == OVERDUE
        assert await other.closed() == OVERDUE
        assert (await drain).timed_out == 2


async def test_drain_4_stopped_and_complete_are_two_facts() -> None:
    async with (
        running() as here,
        watcher(here.ws) as page,
        agents(here.ws, "whole", "lost") as [whole, lost],
    ):
        drain = asyncio.create_task(here.server.drain())
        words = "no end of stream in time at filesink0"
        await lost.answer(await ordered(lost), message=words, complete=False)
        assert await lost.closed() == TERMINATED
        while (await page.recv_type("drain_progress"))["incomplete"] != 1:
            pass
        document = (await here.pages.get("/api/v1/drain")).json()
        assert (document["acked"], document["incomplete"]) == (1, 1)
        await whole.answer(await ordered(whole), complete=True)
        report = await drain
        assert (report.acked, report.incomplete, report.exit_code) == (2, 1, 0)
        assert report.as_dict()["incomplete"] == 1
        assert report.not_acked == []


async def test_drain_4_why_tells_of_an_agent_that_lost_the_end_of_a_stream() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        path = "/api/v1/agents/a-1/terminate"
        asking = asyncio.create_task(here.pages.post(path))
        words = "no end of stream in time at filesink0"
        await one.answer(await ordered(one), message=words, complete=False)
        result = (await asking).json()
        assert (result["outcome"], result["complete"]) == ("acked", False)
        story = (await here.pages.get("/api/v1/agents/a-1/events")).json()
        assert f"and it did, but a stream did not reach its end ({words})" in story["sentence"]
        texts = [entry["text"] for entry in story["items"]]
        assert any(f"a stream did not reach its end ({words})" in text for text in texts)


async def test_drain_4_an_operator_s_terminate_grants_what_progress_asks_for() -> None:
    settings = {"shutdown": {"timeout": 0.2, "max_extension": 20}}
    async with running(settings) as here, agents(here.ws, "a-1") as [one]:
        asking = asyncio.create_task(here.pages.post("/api/v1/agents/a-1/terminate"))
        order = await ordered(one)
        began = time.monotonic()
        await one.send(
            "termination_progress", request_id=order["request_id"], stage="eos", need_ms=10_000
        )
        # Past the deadline that it had without asking.
        await asyncio.sleep(0.4 - (time.monotonic() - began))
        await one.answer(order)
        assert (await asking).json()["outcome"] == "acked"


@pytest.mark.timed
async def test_drain_4_progress_asks_for_more_time() -> None:
    settings = {"shutdown": {"timeout": 0.3, "max_extension": 5}}
    async with running(settings) as here, agents(here.ws, "a-1", "a-2") as [one, other]:
        began = time.monotonic()
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        await one.send(
            "termination_progress", request_id=order["request_id"], stage="eos", need_ms=900
        )
        assert await other.closed() == OVERDUE
        others = time.monotonic()
        assert await one.closed() == OVERDUE
        assert 0.9 - 0.01 <= time.monotonic() - began < 2.4
        assert time.monotonic() - others > 0.3, "only its own deadline has moved"
        assert (await drain).timed_out == 2


@pytest.mark.timed
async def test_drain_4_progress_is_bounded_by_max_extension() -> None:
    settings = {"shutdown": {"timeout": 0.3, "max_extension": 0.4}}
    async with running(settings) as here, agents(here.ws, "a-1") as [one]:
        began = time.monotonic()
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        for _ in range(5):
            await one.send(
                "termination_progress", request_id=order["request_id"], stage="eos", need_ms=10**12
            )
            await asyncio.sleep(0.1)
        assert await one.closed() == OVERDUE
        assert 0.7 - 0.01 <= time.monotonic() - began < 2.1
        await drain


async def test_drain_4_progress_never_brings_the_deadline_forward() -> None:
    async with running({"shutdown": {"timeout": 0.6}}) as here, agents(here.ws, "a-1") as [one]:
        began = time.monotonic()
        drain = asyncio.create_task(here.server.drain())
        order = await ordered(one)
        for need in (0, 1, 50):
            await one.send(
                "termination_progress", request_id=order["request_id"], stage="", need_ms=need
            )
        assert await one.closed() == OVERDUE
        assert time.monotonic() - began >= 0.6 - 0.01
        await drain


async def test_drain_4_an_agent_that_leaves_by_itself_has_vanished() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        drain = asyncio.create_task(here.server.drain())
        await ordered(one)
        await one.vanish()
        report = await drain
        assert (report.vanished, report.acked, report.exit_code) == (1, 0, 3)


@pytest.mark.timed
async def test_drain_5_each_at_its_own_deadline_1001() -> None:
    async with running(QUICK) as here, agents(here.ws, "a-1") as [one]:
        began = time.monotonic()
        drain = asyncio.create_task(here.server.drain())
        assert await one.closed() == OVERDUE
        assert 0.3 - 0.01 <= time.monotonic() - began < 1.8
        assert [message["type"] for message in one.kept] == ["terminate_app"]
        report = await drain
        assert (report.timed_out, report.exit_code) == (1, 3)


@pytest.mark.timed
@pytest.mark.parametrize("kind", ["heartbeat", "reconnection_success"])
async def test_drain_5_who_never_said_app_ready_is_notified(kind: str) -> None:
    settings = {"shutdown": {"timeout": 5, "notice": 0.2}}
    async with running(settings) as here, agent(here.ws, "b-1", introduce=False) as one:
        await one.send(kind, clientName="b-1")
        await settled(one)
        began = time.monotonic()
        drain = asyncio.create_task(here.server.drain())
        assert await one.closed() == GRACEFUL
        assert 0.2 - 0.01 <= time.monotonic() - began < 1.8
        report = await drain
        assert (report.notified, report.timed_out, report.exit_code) == (1, 0, 0)


async def test_drain_5_who_never_said_app_ready_may_answer_all_the_same() -> None:
    async with running(QUICK) as here, agent(here.ws, "b-1", introduce=False) as one:
        await one.beat()
        drain = asyncio.create_task(here.server.drain())
        await one.answer(await ordered(one))
        assert await one.closed() == TERMINATED
        report = await drain
        assert (report.acked, report.notified) == (1, 0)


async def test_drain_5_a_heartbeat_first_and_app_ready_later_is_a_full_agent() -> None:
    async with running(QUICK) as here, agent(here.ws, "a-1", introduce=False) as one:
        await one.beat()
        await one.introduce()
        drain = asyncio.create_task(here.server.drain())
        assert await one.closed() == OVERDUE
        assert (await drain).timed_out == 1


@pytest.mark.timed
async def test_drain_5_closing_handshakes_have_their_time_and_no_more() -> None:
    async with running(QUICK) as here, introduced(here.ws) as one:
        drain = asyncio.create_task(here.server.drain())
        assert (await one.close_payload())[2:] == b"Server shutdown timeout"
        began = time.monotonic()
        await asyncio.wait_for(drain, 3.0)  # our half of the closing handshake never comes
        assert time.monotonic() - began < 2.0


@pytest.mark.timed
async def test_drain_6_report_exit_code_and_file(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    environ = {"DSCORE_SHUTDOWN__REPORT": str(path), "DSCORE_SHUTDOWN__TIMEOUT": "500ms"}
    serving = await asyncio.to_thread(serve, env=environ)
    async with agents(serving.ws, "good", "mute", "bad", "gone") as [good, mute, bad, gone]:
        serving.process.send_signal(signal.SIGTERM)
        await good.answer(await ordered(good))
        await bad.answer(await ordered(bad), status="ERROR", message="stuck")
        await ordered(gone)
        await gone.vanish()
        assert await mute.closed() == OVERDUE
        assert await asyncio.to_thread(serving.wait) == 3
    report = json.loads(path.read_text())
    latency, duration = report.pop("latency_ms"), report.pop("duration_ms")
    assert set(latency) == {"p50", "p99", "max"}
    assert 0 <= latency["p50"] <= latency["p99"] <= latency["max"] < 500
    assert 500 <= duration < 3_000
    assert sorted(report.pop("not_acked")) == ["bad", "gone", "mute"]
    assert report.pop("cut") == []
    assert report == {
        "intent": "terminate",
        "total": 4,
        "acked": 1,
        "failed": 1,
        "timed_out": 1,
        "vanished": 1,
        "notified": 0,
        "incomplete": 0,
    }
    logged = serving.wait_for_log("drain_finished")
    assert {name: logged[name] for name in report} == report


async def test_drain_6_the_port_is_free_when_the_process_has_ended(serving: Serving) -> None:
    assert await asyncio.to_thread(serving.stop) == 0
    with pytest.raises(OSError, match="111"):
        async with tcp(serving.ws):
            pass


async def test_drain_of_the_api_ends_the_process_too(serving: Serving) -> None:
    async with agent(serving.ws, "a-1") as one:
        posting = asyncio.create_task(
            asyncio.to_thread(serving.request, "POST", "/api/v1/drain", {"intent": "restart"})
        )
        assert (await one.recv())["type"] == "server_shutdown"
        assert await one.closed() == GRACEFUL
    status, body = await posting
    assert status in (200, 202), body
    assert json.loads(body)["intent"] == "restart"
    assert await asyncio.to_thread(serving.wait) == 0


async def test_drain_restart_tells_all_waits_and_closes_1001() -> None:
    async with running(RESTART) as here, agents(here.ws, "a-1") as [one]:
        async with (
            agent(here.ws, "b-1", introduce=False) as beats,
            watcher(here.ws) as page,
            agent(here.ws, introduce=False) as unauthenticated,
        ):
            await beats.beat()
            await hears_only(page, "client_status_changed")
            began = time.monotonic()
            drain = asyncio.create_task(here.server.drain())
            everyone = (one, beats, page, unauthenticated)
            for each in everyone:
                assert (await each.recv_type("server_shutdown"))["reconnectAfter"] >= 5_000
            status, _ = await here.health()
            assert status == 503
            async with upgraded(here.ws) as late:
                assert await late.closed() == (1013, "Server shutting down")
            for each in everyone:
                assert await each.closed() == GRACEFUL
                assert "terminate_app" not in [message["type"] for message in each.kept]
            assert time.monotonic() - began >= 0.2 - 0.01
        report = await drain
        assert (report.intent, report.total, report.exit_code) == ("restart", 2, 0)


async def test_drain_restart_keeps_the_sessions() -> None:
    async with running(RESTART) as here, agents(here.ws, "a-1") as [one]:
        await here.server.drain()
        assert await one.closed() == GRACEFUL
        assert here.server.core_stats()["sessions"] == 1


@pytest.mark.timed
async def test_drain_restart_paces_its_closes_over_the_spread() -> None:
    settings = {"shutdown": {"intent": "restart", "notice": 0, "spread": 1, "close_timeout": 0.3}}
    async with running(settings) as here, agents(here.ws, *map(str, range(20))) as fleet:
        began = time.monotonic()
        ends: list[float] = []

        async def end(one: Wire) -> None:
            assert await one.closed() == GRACEFUL
            ends.append(time.monotonic() - began)

        await asyncio.gather(here.server.drain(), *map(end, fleet))
        ends.sort()
        assert ends[-1] < 2.5
        assert ends[-1] - ends[0] > 0.6
        assert max(ends[n] - ends[n - 1] for n in range(1, 20)) < 0.5, "evenly"


async def test_drain_restart_by_sigusr1(serving: Serving) -> None:
    async with agent(serving.ws, "a-1") as one:
        serving.process.send_signal(signal.SIGUSR1)
        assert (await one.recv())["type"] == "server_shutdown"
        assert await one.closed() == GRACEFUL
    assert await asyncio.to_thread(serving.wait) == 0


async def is_empty(here: Running) -> bool:
    return here.server.fleet.counts().total == 0


async def test_a_drain_during_maintenance_ends_at_once() -> None:
    async with running() as here, agents(here.ws, "a-1") as [one]:
        here.server.set_maintenance(enabled=True)
        await one.closed()
        await eventually(lambda: is_empty(here))
        report = await asyncio.wait_for(here.server.drain(), 30.0)
        assert report.exit_code == 0


async def test_a_connection_in_the_middle_of_its_upgrade_ends_with_the_drain() -> None:
    async with running(QUICK) as here, tcp(here.ws) as half:
        await half.send(b"GET /deepstream/ws HTTP/1.1\r\nHost: x\r\n")
        await eventually(lambda: accepted(here))
        await asyncio.wait_for(here.server.drain(), 30.0)


async def accepted(here: Running) -> bool:
    return bool(here.server.core_stats()["accepted_total"])


async def test_drain_4_an_answer_in_pieces_is_an_answer() -> None:
    async with running() as here, introduced(here.ws) as one:
        drain = asyncio.create_task(here.server.drain())
        order = await one.message("terminate_app")
        answer = {"type": "app_terminated", "status": "OK", "message": "끝"}
        text = json.dumps({**answer, "request_id": order["request_id"]}).encode()
        for byte in frame(1, text[:9], fin=False) + frame(9, b"?") + frame(0, text[9:]):
            await one.send(bytes([byte]))
        assert await one.closed() == TERMINATED
        assert (await drain).acked == 1
