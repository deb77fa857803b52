"""`serve` and its `--store`: restarts, kill -9, a disk that takes nothing, a file it cannot use."""

import asyncio
import json
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keeper import rows
from serving import Serving
from waiting import wait_until
from wire import Wire, agent

Serve = Callable[..., Serving]
# What comes back after a restart must be there in time on a busy machine too.
GRACE = {"DSCORE_MONITORING__RECONNECTION_GRACE_PERIOD": "20s"}
# Above anything that the server's log, in its own file, may grow to here.
FILE_LIMIT = 256 * 1024


def health(serving: Serving) -> dict[str, Any]:
    _, body = serving.get("/deepstream/health")
    document: dict[str, Any] = json.loads(body)
    return document


def metrics(serving: Serving) -> list[str]:
    return serving.get("/metrics")[1].decode().splitlines()


def message(serving: Serving, agent_id: str, **fields: object) -> None:
    path = f"/api/v1/agents/{agent_id}/message"
    status, body = serving.request("POST", path, {"type": "note", **fields})
    assert status == 202, body


async def notes(one: Wire, count: int) -> list[Any]:
    return [(await one.recv_type("note"))["n"] for _ in range(count)]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGUSR1])
async def test_a_fleet_comes_back_to_a_restarted_server(
    serve: Serve, tmp_path: Path, end: signal.Signals
) -> None:
    store = str(tmp_path / "fleet.db")
    serving = await asyncio.to_thread(serve, "--store", store, env=GRACE)
    async with agent(serving.ws, "here", config={"n": 1}), agent(serving.ws, "away"):
        pass
    await asyncio.to_thread(wait_until, lambda: not health(serving)["connected_instances"], "leave")
    for n in range(3):
        await asyncio.to_thread(message, serving, "away", n=n)
    async with agent(serving.ws, "here", reconnection=True):
        await asyncio.to_thread(
            wait_until, lambda: not health(serving)["store"]["waiting"], "write"
        )
        serving.process.send_signal(end)
        await asyncio.to_thread(serving.wait)
    serving = await asyncio.to_thread(serve, "--store", store, env=GRACE)
    restored = serving.wait_for_log("fleet_restored")
    assert (restored["agents"], restored["online"], restored["sessions"]) == (2, 2, 2)
    async with agent(serving.ws, "watcher", introduce=False) as watcher:
        await watcher.send("watch")
        async with (
            agent(serving.ws, "here", introduce=False) as here,
            agent(serving.ws, "away", introduce=False) as away,
        ):
            assert (await here.introduce(reconnection=True))["session_restored"] is True
            assert (await away.introduce(reconnection=True))["session_restored"] is True
            assert await notes(away, 3) == [0, 1, 2]
            answer = await asyncio.to_thread(serving.get, "/api/v1/agents/here")
            assert json.loads(answer[1])["config"] == {"n": 1}
        heard = [await watcher.recv_type("client_reconnected") for _ in range(2)]
        assert {one["clientName"] for one in heard} == {"here", "away"}
        assert not [one for one in watcher.kept if one["type"] == "client_status_changed"]


async def test_a_drain_leaves_everything_on_disk(serve: Serve, tmp_path: Path) -> None:
    store = tmp_path / "fleet.db"
    serving = await asyncio.to_thread(serve, "--store", str(store))
    async with agent(serving.ws, "a-1") as one:
        serving.process.send_signal(signal.SIGTERM)
        await one.answer(await one.recv_type("terminate_app"))
        await one.closed()
    assert await asyncio.to_thread(serving.wait) == 0
    assert rows(store, "SELECT agent_id, state, reason_code, last_close FROM agents") == [
        ("a-1", "terminated", "terminated", None)
    ]
    assert rows(store, "SELECT id, name, ip, status FROM clients") == [
        ("a-1", "a-1", "127.0.0.1", "offline")
    ]


async def test_a_full_disk_stops_no_agent_and_is_caught_up(serve: Serve, tmp_path: Path) -> None:
    store = tmp_path / "fleet.db"
    serving = await asyncio.to_thread(serve, "--store", str(store))
    async with agent(serving.ws, "away"):
        pass
    serving.limit_files(FILE_LIMIT)
    await asyncio.to_thread(wait_until, lambda: not health(serving)["connected_instances"], "leave")
    status, body = await asyncio.to_thread(
        serving.request, "POST", "/api/v1/agents/away/message", {"type": "x", "y": "x" * FILE_LIMIT}
    )
    assert status == 503, body
    await asyncio.to_thread(
        wait_until, lambda: health(serving)["store"]["status"] == "failing", "failure"
    )
    assert health(serving)["status"] == "ok"
    assert health(serving)["store"]["reason"]
    assert "dscore_store_failing 1.0" in metrics(serving)
    assert serving.wait_for_log("store_failing")["level"] == "error"
    async with agent(serving.ws, "latecomer") as latecomer:
        assert (await latecomer.beat())["status"] == "ok"
        refused = {"type": "note", "n": 0}
        path = "/api/v1/agents/away/message"
        assert (await asyncio.to_thread(serving.request, "POST", path, refused))[0] == 503
        serving.limit_files(resource.RLIM_INFINITY)
        await asyncio.to_thread(
            wait_until, lambda: health(serving)["store"]["status"] == "ok", "recovery", 20.0
        )
        serving.wait_for_log("store_recovered")
        assert "dscore_store_failing 0.0" in metrics(serving)
        assert "dscore_store_lost_total 0.0" in metrics(serving)
        assert rows(store, "SELECT agent_id FROM agents") == [("away",), ("latecomer",)]
        await asyncio.to_thread(message, serving, "away", n=1)
    async with agent(serving.ws, "away", reconnection=True) as away:
        # What was refused is not kept.
        assert await notes(away, 1) == [1]


