"""`scripts/words`, which `make lint` runs: what it refuses, in a repository of its own."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"
# The words themselves would be refused here.
WORD = "some" + "body"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    shutil.copy(SCRIPTS / "words", tmp_path / "scripts")
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, timeout=60)


def refused(repository: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(repository, "add", "--all")
    done = subprocess.run(
        [repository / "scripts" / "words"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == bool(done.stderr)
    return done.stderr


def test_a_refused_word_is_named_with_its_file_and_line(repository: Path) -> None:
    said = refused(
        repository, {"a.py": f"# fine\n# {WORD.title()}'s own\n", "b.rs": "// everybody\n"}
    )
    assert said.startswith(f"a.py:2:# {WORD.title()}'s own\n")
    assert "b.rs" not in said


@pytest.mark.parametrize("text", [f"struct X{WORD.title()}s;", f"is_{WORD}()", WORD.upper()])
def test_parts_of_names_count_too(repository: Path, text: str) -> None:
    assert "a.rs:1:" in refused(repository, {"a.rs": text})


def test_names_of_files_count_too(repository: Path) -> None:
    assert f"x/{WORD}.py" in refused(repository, {f"x/{WORD}.py": ""})


def test_the_contract_s_own_words_are_left_alone(repository: Path) -> None:
    assert refused(repository, {"docs/PROTOCOL.md": WORD}) == ""
