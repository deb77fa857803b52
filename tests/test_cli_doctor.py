"""`dscore doctor`: every thing it looks at, well and not, with a remedy where it is not."""

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dscore.cli import doctor, run
from dscore.cli.machine import Finding, Machine, judge, read_machine
from dscore.config import Config

WELL = Machine(
    descriptors=1_048_576,
    files=9_000_000,
    backlog=4096,
    half_open=4096,
    tracked=262_144,
    memory=64 << 30,
    now=1_800_000_000.0,
    is_synchronized=True,
)


def found(config: Config, machine: Machine = WELL, agents: int = 18_000) -> dict[str, Finding]:
    return {each.name: each for each in doctor.findings_of(config, machine, agents)}


def config_of(tmp_path: Path, **sections: dict[str, Any]) -> Config:
    usual: dict[str, dict[str, Any]] = {
        "listen": {"port": 0},
        "store": {"path": str(tmp_path / "dscore.db")},
        "shutdown": {"deadline": "45s"},
    }
    for name, values in sections.items():
        usual[name] = {**usual.get(name, {}), **values}
    return Config.model_validate(usual)


def test_a_machine_that_is_well_has_nothing_to_mend(tmp_path: Path) -> None:
    findings = found(config_of(tmp_path))
    assert {each.level for each in findings.values()} == {"ok"}
    assert all(not each.remedy for each in findings.values())
    assert {"access", "port", "store", "shutdown", "descriptors", "memory", "clock"} <= set(
        findings
    )


@pytest.mark.parametrize(
    ("reading", "name", "level", "remedy"),
    [
        ({"descriptors": 18_100}, "descriptors", "failed", "LimitNOFILE=18192"),
        ({"files": 10_000}, "open files", "failed", "sysctl -w fs.file-max=36000"),
        ({"backlog": 128}, "backlog", "warning", "sysctl -w net.core.somaxconn=4096"),
        ({"half_open": 512}, "handshakes", "warning", "net.ipv4.tcp_max_syn_backlog=4096"),
        ({"tracked": 20_000}, "firewall", "warning", "net.netfilter.nf_conntrack_max=36000"),
        ({"memory": 100 << 20}, "memory", "failed", "a larger machine"),
        ({"memory": 512 << 20}, "memory", "warning", "limits.input_bytes"),
        ({"now": 0.0}, "clock", "failed", "timedatectl"),
        ({"is_synchronized": False}, "clock", "warning", "chrony"),
    ],
)
def test_a_reading_that_is_too_small_is_named_with_its_remedy(
    reading: dict[str, Any], name: str, level: str, remedy: str
) -> None:
    findings = {each.name: each for each in judge(replace(WELL, **reading), Config(), 18_000)}
    assert findings[name].level == level
    assert remedy in findings[name].remedy
    assert all(each.level == "ok" for each in findings.values() if each.name != name)


def test_what_a_machine_does_not_tell_is_no_finding() -> None:
    dumb = Machine(None, None, None, None, None, None, now=WELL.now, is_synchronized=None)
    assert {each.level for each in judge(dumb, Config(), 18_000)} == {"ok"}


def test_this_machine_is_read() -> None:
    machine = read_machine()
    assert (machine.memory or 0) > 0
    assert (machine.backlog or 0) > 0
    assert abs(machine.now - time.time()) < 60


def test_a_port_that_is_taken_or_an_address_that_is_not_here(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = found(config_of(tmp_path, listen={"port": taken.getsockname()[1]}))["port"]
    assert (port.level, "address already in use" in port.text) == ("failed", True)
    assert "another program listens there" in port.remedy
    insecure = {"listen": {"host": "192.0.2.1"}, "auth": {"required": True, "tokens": ["x" * 20]}}
    elsewhere = found(config_of(tmp_path, **insecure, tls={"required": False}))["port"]
    assert elsewhere.level == "failed"
    assert "this machine does not have that address" in elsewhere.remedy


def test_access_beyond_loopback_is_judged_as_at_the_start(tmp_path: Path) -> None:
    access = found(config_of(tmp_path, listen={"host": "0.0.0.0"}))["access"]
    assert access.level == "failed"
    assert "without tokens and TLS" in access.text
    assert "auth.token_file" in access.remedy
    gone = {"required": True, "token_file": str(tmp_path / "gone")}
    assert found(config_of(tmp_path, auth=gone))["access"].level == "failed"


def test_a_store_that_cannot_be_is_named(tmp_path: Path) -> None:
    def store(path: Path) -> Finding:
        return found(config_of(tmp_path, store={"path": str(path)}))["store"]

    assert "mkdir -p" in store(tmp_path / "none" / "dscore.db").remedy
    assert "is a folder" in store(tmp_path).text
    assert store(Path("/proc/sys/dscore.db")).level == "failed"
    file = tmp_path / "dscore.db"
    file.touch()
    os.utime(file, (WELL.now + 86_400, WELL.now + 86_400))
    assert (store(file).level, "1 d from now" in store(file).text) == ("warning", True)
    assert "do not outlive" in store(Path(":memory:")).text


def test_a_shutdown_that_is_cut_and_a_limit_below_the_fleet(tmp_path: Path) -> None:
    findings = found(config_of(tmp_path, shutdown={"deadline": "5s"}, limits={"connections": 100}))
    assert findings["shutdown"].level == "warning"
    assert "shutdown." in findings["shutdown"].text
    assert findings["connections"].level == "failed"


def test_exit_code_and_json(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DSCORE_LISTEN__PORT", "0")
    monkeypatch.setattr(doctor, "read_machine", lambda: WELL)
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("for 10,000 agents: 0 failed, 1 to look at\n")
    assert "-> set it to what the supervisor gives" in out
    assert run(["doctor", "--agents", "2000000", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["failed"] == sum(each["level"] == "failed" for each in document["items"]) > 0
    assert run(["doctor", "--agents", "0"]) == 2
    assert list(tmp_path.iterdir()) == [], "it leaves nothing"
