"""`make release-notes`, on a copy of what it writes."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHART = "packaging/helm/dscore/Chart.yaml"
FILES = (
    *("CHANGELOG.md", "Cargo.toml", "Cargo.lock", "pyproject.toml", "python/pyproject.toml"),
    CHART,
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    log = tmp_path / "CHANGELOG.md"
    head = log.read_text().partition("## [Unreleased]")[0]
    log.write_text(f"{head}## [Unreleased]\n\n### Added\n\n- A thing.\n")
    return tmp_path


def run(copy: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    script = ROOT / "scripts" / "release-notes"
    return subprocess.run([script, *words], cwd=copy, capture_output=True, text=True, timeout=60)


def texts(copy: Path) -> dict[str, str]:
    return {name: (copy / name).read_text() for name in FILES}


def test_without_a_version_it_prints_and_changes_nothing(copy: Path) -> None:
    before = texts(copy)
    done = run(copy)
    assert (done.returncode, done.stdout) == (0, "### Added\n\n- A thing.\n")
    assert texts(copy) == before


@pytest.mark.parametrize(("version", "shown"), [("7.8.9", "7.8.9"), ("7.8.9-rc.1", "7.8.9rc1")])
def test_a_version_is_written_wherever_it_stands(copy: Path, version: str, shown: str) -> None:
    done = run(copy, version, "2027-01-02")
    assert done.stdout == f"# dscore {version}\n\n### Added\n\n- A thing.\n", done.stderr
    after = texts(copy)
    assert f'[workspace.package]\nversion = "{version}"\n' in after["Cargo.toml"]
    ours = after["Cargo.lock"].split('name = "dscore-')[1:]
    assert len(ours) >= 8
    assert {one.split('"')[2] for one in ours} == {version}
    assert f'\nversion = "{shown}"\n' in after["python/pyproject.toml"]
    assert f'"dscore-agent=={shown}"' in after["pyproject.toml"]
    assert f'\nversion: {version}\nappVersion: "{version}"\n' in after[CHART]
    assert after["CHANGELOG.md"].endswith(
        f"## [Unreleased]\n\n## [{version}] - 2027-01-02\n\n### Added\n\n- A thing.\n"
    )
    again = run(copy)
    assert (again.returncode, again.stdout) == (1, "")
    assert "nothing is unreleased" in again.stderr


@pytest.mark.parametrize("word", ["", "1.2", "v1.2.3", "1.2.3.4", "latest"])
def test_what_is_no_version_is_refused(copy: Path, word: str) -> None:
    before = texts(copy)
    done = run(copy, word)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is no version" in done.stderr
    assert texts(copy) == before
