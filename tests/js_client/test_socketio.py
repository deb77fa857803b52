"""The Socket.IO dialect over npm's socket.io-client 4 with the real server (the Socket.IO
contract's list): heartbeats, a restart, and what is final for a page."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.sync.client import connect

from js_client.test_ends import QUICK, connected, ready, waiting
from js_stage import Page, Stage
from serving import Serving
from waiting import wait_until

Serve = Callable[..., Serving]
CARRIERS = pytest.mark.parametrize("transports", [["websocket"], ["polling"], None])


def agent(stage: Stage, serving: Serving, transports: list[str] | None, **options: object) -> None:
    stage.run(
        "stage.agent(args[0], 'js-1', { ...stage.over(args[1]), jitter: false, ...args[2] })",
        serving.url,
        transports,
        options,
    )
    ready(stage, "js-1")


PAGE = """
const [url, transports, auth] = args;
const more = { ...(transports && { transports }), ...(auth && { auth }) };
const socket = stage.io(url, { reconnection: false, autoConnect: false, forceNew: true, ...more });
socket.on('connect', () => socket.emit('heartbeat', { clientName: 'page-1' }));
const log = (type, detail) => {
  stage.log.push({ name: 'page', type, detail: structuredClone(detail), at: performance.now() });
};
socket.on('heartbeat_response', (answer) => log('answer', answer));
socket.on('server_shutdown', (answer) => log('shutdown', answer));
const onState = (status) => log('state', status);
stage.kept = stage.keepConnected(socket, { url, jitter: false, onState });
"""
"""A page of the Socket.IO contract: its handlers are on a socket of its own."""


def page_of(stage: Stage, serving: Serving, transports: list[str] | None) -> None:
    stage.run(PAGE, serving.url, transports)
    assert stage.wait_for("page", "answer")["status"] == "ok"


@CARRIERS
def test_an_agent_is_introduced_told_and_stopped(
    node_stage: Stage, serving: Serving, transports: list[str] | None
) -> None:
    stage = node_stage
    agent(stage, serving, transports)
    assert connected(serving, "js-1")
    status, _ = serving.request("POST", "/api/v1/agents/js-1/message", {"type": "order", "n": 1})
    assert status == 202
    assert stage.wait_for("js-1", "message")["n"] == 1
    status, body = serving.request("POST", "/api/v1/agents/js-1/terminate", seconds=10)
    assert (status, json.loads(body)["outcome"]) == (200, "acked")
    stage.wait_for("js-1", "stopped")
    wait_until(lambda: not connected(serving, "js-1"), "its end")


def test_in_a_browser_it_is_the_same(page: Page, serving: Serving) -> None:
    stage = Stage("chromium", page)
    agent(stage, serving, None)
    serving.request("POST", "/api/v1/maintenance", {"enabled": True})
    assert waiting(stage, "js-1")["lastCloseCode"] == 1013


@CARRIERS
def test_a_page_is_not_wanted_back_after_a_takeover(
    node_stage: Stage, serving: Serving, transports: list[str] | None
) -> None:
    stage = node_stage
    page_of(stage, serving, transports)
    with connect(serving.ws) as other:
        other.send(json.dumps({"type": "app_ready", "instance_id": "page-1"}))
        other.recv(timeout=10)
        assert stage.wait_for("page", "state", state="stopped")["why"] == "io server disconnect"
    stage.run("stage.kept.retry()")
    assert stage.wait_for("page", "answer")["status"] == "ok"
    stage.run("stage.kept.close()")
    assert stage.wait_for("page", "state", state="closed")


def test_an_agent_asks_whether_its_id_is_in_use(node_stage: Stage, serving: Serving) -> None:
    stage = node_stage
    agent(stage, serving, ["websocket"])
    with connect(serving.ws) as other:
        other.send(json.dumps({"type": "app_ready", "instance_id": "js-1"}))
        other.recv(timeout=10)
        assert waiting(stage, "js-1")["retryIn"] == 300_000
        stage.run("stage['js-1'].start()")
        assert waiting(stage, "js-1")["why"] == "another agent has this id"


@pytest.mark.parametrize("reason", ["operator", "token"])
def test_a_page_removed_by_an_operator_or_without_its_token_stays_away(
    node_stage: Stage, serve: Serve, reason: str
) -> None:
    stage = node_stage
    if reason == "operator":
        serving = serve()
        page_of(stage, serving, ["websocket"])
        assert serving.request("DELETE", "/api/v1/agents/page-1")[0] == 204
    else:
        serving = serve(
            env={
                "DSCORE_AUTH__REQUIRED": "true",
                "DSCORE_AUTH__TOKENS": "agent",
                "DSCORE_AUTH__OPERATOR_TOKENS": "operator",
            }
        )
        stage.run(PAGE, serving.url, ["websocket"], {"token": "guess"})
    stage.wait_for("page", "state", state="stopped")


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]])
def test_maintenance_is_1013_over_a_websocket_and_health_s_business_over_polling(
    node_stage: Stage, serving: Serving, transports: list[str]
) -> None:
    stage = node_stage
    page_of(stage, serving, transports)
    serving.request("POST", "/api/v1/maintenance", {"enabled": True})
    away = waiting(stage, "page")
    if transports == ["websocket"]:
        assert (away["lastCloseCode"], away["retryIn"]) == (1013, 10_000)
        # It is sent away again before Socket.IO has let it in: the engine hears the code.
        stage.run("stage.kept.retry()")
        again = waiting(stage, "page")
        assert again["retryIn"] >= 10_000
    else:
        assert away["lastCloseCode"] == 1006


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]])
def test_a_restart_is_waited_for_as_the_server_asked(
    node_stage: Stage, serve: Serve, tmp_path: Path, transports: list[str]
) -> None:
    stage = node_stage
    first = serve(directory=tmp_path, env=QUICK)
    page_of(stage, first, transports)
    first.process.send_signal(signal.SIGUSR1)
    hint = stage.wait_for("page", "shutdown")["reconnectAfter"]
    # A polling session ends without a code, but the hint came before.
    assert waiting(stage, "page")["retryIn"] == hint
    assert first.wait() == 0
    serve(directory=tmp_path, env=QUICK, port=first.port)
    assert stage.wait_for("page", "answer")["status"] == "ok"


def test_a_watcher_over_socket_io(node_stage: Stage, serving: Serving) -> None:
    stage = node_stage
    stage.run("stage.watch(args[0], stage.over(['websocket']))", serving.url)
    ready(stage, "watcher")
    agent(stage, serving, ["polling"])
    assert stage.wait_for("watcher", "change")["agent"]["id"] == "js-1"
