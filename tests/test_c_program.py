"""`dscore-agent-c` as a program: its words, its exit codes, its log."""

import fcntl
import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from c_client import SECONDS, Program, needs_c
from dscore_agent.cli.arguments import help_text
from odd_files import KINDS, odd_file
from serving import Serving
from waiting import wait_until

pytestmark = needs_c


def until_online(serving: Serving, name: str) -> None:
    path = f"/api/v1/agents/{name}"
    wait_until(lambda: json.loads(serving.get(path)[1]).get("status") == "online", name, SECONDS)


def test_a_wrong_setting_is_2_and_says_where_it_stands(c_build: Path, tmp_path: Path) -> None:
    file = tmp_path / "agent.ini"
    file.write_text("[websocket]\nping_interval_sec=never\n")
    cases: list[tuple[tuple[str, ...], str]] = [
        (("--config", str(file)), f"{file}:2: ping_interval_sec: must be a number of seconds"),
        (("--config", "/nowhere"), "cannot read /nowhere"),
        (("--set", "url"), "write key=value"),
        (("--log-level", "loud"), "--log-level: must be debug"),
        (("--nonsense",), "Unknown option"),
        (("word",), "what is word?"),
    ]
    for words, said in cases:
        with Program(c_build, *words) as program:
            assert program.wait() == 2
            assert said in program.log


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_neither_blocks_nor_fills_the_memory(
    c_build: Path, tmp_path: Path, kind: str
) -> None:
    path = odd_file(tmp_path, kind)
    why = "it has more than 262144 bytes" if kind == "too long" else "it is not a regular file"
    with Program(c_build, "--config", path) as program:
        assert program.wait() == 2
        assert f"cannot read {path}: {why}" in program.log


def test_the_help_has_defaults_and_variables(c_build: Path) -> None:
    with Program(c_build, "--help") as program:
        assert program.wait() == 0
        text = " ".join("\n".join(program.lines).split())
    mine = help_text("dscore-agent-c")
    for option in ("--config", "--url", "--instance-id", "--pipeline", "--set", "--log-level"):
        assert option in text
        [said] = [line for line in re.split(r"\n  (?=-)", mine) if option in line]
        words = " ".join(said.split("\n\n")[0].split()).partition(f"{option} ")[2]
        # The same words behind FILE or URL, but for the first letter.
        assert words.partition(" ")[2][1:] in text


def test_an_empty_variable_is_none(c_build: Path, lasting: Serving) -> None:
    names = ("DSCORE_AGENT_CONFIG", "DSCORE_AGENT_PIPELINE", "DSCORE_AGENT_LOG_LEVEL")
    url = f"ws://127.0.0.1:{lasting.port}"
    with Program(c_build, "--url", url, env=dict.fromkeys(names, "")) as program:
        program.until_said("connected")
    with Program(c_build, env={"DSCORE_AGENT_LOG_LEVEL": "loud"}) as program:
        assert program.wait() == 2
        assert "DSCORE_AGENT_LOG_LEVEL: must be debug" in program.log


def test_it_says_that_it_starts_before_it_says_anything_else(c_build: Path) -> None:
    for _ in range(5):
        with Program(c_build, "--url", "ws://127.0.0.1:1") as program:
            program.until_said("server_not_ready")
            assert " agent_started " in program.errors[0]


def test_a_machine_without_tls_is_2_and_says_what_to_install(c_build: Path, tmp_path: Path) -> None:
    none = {"GIO_MODULE_DIR": str(tmp_path), "GIO_EXTRA_MODULES": str(tmp_path)}
    with Program(c_build, "--url", "wss://127.0.0.1:1", env=none) as program:
        assert program.wait() == 2
        assert "GIO has no TLS for wss://: install glib-networking" in program.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_program_with_0(
    c_build: Path, lasting: Serving, number: signal.Signals
) -> None:
    url = f"ws://127.0.0.1:{lasting.port}"
    with Program(c_build, "--url", url, "--instance-id", "c-9") as program:
        program.until_said("connected")
        program.process.send_signal(signal.SIGUSR1)
        program.until_said("State: 3")
        program.process.send_signal(number)
        assert program.wait() == 0


def test_flags_win_over_variables_and_these_over_the_file(
    c_build: Path, lasting: Serving, tmp_path: Path
) -> None:
    file = tmp_path / "agent.ini"
    file.write_text("[websocket]\nurl=ws://127.0.0.1:1\ninstance_id=of-file\n")
    env = {
        "DSCORE_AGENT_CONFIG": str(file),
        "DSCORE_AGENT_URL": "ws://127.0.0.1:2",
        "DSCORE_AGENT_INSTANCE_ID": "of-variable",
    }
    with Program(c_build, "--url", f"ws://127.0.0.1:{lasting.port}", env=env) as program:
        program.until_said("connected")
        assert "agent_id=of-variable" in program.until_said("agent_started")
        until_online(lasting, "of-variable")


def test_a_log_that_no_process_reads_holds_nothing_up(c_build: Path, lasting: Serving) -> None:
    command: list[Any] = [c_build / "programs" / "dscore-agent-c", "--log-level", "debug"]
    settings = ["--url", f"ws://127.0.0.1:{lasting.port}", "--instance-id", "c-8"]
    quick = ["--set", "health_check_interval_sec=0.001"]
    process = subprocess.Popen([*command, *settings, *quick], stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        # A pipe of one page is full after a few lines.
        fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4096)
        until_online(lasting, "c-8")
        status, body = lasting.request("POST", "/api/v1/agents/c-8/terminate", {})
        assert (status, json.loads(body)["outcome"]) == (200, "acked")
        assert process.wait(SECONDS) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
