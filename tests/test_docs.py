"""Documents that lead through the code: what they name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PATH = re.compile(
    r"(?<![\w/.-])((?:rust|python|tests|benches|scripts|docs|examples|clients)/[\w./-]*\w/?)"
)


def internals() -> str:
    """The README's table of files, in reading order."""
    return (ROOT / "README.md").read_text().partition("## Internals\n")[2]


def test_architecture_names_only_files_that_are_there() -> None:
    named = set(PATH.findall((ROOT / "docs" / "ARCHITECTURE.md").read_text()))
    assert len(named) > 25
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_architecture_fits_a_page_with_one_picture() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    assert len(text.splitlines()) <= 100
    assert text.count("```mermaid") == 1


@pytest.mark.parametrize("row", re.findall(r"^\| (`[^|]*`) \|", internals(), re.MULTILINE))
def test_the_readme_s_reading_order_names_files_that_are_there(row: str) -> None:
    folder = ROOT
    for name in re.findall(r"`([\w./-]+)`", row):
        # A bare name stands in the folder of the one before it.
        path = ROOT / name if PATH.fullmatch(name) else folder / name
        assert path.exists(), name
        folder = path.parent
