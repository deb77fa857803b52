"""The DeepStream contract's checklist (§5) and PROTOCOL.md §7 with the real server, in Node and in
Chromium: how each connection ends, what the client waits for then, and how it comes back."""

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from js_stage import Stage
from serving import Serving
from waiting import wait_until

Serve = Callable[..., Serving]
QUICK = {
    "DSCORE_SHUTDOWN__NOTICE": "100ms",
    "DSCORE_SHUTDOWN__TIMEOUT": "300ms",
    "DSCORE_SHUTDOWN__RECONNECT_WINDOW": "0s",
}
IN_MAINTENANCE = {"enabled": True}


def ready(stage: Stage, name: str, seconds: float = 20.0) -> Any:
    return stage.wait_for(name, "state", seconds, state="ready")


def waiting(stage: Stage, name: str, seconds: float = 20.0) -> Any:
    return stage.wait_for(name, "state", seconds, state="waiting")


def agent(stage: Stage, serving: Serving, name: str = "js-1", options: str = "{}") -> None:
    stage.run(f"stage.agent(args[0], args[1], {options})", serving.ws, name)
    ready(stage, name)


def watcher(stage: Stage, serving: Serving, options: str = "{}") -> None:
    stage.run(f"stage.watch(args[0], {options})", serving.url)
    ready(stage, "watcher")


def connected(serving: Serving, name: str) -> bool:
    status, body = serving.get(f"/api/v1/agents/{name}")
    return status == 200 and bool(json.loads(body)["connected"])


def stages(serving: Serving, name: str) -> list[str]:
    """What the agent's `termination_progress` said, as its timeline has it."""
    events = json.loads(serving.get(f"/api/v1/agents/{name}/events")[1])["items"]
    return [one["data"]["stage"] for one in events if one["kind"] == "progress"]


def is_stored(path: Path) -> bool:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        return bool(store.execute("select count(*) from clients").fetchone()[0])


