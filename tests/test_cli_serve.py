"""`serve` as the program it is: signals, exit codes, what it refuses, what it tells systemd."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from serving import Serving, clean_environment
from waiting import wait_until
from wire import agent

Serve = Callable[..., Serving]


def refused(*arguments: str, **environ: str) -> tuple[int, str]:
    """Exit code and complaint of a `serve` that must not start."""
    done = subprocess.run(
        [sys.executable, "-m", "dscore", "serve", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=clean_environment(environ),
    )
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def test_says_where_it_serves(serving: Serving) -> None:
    line = serving.wait_for_log("serving")
    assert line["url"] == serving.url
    assert line["agents"] == serving.ws
    assert line["pid"] == serving.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_drains_and_exits_0(serving: Serving, number: signal.Signals) -> None:
    assert serving.stop(number) == 0
    intent = "restart" if number == signal.SIGUSR1 else "terminate"
    assert serving.wait_for_log("drain_finished")["intent"] == intent


@pytest.mark.timed
def test_an_empty_server_is_gone_at_once(serving: Serving) -> None:
    began = time.monotonic()
    serving.stop()
    assert time.monotonic() - began < 1.0


async def test_a_drain_that_all_acked_exits_0(serving: Serving) -> None:
    async with agent(serving.ws, "a-1") as one:
        serving.process.send_signal(signal.SIGTERM)
        await one.answer(await one.recv_type("terminate_app"))
        assert await one.closed() == (1000, "Client terminated")
    assert await asyncio.to_thread(serving.wait) == 0


async def test_a_drain_with_a_mute_agent_exits_3_and_leaves_a_report(
    serve: Serve, tmp_path: Path
) -> None:
    report = tmp_path / "reports" / "report.json"
    report.parent.mkdir()
    environ = {"DSCORE_SHUTDOWN__REPORT": str(report), "DSCORE_SHUTDOWN__TIMEOUT": "100ms"}
    serving = await asyncio.to_thread(serve, env=environ)
    async with agent(serving.ws, "mute"):
        serving.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(serving.wait) == 3
    document = json.loads(report.read_text())
    assert (document["total"], document["timed_out"], document["not_acked"]) == (1, 1, ["mute"])
    assert os.listdir(report.parent) == ["report.json"]


async def test_a_repeated_sigterm_changes_nothing(serving: Serving) -> None:
    async with agent(serving.ws, "slow") as one:
        serving.process.send_signal(signal.SIGTERM)
        order = await one.recv_type("terminate_app")
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM):
            serving.process.send_signal(number)
        await asyncio.to_thread(serving.wait_for_log, "drain_started")
        await one.answer(order)
        assert await one.closed() == (1000, "Client terminated")
    assert await asyncio.to_thread(serving.wait) == 0
    assert len([line for line in serving.log_lines() if line["event"] == "drain_started"]) == 1


async def test_a_drain_asked_for_by_the_cli_ends_the_process(serving: Serving) -> None:
    async with agent(serving.ws, "a-1") as one:
        command = [sys.executable, "-m", "dscore", "drain", "--json", "--url", serving.url]
        drain = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, env=clean_environment({})
        )
        await one.answer(await one.recv_type("terminate_app", 30.0))
        out, _ = await asyncio.wait_for(drain.communicate(), 30.0)
    assert drain.returncode == 0
    assert json.loads(out)["acked"] == 1
    assert await asyncio.to_thread(serving.wait) == 0


async def test_ctrl_c_at_the_cli_leaves_the_drain_alone(serving: Serving) -> None:
    async with agent(serving.ws, "slow") as one:
        command = [sys.executable, "-m", "dscore", "drain", "--url", serving.url]
        drain = await asyncio.create_subprocess_exec(
            *command, stderr=subprocess.PIPE, env=clean_environment({})
        )
        order = await one.recv_type("terminate_app", 30.0)
        drain.send_signal(signal.SIGINT)
        _, complaint = await asyncio.wait_for(drain.communicate(), 30.0)
        assert drain.returncode == 130
        assert complaint.startswith(b"dscore: stopped waiting")
        await one.answer(order)
        await one.closed()
    assert await asyncio.to_thread(serving.wait) == 0


def test_sighup_takes_over_what_can_be_changed(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "dscore.toml"
    path.write_text('[shutdown]\ntimeout = "5s"\n')
    serving = serve("--config", str(path))
    path.write_text('[shutdown]\ntimeout = "6s"\n[listen]\nbacklog = 9\n')
    serving.process.send_signal(signal.SIGHUP)
    line = serving.wait_for_log("config_reloaded")
    assert line["applied"] == ["shutdown.timeout"]
    assert serving.wait_for_log("reload_needs_restart")["settings"] == ["listen.backlog"]
    path.write_text("[listen]\nprot = 1\n")
    serving.process.send_signal(signal.SIGHUP)
    assert "prot" in serving.wait_for_log("reload_failed")["reason"]
    assert serving.get("/readyz")[0] == 200


def test_a_port_in_use_is_one_line_and_exit_1(serving: Serving) -> None:
    code, complaint = refused("--port", str(serving.port))
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{serving.port}: address already in use" in complaint
    assert "--port" in complaint


def test_an_address_of_another_machine_is_one_line_and_exit_1() -> None:
    code, complaint = refused("--host", "192.0.2.1", "--port", "0", "--insecure")
    assert code == 1
    assert "--host" in complaint


@pytest.mark.parametrize(
    ("arguments", "environ", "sentence"),
    [
        (["--config", "/no/such.toml"], {}, "/no/such.toml"),
        (["--port", "70000"], {}, "listen.port"),
        (["--reactors", "many"], {}, "listen.reactors"),
        ([], {"DSCORE_LISTEN__PROT": "1"}, "DSCORE_LISTEN__PORT"),
        ([], {"DSCORE_AUTH__TOKEN_FILE": "/no/such"}, "auth.token_file"),
        (["--host", "0.0.0.0"], {}, "--insecure"),
        ([], {"DSCORE_AUTH__REQUIRED": "true"}, "auth.token_file"),
        (["--host", "::"], {}, "--insecure"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_exit_2(
    arguments: list[str], environ: dict[str, str], sentence: str
) -> None:
    code, complaint = refused(*arguments, **environ)
    assert code == 2
    assert sentence in complaint


def test_beyond_loopback_with_insecure_the_operator_api_takes_the_token_left(serve: Serve) -> None:
    serving = serve("--insecure", host="0.0.0.0")
    assert serving.get("/deepstream/health")[0] == 200
    assert serving.get("/api/v1/agents")[0] == 401
    assert serving.request("GET", "/api/v1/agents", headers=serving.power)[0] == 200


def test_beyond_loopback_with_tokens_it_starts(serve: Serve) -> None:
    environ = {
        "DSCORE_AUTH__REQUIRED": "true",
        "DSCORE_AUTH__TOKENS": "agent-secret",
        "DSCORE_AUTH__OPERATOR_TOKENS": "operator-secret",
        "DSCORE_TLS__REQUIRED": "false",
    }
    serving = serve(host="0.0.0.0", env=environ)
    headers = {"authorization": "Bearer operator-secret"}
    assert serving.request("GET", "/api/v1/agents", headers=headers)[0] == 200
    assert serving.get("/api/v1/agents")[0] == 401


def test_systemd_hears_ready_watchdog_and_stopping(serve: Serve, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30.0)
        environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "100000"}
        serving = serve(env=environ, ready=False)
        assert manager.recv(100) == b"READY=1"
        beats = 0
        while beats < 3:
            beats += manager.recv(100) == b"WATCHDOG=1"
        serving.process.send_signal(signal.SIGHUP)
        while not (said := manager.recv(100)).startswith(b"RELOADING=1\nMONOTONIC_USEC="):
            assert said.startswith((b"WATCHDOG=1", b"STATUS="))
        while manager.recv(100) != b"READY=1":
            pass
        serving.process.send_signal(signal.SIGTERM)
        while manager.recv(100) != b"STOPPING=1":
            pass
        assert serving.wait() == 0


def test_uses_the_descriptors_it_may_have(serve: Serve) -> None:
    serving = serve()
    limits = Path(f"/proc/{serving.pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3] == line.split()[4]


def test_sigterm_during_the_start_is_obeyed(serve: Serve) -> None:
    serving = serve(ready=False)
    wait_until(lambda: _handles_sigterm(serving.pid), "handler")
    serving.process.send_signal(signal.SIGTERM)
    assert serving.wait() == 0


def _handles_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & (1 << (signal.SIGTERM - 1)))


def test_leaves_no_process_behind(serving: Serving) -> None:
    os.kill(serving.pid, signal.SIGTERM)
    serving.wait()
    assert serving.leftovers() == []
