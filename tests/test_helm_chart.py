"""The Helm chart in packaging/, linted and rendered by the real Helm."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from helm_chart import CHART, GOLDEN, HELM, VALUES, golden, helm, rendered

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HELM.exists(), reason="no Helm here: make setup-helm"),
]


def kinds(manifests: str) -> list[str]:
    return re.findall(r"^kind: (\w+)$", manifests, re.MULTILINE)


def of(name: str) -> str:
    return rendered(GOLDEN / f"{name}.values.yaml")


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.name.split(".")[0])
def test_lint_finds_nothing_and_the_golden_file_is_what_is_rendered(values: Path) -> None:
    done = helm("lint", "--strict", CHART, "--values", values)
    assert done.returncode == 0, done.stdout + done.stderr
    again = "look at the difference, then .venv/bin/python tests/helm_chart.py"
    assert rendered(values) == golden(values).read_text(), again


def test_without_tokens_nothing_is_rendered_and_the_remedy_is_named() -> None:
    assert helm("lint", "--strict", CHART).returncode == 0
    done = helm("template", "fleet", CHART)
    assert done.returncode != 0
    assert "auth.existingSecret must name a Secret" in done.stderr
    assert "auth.insecure=true" in done.stderr


WRONG = {
    "replicas=3": "additional properties 'replicas' not allowed",
    "shutdown.deadline=90": "'/shutdown': additional properties 'deadline' not allowed",
    "shutdown.intent=stop": "'/shutdown/intent': value must be one of 'restart', 'terminate'",
    "shutdown.deadlineSeconds=0": "'/shutdown/deadlineSeconds': minimum",
    "shutdown.deadlineSeconds=45s": "'/shutdown/deadlineSeconds': got string, want integer",
    "shutdown.preStopSeconds=0": "'/shutdown/preStopSeconds': minimum",
    "service.port=70000": "'/service/port': maximum",
    "auth.insecure=yes": "'/auth/insecure': got string, want boolean",
    "auth.secret=fleet-tokens": "'/auth': additional properties 'secret' not allowed",
    "persistence.size=two": "'/persistence/size': 'two' does not match pattern",
    "image.pullPolicy=Sometimes": "'/image/pullPolicy': value must be one of",
    "env[0].name=DSCORE_SHUTDOWN__DEADLINE": "'/env/0/name': 'not' failed",
}


@pytest.mark.parametrize("value", WRONG)
def test_a_wrong_value_is_refused_where_it_stands(value: str) -> None:
    """One that is misspelt had no meaning, and was not spoken of."""
    for command in (("lint", CHART), ("template", "fleet", CHART)):
        done = helm(*command, "--set", "auth.existingSecret=fleet-tokens", "--set", value)
        assert done.returncode != 0, value
        assert WRONG[value] in done.stdout + done.stderr


def test_every_value_is_in_the_schema_and_no_other() -> None:
    """What a chart above this one gives, `global` and a condition's `enabled`, has no default."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = (CHART / "values.yaml").read_text()
    known = set(re.findall(r"^(\w+):", values, re.MULTILINE))
    assert set(schema["properties"]) - {"global", "enabled"} == known


def test_one_replica_is_recreated_probed_and_drained_within_its_grace_period() -> None:
    for name, hook, seconds in (("existing-secret", 5, 45), ("all", 8, 90)):
        text = of(name)
        assert "  replicas: 1\n  strategy:\n    type: Recreate\n" in text
        assert f"terminationGracePeriodSeconds: {hook + seconds}\n" in text
        assert f'DSCORE_SHUTDOWN__DEADLINE\n              value: "{seconds}s"\n' in text
        for probe, path in (
            ("startup", "startupz"),
            ("liveness", "livez"),
            ("readiness", "readyz"),
        ):
            assert f"{probe}Probe:\n            httpGet: {{path: /{path}, port: http}}\n" in text
        limit = f"exec timeout -s KILL {hook} "
        assert f"{limit}dscore drain --yes --no-wait\n" in text


def test_the_store_is_a_claim_unless_persistence_is_off() -> None:
    assert "PersistentVolumeClaim" in kinds(of("existing-secret"))
    off = of("no-persistence")
    assert "PersistentVolumeClaim" not in kinds(off)
    assert "- name: store\n          emptyDir: {}\n" in off


def test_kinds_are_there_only_when_they_are_asked_for() -> None:
    usual = kinds(of("existing-secret"))
    for kind, name in (
        ("PodDisruptionBudget", "disruption-budget"),
        ("ServiceMonitor", "service-monitor"),
        ("PrometheusRule", "service-monitor"),
        ("Ingress", "tls"),
    ):
        assert kind not in usual
        assert kind in kinds(of(name))
    assert "NetworkPolicy" in usual
    assert "NetworkPolicy" not in kinds(of("no-persistence"))


def test_the_service_monitor_names_the_job_that_the_rules_ask_for() -> None:
    assert "- targetLabel: job\n          replacement: dscore\n" in of("service-monitor")


def test_pre_stop_takes_a_plain_operator_s_token_of_any_token_file(tmp_path: Path) -> None:
    """It took the first line whole: a comment, a digest, a watcher's, words behind the token."""
    tokens = tmp_path / "tokens"
    tokens.write_text("# ours\n\nsha256:00ff name=a\nwall role=watcher\n  good  name=ops\nlater\n")
    program = tmp_path / "dscore"
    program.write_text('#!/bin/sh\necho "$DSCORE_TOKEN $*"\n')
    program.chmod(0o755)
    [command] = re.findall(r"- (DSCORE_TOKEN=.*)$", of("existing-secret"), re.MULTILINE)
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace("/etc/dscore/tokens/operator-tokens", str(tokens))],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "good drain --yes --no-wait\n", done.stderr