def test_seed_a_1001_comes_back_after_the_time_that_the_server_named(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    first = serve(directory=tmp_path, env=QUICK)
    agent(stage, first)
    watcher(stage, first)
    first.process.send_signal(signal.SIGUSR1)
    told = stage.wait_for("js-1", "shutdown")
    assert 5000 <= told["reconnectAfter"] < 6000
    # New work is refused from now on, what is part of the protocol is not.
    assert stage.run("return stage['js-1'].send({type: 'note'})") is False
    assert stage.wait_for("js-1", "refused")["reason"] == "server_not_ready"
    assert stage.run("return stage['js-1'].status.refusal") == "server_not_ready"
    assert stage.run("return stage['js-1'].send({type: 'heartbeat', clientName: 'js-1'})") is True
    away = waiting(stage, "js-1")
    assert (away["lastCloseCode"], away["lastCloseReason"]) == (
        1001,
        "Server shutting down gracefully",
    )
    assert away["retryIn"] == told["reconnectAfter"]
    assert waiting(stage, "watcher")["retryIn"] >= 5000
    assert first.wait() == 0
    serve(directory=tmp_path, env=QUICK, port=first.port)
    back = ready(stage, "js-1")
    assert back["at"] - away["at"] >= 4990
    assert stage.run("return stage['js-1'].status.sessionRestored") is True
    assert ready(stage, "watcher")["why"] == ""
    assert stage.run("return stage['js-1'].status.refusal") is None


def test_seed_a_1001_without_an_answer_is_the_end_of_an_agent_that_is_being_stopped(
    stage: Stage, serve: Serve
) -> None:
    serving = serve(env=QUICK)
    agent(stage, serving, options="{ onTerminate: () => new Promise(() => {}) }")
    serving.process.send_signal(signal.SIGTERM)
    stage.wait_for("js-1", "state", state="terminating")
    assert "timeout" in stage.wait_for("js-1", "stopped")["why"]
    assert serving.wait() == 3


def test_seed_a_1013_while_it_drains_waits_10_seconds_and_more(stage: Stage, serve: Serve) -> None:
    serving = serve(env=QUICK | {"DSCORE_SHUTDOWN__TIMEOUT": "30s"})
    with connect(serving.ws) as mute:
        mute.send(json.dumps({"type": "app_ready", "instance_id": "mute"}))
        mute.recv(timeout=10)
        serving.process.send_signal(signal.SIGTERM)
        assert json.loads(mute.recv(timeout=10))["type"] == "terminate_app"
        # Health first: no connection is made at all.
        stage.run("stage.agent(args[0], 'late', { jitter: false })", serving.ws)
        refused = waiting(stage, "late")
        assert (refused["health"], refused["retryIn"]) == ("shutting_down", 10_000)
        assert stage.run("return stage.late.send({type: 'note'})") is False
        # One that asked a moment before: the close code says it.
        stage.run(
            """
            const real = globalThis.fetch;
            globalThis.fetch = async () => new Response('{"status":"ok"}');
            stage.agent(args[0], 'later', { jitter: false });
            stage.real = real;
            """,
            serving.ws,
        )
        away = waiting(stage, "later")
        assert (away["lastCloseCode"], away["lastCloseReason"]) == (1013, "Server shutting down")
        assert away["retryIn"] == 10_000
        stage.run("globalThis.fetch = stage.real; stage.late.close(); stage.later.close()")


def test_seed_a_terminate_app_is_answered_and_final(stage: Stage, serving: Serving) -> None:
    agent(
        stage,
        serving,
        options="""{
          async onTerminate({ reason, progress }) {
            stage.log.push({ name: "js-1", type: "asked", detail: { reason }, at: 0 });
            progress("flushing", 500);
            return { message: "bye" };
          },
        }""",
    )
    status, body = serving.request("POST", "/api/v1/agents/js-1/terminate", seconds=10)
    assert status == 200
    assert (json.loads(body)["outcome"], json.loads(body)["message"]) == ("acked", "bye")
    wait_until(lambda: "flushing" in stages(serving, "js-1"), "progress")
    assert stage.wait_for("js-1", "asked")["reason"]
    assert "erminated" in stage.wait_for("js-1", "stopped")["why"]
    assert stage.run("return stage['js-1'].send({type: 'note'})") is False
    assert stage.wait_for("js-1", "refused")["reason"] == "closed"


def test_an_application_that_fails_to_stop_says_so(stage: Stage, serving: Serving) -> None:
    agent(stage, serving, options="{ onTerminate: () => { throw new Error('a camera hangs'); } }")
    _, body = serving.request("POST", "/api/v1/agents/js-1/terminate", seconds=20)
    found = json.loads(body)
    assert (found["outcome"], found["message"]) == ("failed", "a camera hangs")
    assert stage.wait_for("js-1", "stopped")["why"] == "the application did not stop"


def test_reconnect_7_taken_over_it_asks_and_waits_5_minutes(stage: Stage, serving: Serving) -> None:
    agent(stage, serving, options="{ jitter: false }")
    with connect(serving.ws) as other:
        other.send(json.dumps({"type": "app_ready", "instance_id": "js-1"}))
        away = waiting(stage, "js-1")
        assert (away["lastCloseCode"], away["retryIn"]) == (4409, 300_000)
        # It is not in the other one's way: it looks whether the id is in use, and waits again.
        stage.run("stage['js-1'].start()")
        again = waiting(stage, "js-1")
        assert (again["why"], again["retryIn"]) == ("another agent has this id", 600_000)
        assert other.recv(timeout=10)
    wait_until(lambda: not connected(serving, "js-1"), "free id")
    stage.run("stage['js-1'].start()")
    ready(stage, "js-1")


def test_reconnect_7_maintenance_sends_agents_away_and_spares_watchers(
    stage: Stage, serving: Serving
) -> None:
    agent(stage, serving, options="{ jitter: false }")
    watcher(stage, serving)
    serving.request("POST", "/api/v1/maintenance", IN_MAINTENANCE)
    away = waiting(stage, "js-1")
    assert (away["lastCloseCode"], away["retryIn"]) == (1013, 10_000)
    assert stage.wait_for("watcher", "maintenance")["enabled"] is True
    # One that comes now hears of it as well, and stays.
    stage.run("stage.watch(args[0], {}, 'second')", serving.url)
    assert stage.wait_for("second", "maintenance")["enabled"] is True
    ready(stage, "second")
    serving.request("POST", "/api/v1/maintenance", {"enabled": False})
    for name in ("watcher", "second"):
        assert stage.wait_for(name, "maintenance")["enabled"] is False
    states = [one["detail"]["state"] for one in stage.happened() if one["type"] == "state"]
    assert states == []
    stage.run("stage['js-1'].start()")
    ready(stage, "js-1")


def test_reconnect_7_a_refused_token_waits_until_it_is_another_one(
    node_stage: Stage, serve: Serve
) -> None:
    stage = node_stage
    serving = serve(
        env={
            "DSCORE_AUTH__REQUIRED": "true",
            "DSCORE_AUTH__TOKENS": "agent",
            "DSCORE_AUTH__OPERATOR_TOKENS": "operator",
        }
    )
    stage.run(
        """
        stage.token = 'guess';
        stage.agent(args[0], 'js-1', { jitter: false, token: async () => stage.token });
        """,
        serving.ws,
    )
    away = waiting(stage, "js-1")
    assert (away["lastCloseCode"], away["retryIn"]) == (1008, 300_000)
    stage.run("stage.watch(args[0], { token: 'agent' })", serving.url)
    stage.wait_for("watcher", "forbidden")
    stage.run("stage.watcher.retry('operator')")
    ready(stage, "watcher")
    stage.run("stage.token = 'agent'")
    # It looks at what it was given every ten seconds, and comes as after anything else.
    assert waiting(stage, "js-1")["retryIn"] == 1000
    ready(stage, "js-1")


def test_kill_9_comes_back_with_its_session_and_what_waited(
    stage: Stage, serve: Serve, tmp_path: Path
) -> None:
    first = serve(directory=tmp_path)
    agent(stage, first)
    watcher(stage, first)
    stage.wait_for("watcher", "change")
    wait_until(lambda: is_stored(tmp_path / "dscore.db"), "session on the disk")
    first.process.kill()
    first.wait()
    away = waiting(stage, "js-1")
    assert (away["lastCloseCode"], away["retryIn"] <= 1000) == (1006, True)
    # An old picture is better than none.
    assert stage.run("return stage.watcher.agents.size") == 1
    assert stage.run("return stage['js-1'].send({type: 'note', n: 1})") is True
    assert stage.run("return stage['js-1'].status.queued") == 1
    second = serve(directory=tmp_path, port=first.port)
    ready(stage, "js-1")
    ready(stage, "watcher")
    assert stage.run("return stage['js-1'].status.sessionRestored") is True
    assert stage.run("return stage['js-1'].status.queued") == 0
    wait_until(lambda: connected(second, "js-1"), "connected agent")
    wait_until(
        lambda: stage.run("return stage.watcher.agents.get('js-1').status") == "online", "online"
    )


def test_a_watcher_gives_up_after_ten_and_can_be_woken(stage: Stage, serve: Serve) -> None:
    serving = serve()
    stage.run("stage.watch(args[0], { cap: 1, random: () => 0 })", "http://127.0.0.1:9/")
    assert stage.wait_for("watcher", "gaveup")["why"] == "the server does not answer"
    assert stage.run("return stage.watcher.status.attempt") == 10
    stage.run("stage.watcher.close()")
    assert serving.process.poll() is None


def test_messages_come_in_order_and_each_once(stage: Stage, serving: Serving) -> None:
    agent(stage, serving)
    stage.run(
        """
        stage.read = [];
        stage.reading = (async () => {
          for await (const message of stage['js-1'].messages()) stage.read.push(message.n);
          stage.read.push('end');
        })();
        """
    )
    for n in range(3):
        body = {"type": "order", "n": n, "message_id": f"id-{min(n, 1)}"}
        status, _ = serving.request("POST", "/api/v1/agents/js-1/message", body)
        assert status == 202
    serving.request("POST", "/api/v1/agents/js-1/message", {"type": "order", "n": "last"})
    wait_until(lambda: "last" in stage.run("return stage.read"), "last message")
    assert stage.run("return stage.read") == [0, 1, "last"]
    stage.run("stage['js-1'].close('lunch'); return stage.reading")
    assert stage.run("return stage.read")[-1] == "end"
    wait_until(lambda: not connected(serving, "js-1"), "its end")


def test_a_watcher_s_filter_and_what_it_hears(stage: Stage, serving: Serving) -> None:
    watcher(stage, serving, "{ filter: { q: 'js' } }")
    with connect(serving.ws) as other:
        other.send(json.dumps({"type": "app_ready", "instance_id": "other"}))
        other.recv(timeout=10)
        agent(stage, serving)
        change = stage.wait_for("watcher", "change")
        assert (change["agent"]["id"], change["agent"]["status"]) == ("js-1", "online")
        assert change["isSnapshot"] is False
    stage.run("stage.watch(args[0], { filter: { q: 'js' } }, 'second')", serving.url)
    assert stage.wait_for("second", "change")["isSnapshot"] is True
    serving.request("DELETE", "/api/v1/agents/js-1")
    change = stage.wait_for("watcher", "change")
    assert (change["agent"]["status"], change["agent"]["reasonCode"]) == ("offline", "operator")
    assert stage.run("return [...stage.watcher.agents.keys()]") == ["js-1"]
