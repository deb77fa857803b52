"""docs/events.md lists the events of the log, and the code has no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "events.md").read_text()
LINES = (ROOT / "rust" / "fleet" / "src" / "lines.rs").read_text()
LEVELS = frozenset({"debug", "info", "warning", "error", "exception"})
BY_THE_FLEET = set(re.findall(r': Event = \(Level::\w+, [\w".]+, "(\w+)"\)', LINES))
"""Events of a batch."""
ELSEWHERE = {
    # Made without a logger, of a writer's own lines.
    "dscore": {"log_lines_lost", *BY_THE_FLEET},
    "dscore_agent": {"log_lines_lost"},
}


def is_level(node: ast.expr) -> bool:
    """A method of a logger, or one of two that a condition chooses."""
    if isinstance(node, ast.IfExp):
        return is_level(node.body) and is_level(node.orelse)
    return isinstance(node, ast.Attribute) and node.attr in LEVELS


def strings(node: ast.expr) -> Iterator[str]:
    """What it can be, where that is written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from strings(node.body)
        yield from strings(node.orelse)


def events(package: str) -> Iterator[str]:
    """The first arguments of all calls of a logger, and the constants named EVENT."""
    for path in (ROOT / "python" / package).rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        aliases = set()
        for node in nodes:
            if isinstance(node, ast.Assign):
                name = ast.unparse(node.targets[0])
                if name == "EVENT":
                    yield ast.literal_eval(node.value)
                if is_level(node.value):
                    aliases.add(name)
        for node in nodes:
            if not (isinstance(node, ast.Call) and node.args):
                continue
            if is_level(node.func) or ast.unparse(node.func) in aliases:
                yield from strings(node.args[0])


@pytest.mark.parametrize(
    ("package", "heading"), [("dscore", "The server"), ("dscore_agent", "The agent")]
)
def test_the_page_lists_the_events_of_the_code(package: str, heading: str) -> None:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert listed == sorted(listed)
    assert set(listed) == set(events(package)) | ELSEWHERE[package]


def test_what_stands_elsewhere_is_there() -> None:
    assert {"agent_terminated", "agent_offline"} <= BY_THE_FLEET
    for package, names in ELSEWHERE.items():
        text = "".join(path.read_text() for path in (ROOT / "python" / package).rglob("*.py"))
        assert all(f'"{name}"' in text for name in names - BY_THE_FLEET)


def test_the_contracts_lines_name_events_that_there_are() -> None:
    table = PAGE.partition("## The source contracts' lines\n")[2]
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", table)) - {"reason_code"}
    assert len(named) >= 8
    assert named <= set(events("dscore")) | BY_THE_FLEET
