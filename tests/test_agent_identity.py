"""An id that is in use and a token that is refused: the work goes on, and the agent comes back."""

import asyncio
import os
import subprocess
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from dscore_agent import Agent, AgentConfig, ConfigError, ReconnectPolicy, State, link
from dscore_agent.credentials import Credentials, read_credentials
from dscore_agent.gateway import Gateway
from dscore_agent.thread import SharedCalls
from fake_server import FakeServer, until

# The table's minutes are tested without waiting; here the agent must come back soon.
SOON = ReconnectPolicy(
    base=0.01, restart_delay=0.01, identity_delay=0.02, identity_cap=0.02, jitter=False
)
MINUTES = ReconnectPolicy(base=0.01, restart_delay=0.01, jitter=False)


def said(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [one.fields for one in caplog.records if getattr(one, "event", None) == event]


async def started(config: AgentConfig) -> Agent:
    agent = Agent(config)
    await agent.start()
    return agent


@pytest.mark.parametrize("checks", [True, False])
async def test_reconnect_7_taken_over_it_asks_before_it_returns(
    caplog: pytest.LogCaptureFixture, checks: bool
) -> None:
    async with FakeServer() as server:
        agent = await started(server.config(reconnect=SOON, health_check_enabled=checks))
        server.health = {"status": "ok", "instance_connected": True}
        await (await server.acquaint()).close(4409, "taken over")
        await until(lambda: len(said(caplog, "id_in_use")) >= 3, "looks at the health page")
        assert agent.status.last_close_code == 4409
        assert said(caplog, "taken_over")[0]["remedy"] == (
            "give each agent an instance_id of its own"
        )
        server.health = {"status": "ok", "instance_connected": False}
        peer = await server.acquaint()
        assert peer.introduction["last_close_code"] == 4409
        asked = [one for one in server.asked_about if one is not None]
        assert set(asked) == {"a-1"}
        # By name it is asked after a takeover only.
        await peer.close(1001)
        await server.acquaint()
        assert [one for one in server.asked_about if one is not None] == asked
        await agent.close()


async def test_reconnect_7_a_server_that_does_not_say_who_is_connected_is_no_obstacle() -> None:
    async with FakeServer() as server:
        agent = await started(server.config(reconnect=SOON))
        await (await server.acquaint()).close(4409, "taken over")
        await server.acquaint()
        await agent.close()


@pytest.mark.parametrize("dialect", ["raw", "socketio"])
async def test_reconnect_7_a_token_is_read_anew_before_each_attempt(
    tmp_path: Path, dialect: Any
) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    async with FakeServer(dialect=dialect) as server:
        agent = await started(server.config(token_file=token))
        peer = await server.acquaint()
        assert (peer.introduction["token"], peer.auth) == (
            "one",
            "" if dialect == "raw" else '{"token":"one"}',
        )
        token.write_text("two\n")
        await peer.close(1001)
        peer = await server.acquaint()
        assert (peer.introduction["token"], peer.auth[10:13]) == (
            "two",
            "" if dialect == "raw" else "two",
        )
        await agent.close()


async def test_reconnect_7_a_refused_token_waits_minutes_unless_another_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link, "CREDENTIALS_POLL", 0.02)
    caplog.set_level("INFO", "dscore.agent")
    token = tmp_path / "token"
    token.write_text("old\n")
    async with FakeServer() as server:
        agent = await started(server.config(token_file=token, reconnect=MINUTES))
        await (await server.accept()).close(1008, "authentication failed")
        await until(lambda: agent.state is State.WAITING, "wait")
        assert agent.status.retry_in == 300
        assert "token_file" in said(caplog, "authentication_failed")[0]["remedy"]
        # Half a rotation: what cannot be used leaves the former token in force.
        token.write_text("")
        await until(lambda: said(caplog, "credentials_unreadable"), "warning")
        token.unlink()
        token.write_text("new\n")
        peer = await server.acquaint()
        assert peer.introduction["token"] == "new"
        assert len(said(caplog, "credentials_renewed")) == 1
        await agent.close()


