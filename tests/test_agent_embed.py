"""The agent in a thread beside a program that has a main loop of its own."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dscore_agent import AgentConfig, ConfigError, Exit, State, TerminateRequest, embed
from fake_server import SECONDS, FakeServer
from waiting import wait_until

NO_SERVER = AgentConfig(url="ws://127.0.0.1:1")


@contextmanager
def started(*arguments: Any, **hooks: Any) -> Iterator[embed.AgentThread]:
    agent = embed.start(*arguments, **hooks)
    try:
        yield agent
    finally:
        agent.close()


async def test_stops_the_program_when_the_server_asks_for_it() -> None:
    # Stands for GLib's: the program's thread sits in it.
    main_loop = threading.Event()
    asked: list[TerminateRequest] = []
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        main_loop.set()

    async with FakeServer() as server:
        config = server.config()
        with started(config, on_terminate=asked.append, on_exit=leave) as agent:
            peer = await server.acquaint()
            await asyncio.to_thread(wait_until, lambda: agent.state is State.READY, "ack")
            assert agent.send({"type": "work"})
            assert (await peer.recv())["type"] == "work"
            await peer.send("terminate_app", request_id="r-1", reason="Server shutting down")
            assert (await peer.recv())["status"] == "OK"
            await peer.close(1000, "Client terminated")
            assert await asyncio.to_thread(main_loop.wait, SECONDS)
            assert await asyncio.to_thread(agent.join, SECONDS) == Exit.STOPPED
    assert (len(asked), codes) == (1, [Exit.STOPPED])


def test_a_file_s_settings_are_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "websocket_config.txt"
    path.write_text("[websocket]\nurl=ws://127.0.0.1:1\ninstance_id=file\n")
    monkeypatch.setenv("DSCORE_AGENT_INSTANCE_ID", "env")
    with started(path) as agent:
        assert agent._agent.config.instance_id == "env"


def test_a_wrong_setting_is_an_error_of_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        embed.start(tmp_path / "missing")
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ConfigError, match="ca_file"):
        embed.start(AgentConfig(url="wss://127.0.0.1:1", ca_file=tmp_path / "empty.pem"))
    assert "dscore-agent" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.timed
def test_close_is_quick_and_leaves_no_thread() -> None:
    with started(NO_SERVER) as agent:
        wait_until(lambda: agent.state is State.WAITING, "wait")
        assert agent.status.retry_in is not None
        assert agent.join(0.01) is None
        began = time.monotonic()
        assert agent.close() == Exit.STOPPED
        assert time.monotonic() - began < 2.0
    assert "dscore-agent" not in [thread.name for thread in threading.enumerate()]
    agent.stop()
    assert not agent.send({"type": "work"})


def test_stop_asks_the_application_from_any_thread() -> None:
    asked: list[TerminateRequest] = []
    with started(NO_SERVER, on_terminate=asked.append) as agent:
        agent.stop("the operator's key")
        assert agent.join(SECONDS) == Exit.STOPPED
    assert [request.reason for request in asked] == ["the operator's key"]


def test_in_a_forked_process_a_message_is_refused_and_nothing_waits() -> None:
    with started(NO_SERVER) as agent:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(60)  # One that waits for a lock or a thread is seen, and not left behind.
            try:
                agent.send({"type": "work"})
            except RuntimeError as error:
                os.write(writing, str(error).encode())
            agent.stop()
            os._exit(int(agent.close() is not None))
        os.close(writing)
        with os.fdopen(reading) as said:
            assert "hand messages to the parent" in said.read()
        assert os.waitpid(child, 0)[1] == 0
        assert agent.send({"type": "work"})


def test_an_on_exit_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("no loop")

    with started(NO_SERVER, on_exit=fail) as agent:
        assert agent.close() == Exit.STOPPED
    assert "no loop" in caplog.text
