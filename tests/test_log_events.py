"""docs/events.md lists the events of the log, and the code has no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "events.md").read_text()
LEVELS = frozenset({"debug", "info", "warning", "error", "exception"})
ELSEWHERE = {
    # Made without a logger, of a writer's own lines; or chosen between two levels.
    "dscore": {"log_lines_lost"},
    "dscore_agent": {"log_lines_lost", "pipeline_over"},
}


def events(package: str) -> Iterator[str]:
    """The first arguments of all calls of a logger, and the constants named EVENT."""
    for path in (ROOT / "python" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EVENT":
                yield ast.literal_eval(node.value)
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            logger = ast.unparse(node.func.value)
            is_logger = logger.endswith(("_log", "_limit", "_log_limit"))
            if node.func.attr in LEVELS and is_logger and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


@pytest.mark.parametrize(
    ("package", "heading"), [("dscore", "The server"), ("dscore_agent", "The agent")]
)
def test_the_page_lists_the_events_of_the_code(package: str, heading: str) -> None:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert listed == sorted(listed)
    assert set(listed) == set(events(package)) | ELSEWHERE[package]


def test_what_stands_elsewhere_is_there() -> None:
    for package, names in ELSEWHERE.items():
        text = "".join(path.read_text() for path in (ROOT / "python" / package).rglob("*.py"))
        assert all(f'"{name}"' in text for name in names)


def test_the_contracts_lines_name_events_that_there_are() -> None:
    table = PAGE.partition("## The source contracts' lines\n")[2]
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", table)) - {"reason_code"}
    assert len(named) >= 8
    assert named <= set(events("dscore"))
