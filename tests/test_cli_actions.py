"""`message`, `broadcast`, `remove`, `events` against the real program, with agents of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from serving import Serving, clean_environment
from test_cli_live import dscore, introduced
from waiting import wait_until


def heard(socket: ClientConnection, kind: str) -> dict[str, Any]:
    while True:
        message = json.loads(socket.recv(timeout=30))
        if message["type"] == kind:
            return dict(message)


@contextmanager
def following(serving: Serving, path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`dscore events` with its lines in a file."""
    with path.open("w") as out, path.with_suffix(".err").open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "dscore", "events", *arguments, "--url", serving.url],
            env=clean_environment({}),
            stdout=out,
            stderr=err,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def test_message_is_sent_or_waits(serving: Serving) -> None:
    text = '{"type": "set_model", "name": "v4"}'
    with introduced(serving, "cam-1") as socket:
        done = dscore(serving, "message", "cam-1", text)
        assert (done.returncode, done.stdout) == (0, "cam-1: sent\n")
        assert heard(socket, "set_model")["name"] == "v4"
    wait_until(lambda: not _agent(serving, "cam-1")["connected"] or None, "away")
    done = dscore(serving, "message", "cam-1", text)
    assert (done.returncode, done.stdout) == (0, "cam-1: away: the message waits for it\n")
    assert json.loads(dscore(serving, "message", "cam-1", text, "--json").stdout) == {
        "delivered": False
    }
    done = dscore(serving, "message", "cam-2", text)
    assert done.returncode == 1
    assert "no agent has the id 'cam-2'" in done.stderr


def _agent(serving: Serving, agent_id: str) -> dict[str, Any]:
    return dict(json.loads(serving.get(f"/api/v1/agents/{agent_id}")[1]))


def test_broadcast_reaches_those_that_are_chosen(serving: Serving) -> None:
    labels = {"labels": {"site": "busan"}}
    with introduced(serving, "a", config=labels) as chosen, introduced(serving, "b") as other:
        counted = dscore(
            serving, "broadcast", '{"type": "x"}', "--label", "site=busan", "--dry-run"
        )
        assert counted.stdout == "1 agent would be sent the message: a\n"
        unasked = dscore(serving, "broadcast", '{"type": "x"}', "--label", "site=busan")
        assert (unasked.returncode, unasked.stdout) == (2, "")
        done = dscore(
            serving, "broadcast", '{"type": "x", "n": 1}', "--label", "site=busan", "--yes"
        )
        assert (done.returncode, done.stdout) == (0, "1 of 1 agent reached, 1 delivered\n")
        assert heard(chosen, "x")["n"] == 1
        done = dscore(serving, "broadcast", '{"type": "y"}', "--all", "--yes", "--json")
        assert json.loads(done.stdout)["outcomes"] == {"delivered": 2}
        heard(other, "y")


