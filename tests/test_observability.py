"""packaging/prometheus and packaging/grafana: they ask for metrics that there are, and each alert
has a section that says what to do."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import Serving

ROOT = Path(__file__).parent.parent
PACKAGING = ROOT / "packaging"
RULES = (PACKAGING / "prometheus" / "dscore.rules.yaml").read_text()
TESTS = PACKAGING / "prometheus" / "dscore.rules.test.yaml"
DASHBOARD: dict[str, Any] = json.loads((PACKAGING / "grafana" / "dscore.json").read_text())
ALERTS = re.findall(r"- alert: (\w+)$", RULES, re.MULTILINE)
UNPACKED = ROOT / "build" / "dist" / "prometheus" / "usr" / "bin" / "promtool"
PROMTOOL = str(UNPACKED) if UNPACKED.exists() else shutil.which("promtool")
OF_A_DRAIN = {"dscore_drain_agents"}
"""There from the beginning of a drain."""


def asked(text: str) -> set[str]:
    found = set(re.findall(r"\b(?:dscore|process)_\w+", text))
    return {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in found}


@pytest.fixture(scope="module")
def there(lasting: Serving) -> set[str]:
    """The names of all metrics of a server."""
    text = lasting.get("/metrics")[1].decode()
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | OF_A_DRAIN


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (one["expr"] for one in DASHBOARD["annotations"]["list"])


def test_rules_ask_for_metrics_that_there_are(there: set[str]) -> None:
    wanted = asked("".join(re.findall(r"expr: .*|^ {10,}\S.*", RULES, re.MULTILINE)))
    assert len(wanted) > 8
    assert wanted - there == set()


def test_the_dashboard_asks_for_metrics_that_there_are(there: set[str]) -> None:
    wanted = asked(" ".join(queries()))
    assert len(wanted) > 20
    assert wanted - there == set()


def test_the_dashboard_s_panels_have_places_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_section_that_says_what_to_do(alert: str) -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert f"\n### {alert}\n" in page
    section = RULES.partition(f"alert: {alert}\n")[2].partition("- alert:")[0]
    assert f"runbook: docs/troubleshooting.md#{alert.lower()}\n" in section
    assert re.search(r"severity: (critical|warning)", section)


def test_each_alert_is_tested() -> None:
    assert re.findall(r"alertname: (\w+)$", TESTS.read_text(), re.MULTILINE) == ALERTS


def test_the_chart_has_the_same_rules() -> None:
    chart = PACKAGING / "helm" / "dscore" / "dscore.rules.yaml"
    assert chart.read_text() == RULES


@pytest.mark.skipif(PROMTOOL is None, reason="no promtool here: make setup-dist")
def test_alerts_fire_when_they_should_and_only_then() -> None:
    done = subprocess.run(
        [PROMTOOL or "promtool", "test", "rules", TESTS.name],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
