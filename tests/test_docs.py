"""Documents that lead through the code: what they name is there."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from dscore.auth import read_keyring, readable_token_files
from dscore.config import load

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


def pages() -> list[Path]:
    """What a reader is led through, from README.md on."""
    readmes = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("clients/*/README.md")]
    return [*readmes, *sorted((ROOT / "docs").glob("*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have on the web."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link


def test_the_readme_leads_to_every_document() -> None:
    readme = (ROOT / "README.md").read_text()
    for document in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{document.name})" in readme, document.name


SETTINGS = [
    pytest.param(text, id=f"{page.stem}-{place}")
    for page in pages()
    for place, text in enumerate(re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.M | re.S))
]


@pytest.mark.parametrize("text", SETTINGS)
def test_settings_of_the_documents_are_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / "dscore.toml").write_text(text)
    load(tmp_path / "dscore.toml")


def test_what_operations_has_typed_for_the_unit_makes_settings_that_it_can_read(
    tmp_path: Path,
) -> None:
    """The lines that write token files and settings; the others install packages and units."""
    [script] = re.findall(
        r"^```sh\n(python3 -m venv /opt/dscore\n.*?)^```",
        (ROOT / "docs" / "operations.md").read_text(),
        re.M | re.S,
    )
    lines = [line for line in script.splitlines() if "/etc/dscore/" in line]
    typed = "\n".join(line for line in lines if not line.startswith("export "))
    typed = typed.replace("/etc/dscore", str(tmp_path)).replace("-o dscore", f"-o {os.getuid()}")
    subprocess.run(["bash", "-ec", typed], check=True, timeout=60)
    auth = load(tmp_path / "dscore.toml").config.auth
    assert auth.required
    keyring = read_keyring(auth)
    assert (len(keyring.agents), len(keyring.operators)) == (1, 1)
    assert list(readable_token_files(auth)) == []
    assert (
        f"export DSCORE_TOKEN=$(cat /etc/dscore/{Path(auth.operator_token_file or '').name})"
        in lines
    )