def test_a_message_may_be_piped(serving: Serving) -> None:
    with introduced(serving, "cam-1") as socket:
        done = subprocess.run(
            [sys.executable, "-m", "dscore", "message", "cam-1", "-", "--url", serving.url],
            env=clean_environment({}),
            input='{"type": "piped"}',
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        heard(socket, "piped")


def test_remove_forgets_agents_and_names_what_is_none(serving: Serving) -> None:
    with introduced(serving, "a"), introduced(serving, "b"):
        done = dscore(serving, "remove", "a", "nope")
        assert (done.returncode, done.stdout) == (3, "1 of 1 agent removed\n")
        assert done.stderr == "1 of 2 ids: no agent of that name\n"
        assert serving.get("/api/v1/agents/a")[0] == 404
        assert dscore(serving, "remove", "--state", "connected", "--yes").returncode == 0
    assert json.loads(serving.get("/api/v1/agents")[1])["total"] == 0
    done = dscore(serving, "remove", "a")
    assert (done.returncode, done.stderr) == (1, "dscore: no agent of that id is known\n")


def test_events_follows_the_fleet_over_a_restart_of_the_server(serve: Any, tmp_path: Path) -> None:
    serving = serve(directory=tmp_path)
    lines = tmp_path / "events"
    with following(serving, lines, "--follow", "--json") as process:
        _until_watched(serving)
        with introduced(serving, "cam-1"):
            wait_until(lambda: _changes(lines, "cam-1") or None, "the agent online")
        assert _changes(lines, "cam-1")[0]["status"] == "online"
        port = serving.port
        assert serving.stop(signal.SIGUSR1) == 0
        wait_until(lambda: "trying again" in _complaints(lines) or None, "the loss told")
        again = serve(port=port, directory=tmp_path)
        wait_until(lambda: "is back" in _complaints(lines) or None, "the server back", 60)
        _until_watched(again)
        with introduced(again, "cam-2"):
            wait_until(lambda: _changes(lines, "cam-2") or None, "the other agent online")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def _complaints(lines: Path) -> str:
    return lines.with_suffix(".err").read_text()


def _until_watched(serving: Serving) -> None:
    """A watcher counts as an authenticated connection."""

    def watched() -> bool | None:
        counts = json.loads(serving.get("/api/v1/status")[1])["connections"]
        return counts["authenticated"] > 0 or None

    wait_until(watched, "the watcher")


def _changes(lines: Path, name: str) -> list[dict[str, Any]]:
    return [each for each in documents(lines) if each.get("name") == name]


def test_events_of_one_agent_go_on(serving: Serving, tmp_path: Path) -> None:
    lines = tmp_path / "events"
    with introduced(serving, "cam-1"):
        done = dscore(serving, "events", "cam-1")
        assert done.returncode == 0
        assert "connected from 127.0.0.1" in done.stdout
        with following(serving, lines, "cam-1", "--follow", "--limit", "0") as process:
            wait_until(lambda: process.poll() is None or None, "started")
            # Past its first look: a second connection is an entry that only comes then.
            wait_until(lambda: _told_after(serving, lines) or None, "an entry that came")
    assert dscore(serving, "events", "nope").returncode == 1


def _told_after(serving: Serving, lines: Path) -> str:
    with connect(serving.ws) as socket:
        socket.send(json.dumps({"type": "app_ready", "instance_id": "cam-1"}))
        socket.recv(timeout=30)
    return lines.read_text()


def test_events_of_a_fleet_need_a_token_where_the_api_does(serve: Any, tmp_path: Path) -> None:
    environment = {
        "DSCORE_AUTH__REQUIRED": "true",
        "DSCORE_AUTH__TOKENS": "agent-token",
        "DSCORE_AUTH__OPERATOR_TOKENS": "operator-token",
    }
    serving = serve(directory=tmp_path, env=environment)
    done = dscore(serving, "events", "--follow", "--token", "wrong")
    assert done.returncode == 1
    assert "--token or DSCORE_TOKEN" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_commands(shell: str) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "dscore", "completion", shell],
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert f"_DSCORE_COMPLETE=complete_{shell}" in script
    asked = {
        "bash": {"COMP_WORDS": "dscore ev", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "dscore ev"},
        "fish": {"_TYPER_COMPLETE_ARGS": "dscore ev", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    answered = subprocess.run(
        [sys.executable, "-m", "dscore"],
        env=clean_environment({"_DSCORE_COMPLETE": f"complete_{shell}", **asked}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "events" in answered.stdout
    assert answered.stderr == ""


def test_completion_is_a_script_that_bash_takes(tmp_path: Path) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "dscore", "completion", "bash"],
        env=clean_environment({}),
        capture_output=True,
        timeout=60,
        check=True,
    ).stdout
    folder = str(Path(sys.executable).parent)
    program = (
        b"\nCOMP_WORDS=(dscore conf); COMP_CWORD=1; _dscore_completion dscore; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(
        ["bash", "--norc"],
        input=script + program,
        env=clean_environment({"PATH": f"{folder}:{os.environ['PATH']}"}),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"config\n", done.stderr
