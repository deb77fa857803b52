"""packaging/: units, images, compose and chart say the same as the server and as each other."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dscore import Config, __version__
from dscore.policy.deadline import needed
from dscore_agent.config import AgentConfig

ROOT = Path(__file__).parent.parent
PACKAGING = ROOT / "packaging"
UNIT = (PACKAGING / "dscore.service").read_text()
CHART = PACKAGING / "helm" / "dscore"
MAX_EXPOSURE = 2.0


def settings(unit: str) -> dict[str, list[str]]:
    """What a unit sets, every value of each."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^([A-Z]\w+)=(.*)$", unit, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def one(pattern: str, text: str) -> str:
    [found] = re.findall(pattern, text, re.MULTILINE)
    return str(found)


def test_deadline_the_unit_s_pair_is_equal() -> None:
    stop = one(r"^TimeoutStopSec=(\d+)$", UNIT)
    assert one(r"DSCORE_SHUTDOWN__DEADLINE=(\d+)s$", UNIT) == stop
    assert int(stop) > needed(Config().shutdown), "the defaults fit, and nothing is cut"


def test_deadline_compose_s_pair_is_equal() -> None:
    compose = (PACKAGING / "docker" / "compose.yaml").read_text()
    stop = one(r"stop_grace_period: (\d+)s\n    restart: unless-stopped", compose)
    assert one(r"DSCORE_SHUTDOWN__DEADLINE: (\d+)s$", compose) == stop


def test_deadline_an_image_has_what_docker_stop_gives() -> None:
    image = (PACKAGING / "docker" / "Dockerfile").read_text()
    assert one(r"DSCORE_SHUTDOWN__DEADLINE=(\d+)s", image) == "10"


def test_deadline_the_chart_s_pair_is_one_value_and_pre_stop_has_its_own() -> None:
    """Kubernetes counts the hook's time against the grace period."""
    template = (CHART / "templates" / "deployment.yaml").read_text()
    hook, value = (rf"\(int .Values.shutdown.{name}Seconds\)" for name in ("preStop", "deadline"))
    assert one(f"terminationGracePeriodSeconds: (\\{{\\{{ add {hook} {value} \\}}\\}})$", template)
    value = r"\{\{ int .Values.shutdown.deadlineSeconds \}\}"
    assert one(f'DSCORE_SHUTDOWN__DEADLINE\n +value: "({value})s"$', template)
    hooks = re.findall(r"exec .*dscore drain.*$", template, re.MULTILINE)
    limit = "exec timeout -s KILL {{ int .Values.shutdown.preStopSeconds }} dscore drain"
    assert len(hooks) == 2
    assert all(hook.startswith(limit) for hook in hooks), hooks
    values = (CHART / "values.yaml").read_text()
    assert int(one(r"deadlineSeconds: (\d+)$", values)) > needed(Config().shutdown)
    assert int(one(r"preStopSeconds: (\d+)$", values)) >= 5, (
        "a slow machine starts a command so long"
    )


def test_the_unit_of_the_agent_leaves_its_pipeline_the_time_that_it_takes() -> None:
    unit = (PACKAGING / "dscore-agent.service").read_text()
    stop = float(one(r"^TimeoutStopSec=(\d+)$", unit))
    assert stop > AgentConfig().graceful_shutdown_timeout


def test_the_unit_says_what_the_server_needs() -> None:
    said = settings(UNIT)
    assert said["Type"] == ["notify"]
    assert said["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert said["SuccessExitStatus"] == ["3"]
    assert said["RestartPreventExitStatus"] == ["2"]
    assert int(said["LimitNOFILE"][0]) > 100_000
    assert float(said["WatchdogSec"][0]) >= 10
    socket = settings((PACKAGING / "dscore.socket").read_text())
    listen = Config().listen
    assert socket["ListenStream"] == [f"{listen.host}:{listen.port}"]
    assert socket["Backlog"] == [str(listen.backlog)]


def test_every_variable_of_a_unit_or_image_is_a_setting() -> None:
    files = [*PACKAGING.glob("*.service"), *(PACKAGING / "docker").iterdir()]
    files += [CHART / "templates" / "deployment.yaml"]
    named = {
        name
        for path in files
        for name in re.findall(r"\bDSCORE_([A-Z_]+__[A-Z_]+)", path.read_text())
    }
    assert len(named) >= 5
    for name in named:
        section, key = name.lower().split("__")
        assert key in type(getattr(Config(), section)).model_fields, name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
@pytest.mark.parametrize(
    ("unit", "most"), [("dscore.service", MAX_EXPOSURE), ("dscore-agent.service", 3.0)]
)
def test_the_units_are_hardened(unit: str, most: float) -> None:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(PACKAGING / unit)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""},
    )
    level = float(one(rf"Overall exposure level for {unit}: ([\d.]+)", said.stdout))
    assert level <= most, said.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_understands_every_line_of_the_units(tmp_path: Path) -> None:
    for name in ("dscore.service", "dscore.socket", "dscore-agent.service"):
        text = (PACKAGING / name).read_text()
        # The programs are not installed here.
        (tmp_path / name).write_text(re.sub(r"/opt/dscore/bin/\S+", "/bin/true", text))
    said = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = [line for line in said.stderr.splitlines() if str(tmp_path) in line or "dscore" in line]
    assert lines == []


def test_the_chart_is_of_this_version() -> None:
    chart = (CHART / "Chart.yaml").read_text()
    assert one(r"^version: (\S+)$", chart) == __version__
    assert one(r'^appVersion: "(\S+)"$', chart) == __version__


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.agent"])
def test_an_image_has_no_root_and_its_words_in_exec_form(name: str) -> None:
    text = (PACKAGING / "docker" / name).read_text()
    stages = text.split("\nFROM ")
    assert len(stages) == 3
    assert "USER 65532:65532" in stages[-1]
    for word in ("RUN", "ENTRYPOINT", "CMD"):
        for line in re.findall(rf"^ *{word} (.*)$", text, re.MULTILINE):
            assert line.startswith("["), line
