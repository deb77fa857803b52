"""The two libraries of clients/c as things to be linked with: what they export, how large they are,
what is said of them for other languages and in the API's pages."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from c_client import ROOT, needs_c

pytestmark = needs_c


@dataclass(frozen=True)
class Library:
    """Its folder in clients/c, its name, its namespace, and the bytes that it may have stripped."""

    folder: str
    name: str
    namespace: str
    size: int

    @property
    def source(self) -> Path:
        return ROOT / "clients" / "c" / self.folder

    @property
    def symbols(self) -> list[str]:
        """What is promised."""
        return (self.source / f"{self.name}.symbols").read_text().split()

    def file(self, build: Path) -> Path:
        return build / self.folder / f"lib{self.name}-1.0.so.0"

    def gir(self, build: Path) -> Path:
        path = build / self.folder / f"{self.namespace}-1.0.gir"
        if not path.exists():
            pytest.skip("built without g-ir-scanner: make setup-c")
        return path


LIBRARIES = [
    Library("src", "dscore", "Dscore", 96 * 1024),
    Library("gst", "dscore-gst", "DscoreGst", 48 * 1024),
]
each = pytest.mark.parametrize("library", LIBRARIES, ids=lambda one: one.name)


def output(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@each
def test_it_exports_what_its_headers_name_and_no_more(c_gst_build: Path, library: Library) -> None:
    """The symbols are a promise: a change of them is seen here."""
    command = ("nm", "--dynamic", "--defined-only", "--format=just-symbols")
    assert sorted(output(*command, library.file(c_gst_build)).split()) == library.symbols
    headers = "".join(path.read_text() for path in library.source.glob("dscore*.h"))
    assert set(library.symbols) == set(re.findall(r"\b(dscore_\w+) \(", headers))


@each
def test_it_has_its_soname_and_no_text_relocations(c_gst_build: Path, library: Library) -> None:
    said = output("readelf", "--dynamic", library.file(c_gst_build))
    assert f"soname: [lib{library.name}-1.0.so.0]" in said
    assert "BIND_NOW" in said
    assert "TEXTREL" not in said


@each
def test_it_is_small(c_gst_build: Path, library: Library, tmp_path: Path) -> None:
    stripped = tmp_path / "library.so"
    output("strip", "--strip-unneeded", "-o", stripped, library.file(c_gst_build))
    assert stripped.stat().st_size <= library.size


@each
@pytest.mark.skipif(shutil.which("abidiff") is None, reason="no abidiff: make setup-c")
def test_its_abi_is_described_and_agrees_with_itself(c_gst_build: Path, library: Library) -> None:
    """abidiff reads library and headers; a release compares with the one before."""
    headers = ("--headers-dir1", library.source, "--headers-dir2", library.source)
    file = library.file(c_gst_build)
    assert output("abidiff", *headers, file, file) == ""


@each
def test_every_function_is_introspected(c_gst_build: Path, library: Library) -> None:
    found = set(re.findall(r'c:identifier="(dscore_\w+)"', library.gir(c_gst_build).read_text()))
    assert {one for one in library.symbols if not one.endswith("_get_type")} <= found


@each
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gi-docgen") is None, reason="no gi-docgen: make setup-c")
def test_everything_is_documented(c_gst_build: Path, library: Library, tmp_path: Path) -> None:
    """The pages are made without a warning, and say something of each function."""
    words = (
        f"--config={library.source / library.name}.toml",
        f"--add-include-path={c_gst_build / 'src'}",
        library.gir(c_gst_build),
    )
    output("gi-docgen", "check", *words)
    pages = ("generate", "--quiet", "--fatal-warnings", f"--output-dir={tmp_path}")
    output("gi-docgen", *pages, "--no-namespace-dir", *words)
    assert (tmp_path / "index.html").exists()
