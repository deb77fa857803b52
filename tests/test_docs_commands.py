"""What the documents tell to type, and the metrics that they say to look at, are there."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command

from dscore.cli import commands, power  # noqa: F401 - each puts its commands on the app
from dscore.cli.app import app
from serving import Serving
from test_docs import ROOT, pages
from test_observability import OF_A_DRAIN, asked

BLOCK = re.compile(r"^```.*?^```|^ {4}\S.*?$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|[\s/(])dscore ([a-z][^|;#)\n]*)", re.MULTILINE)
PACKAGES = {"dscore_agent", "dscore_server", "dscore_gst"}


def said() -> Iterator[tuple[str, str]]:
    """Each `dscore …` that stands in code, with its page."""
    for page in pages():
        text = page.read_text()
        code = [*BLOCK.findall(text), *re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))]
        for line in "\n".join(code).replace(r"\|", "|").splitlines():
            for words in COMMAND.findall(line):
                yield str(page.relative_to(ROOT)), words


SAID = sorted(set(said()))


def test_enough_is_found() -> None:
    assert len(SAID) > 30
    assert {"docs/operations.md", "docs/troubleshooting.md"} <= {page for page, _ in SAID}


@pytest.mark.parametrize(("page", "words"), SAID, ids=[f"{page}-{words}" for page, words in SAID])
def test_each_command_and_option_of_the_documents_is_there(page: str, words: str) -> None:
    command: Any = get_command(app)
    rest = re.findall(r"[^\s\[\]]+", words)
    while hasattr(command, "commands"):
        assert rest, f"{page}: dscore {words}"
        command = command.commands[rest.pop(0)]
    if command.name == "agent":
        return  # It has a parser of its own: tests/test_agent_docs.py.
    options = {option for one in command.params for option in one.opts + one.secondary_opts}
    wanted = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert wanted - options == set(), f"{page}: dscore {words}"


def test_each_metric_of_the_documents_is_there(lasting: Serving) -> None:
    text = lasting.get("/metrics")[1].decode()
    there = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)) | OF_A_DRAIN
    for page in [ROOT / "docs" / "operations.md", ROOT / "docs" / "troubleshooting.md"]:
        wanted = asked(page.read_text()) - PACKAGES
        assert wanted - there == set(), page.name