def test_a_certificate_that_was_renewed_is_another_credential(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"

    def renew() -> None:
        subject = ["-subj", "/CN=a-1", "-days", "1", "-nodes"]
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        files = ["-keyout", str(key), "-out", str(certificate)]
        command = ["openssl", "req", "-x509", *subject, *kind, *files]
        subprocess.run(command, check=True, capture_output=True)

    renew()
    config = AgentConfig(url="wss://localhost", cert_file=certificate, key_file=key)
    first = read_credentials(config)
    assert read_credentials(config).digest == first.digest
    renew()
    assert read_credentials(config).digest != first.digest


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\xff\xfe"])
async def test_a_token_file_without_a_token_is_an_error_at_the_start(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "token").write_bytes(content)
    agent = Agent(AgentConfig(url="ws://127.0.0.1:1", token_file=tmp_path / "token"))
    with pytest.raises(ConfigError, match="token_file: "):
        await agent.start()


async def test_what_blocks_in_a_file_costs_no_heartbeat_and_no_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    async with FakeServer() as server:
        agent = await started(server.config(token_file=token))
        peer = await server.acquaint()
        over = Event()
        # As a file of a dead NFS server does.
        monkeypatch.setattr("dscore_agent.files.read", lambda *_: over.wait(30) and b"two")
        monkeypatch.setattr("dscore_agent.gateway.CREDENTIALS_SECONDS", 0.05)
        await peer.close(1001)
        assert (await server.acquaint()).introduction["token"] == "one"
        assert said(caplog, "credentials_unreadable")
        await agent.close()
        over.set()


async def test_what_stands_where_a_token_stood_neither_blocks_nor_fills_the_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    async with FakeServer() as server:
        agent = await started(server.config(token_file=token))
        peer = await server.acquaint()
        token.unlink()
        os.mkfifo(token)
        await peer.close(1001)
        peer = await server.acquaint()
        token.unlink()
        token.symlink_to("/dev/zero")
        await peer.close(1001)
        assert (await server.acquaint()).introduction["token"] == "one"
        reasons = [line["reason"] for line in said(caplog, "credentials_unreadable")]
        assert reasons == [f"token_file: cannot read {token}: it is not a regular file"] * 2
        await agent.close()


async def test_never_acknowledged_it_leaves_after_three_heartbeats(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dscore_agent.conversation.ACK_SECONDS", 0.03)
    async with FakeServer() as server:
        agent = await started(server.config())
        peer = await server.accept()
        kinds = [(await peer.recv())["type"] for _ in range(4)]
        assert kinds == ["app_ready", "heartbeat", "heartbeat", "heartbeat"]
        assert await peer.closed() == (1000, "no answer to 3 heartbeats")
        assert said(caplog, "not_acknowledged") == [{"reason": "no answer to 3 heartbeats"}]
        await server.acquaint()
        await agent.close()


async def test_an_acknowledged_connection_is_not_left_for_unanswered_heartbeats() -> None:
    async with FakeServer() as server:
        agent = await started(server.config())
        peer = await server.accept()
        await peer.acknowledge(nextHeartbeatIn=50)
        for _ in range(5):
            await peer.recv_type("heartbeat")
        assert agent.state is State.READY
        await asyncio.wait_for(agent.close(), 10)


@pytest.mark.parametrize("token", [None, "old"])
async def test_refused_without_a_token_file_it_is_told_to_set_one(
    caplog: pytest.LogCaptureFixture, token: str | None
) -> None:
    async with FakeServer() as server:
        agent = await started(server.config(token=token))
        await (await server.accept()).close(1008, "authentication failed")
        await until(lambda: said(caplog, "authentication_failed"), "warning")
        assert said(caplog, "authentication_failed")[0]["remedy"] == (
            "set token_file, or token, to a token that the server knows"
        )
        await agent.close()


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_that_comes_as_the_work_ends_is_not_lost(turns: int) -> None:
    """An agent that was closed in that moment went on for ever, and so did its process."""
    gateway = Gateway(AgentConfig(url="ws://127.0.0.1:1"))
    read: asyncio.Future[Credentials] = asyncio.get_running_loop().create_future()

    class Readings(SharedCalls):
        async def call(self, *_: object) -> Any:
            return await read

    gateway._readings = Readings("test")
    renewing = asyncio.ensure_future(gateway.renew())
    await asyncio.sleep(0.01)
    read.set_result(Credentials(None, None, b""))
    for _ in range(turns):
        await asyncio.sleep(0)
    was_over = not renewing.cancel()
    await asyncio.wait({renewing})
    assert renewing.cancelled() is not was_over