async def test_delivered_false_outlives_kill_9_and_comes_in_order(
    serve: Serve, tmp_path: Path
) -> None:
    """Killed while messages are posted: each that was answered is there, none is out of turn."""
    store = str(tmp_path / "fleet.db")
    answered: list[int] = []
    for run in range(3):
        serving = await asyncio.to_thread(serve, "--store", store, env=GRACE)
        async with agent(serving.ws, "away", introduce=False) as one:
            await one.introduce(reconnection=run > 0)
            if run:
                await hears(one, answered)
        answered = await post_and_kill(serving, run * 1000)
    serving = await asyncio.to_thread(serve, "--store", store, env=GRACE)
    async with agent(serving.ws, "away", introduce=False) as one:
        await one.introduce(reconnection=True)
        await hears(one, answered)


async def post_and_kill(serving: Serving, first: int) -> list[int]:
    """Posts on two connections at once, and kills the server meanwhile; what was answered."""
    await asyncio.to_thread(wait_until, lambda: not health(serving)["connected_instances"], "leave")
    answered: list[int] = []
    posting = [
        asyncio.create_task(asyncio.to_thread(post_until_killed, serving, number, answered))
        for number in (first, first + 500)
    ]
    await asyncio.to_thread(wait_until, lambda: len(answered) >= 20, "answers")
    serving.process.kill()
    await asyncio.gather(*posting)
    serving.wait()
    return answered


def post_until_killed(serving: Serving, first: int, answered: list[int]) -> None:
    for n in range(first, first + 40):
        status, body = serving.request("POST", "/api/v1/agents/away/message", note(n))
        if status != 202:
            return
        assert json.loads(body) == {"delivered": False}
        answered.append(n)


def note(n: int) -> dict[str, object]:
    return {"type": "note", "n": n}


async def hears(one: Wire, answered: list[int]) -> None:
    """All that were answered come, each poster's in its order; one that was not may come too."""
    heard: list[int] = []
    while not set(answered) <= set(heard):
        heard.append((await one.recv_type("note"))["n"])
    assert len(set(heard)) == len(heard)
    for half in (0, 500):
        own = [n for n in heard if n % 1000 // 500 * 500 == half]
        assert own == sorted(own)


async def test_what_was_delivered_does_not_come_again_after_kill_9(
    serve: Serve, tmp_path: Path
) -> None:
    store = tmp_path / "fleet.db"
    serving = await asyncio.to_thread(serve, "--store", str(store), env=GRACE)
    async with agent(serving.ws, "away"):
        pass
    await asyncio.to_thread(wait_until, lambda: not health(serving)["connected_instances"], "leave")
    for n in range(40):
        await asyncio.to_thread(message, serving, "away", n=n)
    async with agent(serving.ws, "away", reconnection=True) as away:
        assert await notes(away, 40) == list(range(40))
        await asyncio.to_thread(wait_until, lambda: not rows(store, "SELECT 1 FROM outbox"), "mark")
        serving.process.kill()
        serving.wait()
    serving = await asyncio.to_thread(serve, "--store", str(store), env=GRACE)
    async with agent(serving.ws, "away", reconnection=True) as away:
        await away.beat()
        assert [one for one in away.kept if one["type"] == "note"] == []


def test_memory_leaves_no_file(serve: Serve, tmp_path: Path) -> None:
    serving = serve("--store", ":memory:", directory=tmp_path)
    assert health(serving)["store"]["status"] == "ok"
    assert serving.stop() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["serve.log"]


def test_the_default_is_a_file_where_it_runs(serve: Serve, tmp_path: Path) -> None:
    assert serve(directory=tmp_path).stop() == 0
    assert (tmp_path / "dscore.db").exists()


@pytest.mark.parametrize("content", [b"", b"no database at all, " * 100])
def test_a_store_that_cannot_be_used_is_one_line_and_exit_1(
    serve: Serve, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "no-such" / "fleet.db"
    if content:
        path.parent.mkdir()
        path.write_bytes(content)
    serving = serve("--store", str(path), ready=False)
    assert serving.wait() == 1
    assert str(path) in serving.log.splitlines()[-1]


def test_a_store_in_use_is_refused(serve: Serve, tmp_path: Path) -> None:
    path = str(tmp_path / "fleet.db")
    serve("--store", path)
    second = serve("--store", path, ready=False)
    assert second.wait() == 1
    assert "another server" in second.log
