"""The two distributions: what they are called, what they need, and that every page says so."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dscore import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
SERVER: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
AGENT: dict[str, Any] = tomllib.loads((ROOT / "python" / "pyproject.toml").read_text())["project"]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
MAX_AGENT_PACKAGES = 12


def direct(project: dict[str, Any]) -> set[str]:
    return {canonicalize_name(Requirement(one).name) for one in project["dependencies"]}


def closure(names: list[str], python: str, seen: set[str]) -> set[str]:
    """All that pip would bring for these, on a Linux box with this Python."""
    where = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for text in names:
        one = Requirement(text)
        name = canonicalize_name(one.name)
        if name in seen or not (one.marker is None or one.marker.evaluate(where)):
            continue
        seen.add(name)
        try:
            closure(requires(name) or [], python, seen)
        except PackageNotFoundError:
            assert name in {"async-timeout", "exceptiongroup", "tomli"}, (
                f"{name} is of no Python here"
            )
    return seen


def imported(package: str) -> Iterator[str]:
    """The packages of others that one of ours imports, by their import names."""
    for path in (ROOT / "python" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (one.name.partition(".")[0] for one in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]


def test_names_and_versions_fit() -> None:
    assert (SERVER["name"], AGENT["name"]) == ("dscore-server", "dscore-agent")
    assert f"dscore-agent=={AGENT['version']}" in SERVER["dependencies"]
    assert AGENT["version"] == __version__
    for name in ("dscore-server", "dscore-agent"):
        assert version(name) == __version__
    assert SERVER["scripts"] == {"dscore": "dscore.cli:main"}
    assert AGENT["scripts"] == {"dscore-agent": "dscore_agent.cli:main"}
    assert SERVER["requires-python"] == AGENT["requires-python"] == f">={PYTHONS[0]}"


@pytest.mark.parametrize("project", [SERVER, AGENT], ids=lambda one: one["name"])
def test_classifiers_name_every_python(project: dict[str, Any]) -> None:
    prefix = "Programming Language :: Python :: "
    named = [one.removeprefix(prefix) for one in project["classifiers"] if one.startswith(prefix)]
    assert [one for one in named if re.fullmatch(r"3\.\d+", one)] == list(PYTHONS)
    assert "Typing :: Typed" in project["classifiers"]
    assert ("Operating System :: MacOS" in project["classifiers"]) == (project is AGENT)


def test_both_carry_the_licence() -> None:
    assert (ROOT / "python" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_server_carries_the_licences_of_what_is_in_it() -> None:
    files = ["LICENSE", "THIRD-PARTY.md", "clients/page/THIRD-PARTY.md"]
    assert SERVER["license-files"] == files
    assert all((ROOT / name).is_file() for name in files)


def library(licences: str) -> re.Match[str]:
    """The section of Rust's standard library, and of which version it is."""
    section = r"^## Rust's standard library\n.*?, as (Rust \S+) has it.*?(?=^## )"
    found = re.search(section, licences, re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_every_crate_of_the_extension_is_named_with_its_licence() -> None:
    made = subprocess.run([ROOT / "scripts" / "licenses"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    kept = (ROOT / "THIRD-PARTY.md").read_text()
    if library(kept)[1] != library(made.stdout)[1]:
        # Another toolchain has another library: what is of Cargo.lock is the same.
        kept = kept.replace(library(kept)[0], library(made.stdout)[0])
    assert made.stdout == kept, "make licenses"
    licences = re.findall(r"^## \S+ [\d.]+\n\n(?:<\S+>: )?(.+)$", made.stdout, re.MULTILINE)
    assert len(licences) == len(re.findall(r"^## \S+ [\d.]+$", made.stdout, re.MULTILINE)) > 50
    # None that asks for more than its text.
    known = {"0BSD", "Apache-2.0", "BSD-3-Clause", "ISC", "MIT", "Unicode-3.0", "Unlicense", "Zlib"}
    words = re.compile(r" WITH LLVM-exception| OR | AND |[()/]")
    assert {word for one in licences for word in words.split(one) if word} <= known


@pytest.mark.parametrize("python", PYTHONS)
def test_an_agent_is_twelve_packages_at_most(python: str) -> None:
    packages = closure(AGENT["dependencies"], python, {"dscore-agent"})
    assert len(packages) <= MAX_AGENT_PACKAGES, sorted(packages)


@pytest.mark.parametrize(
    ("package", "project"), [("dscore", SERVER), ("dscore_agent", AGENT)], ids=["server", "agent"]
)
def test_each_dependency_is_imported_and_each_import_a_dependency(
    package: str, project: dict[str, Any]
) -> None:
    # An editable install does not say which packages it has.
    ours = {"dscore": ["dscore-server"], "dscore_agent": ["dscore-agent"]}
    known = {**packages_distributions(), **ours}
    used = {
        canonicalize_name(known[name][0])
        for name in set(imported(package)) - set(sys.stdlib_module_names)
        if name in known
    }
    # `tomllib` and `asyncio.timeout` are of Python 3.11.
    only_older = {"tomli", "async-timeout"}
    extras = {"prometheus-client"} if project is AGENT else set()
    # GStreamer's Python is the system's.
    used -= {project["name"], "pygobject", "gi"} | only_older | extras
    # What comes with FastAPI, and with pydantic, by contract.
    assert used - {"starlette", "pydantic-core"} == direct(project) - only_older


OLD = re.compile(r"dscore\[agent\]|pip install (?:-\S+ )*[\"']?dscore(?![-_\w])", re.IGNORECASE)


@pytest.mark.parametrize(
    ("text", "is_old"),
    [
        ("pip install 'dscore[agent]'", True),
        ("pip install dscore", True),
        ("pip install --no-deps dscore, then", True),
        ("pip install dscore-agent", False),
        ("pip install 'dscore-agent[metrics]'", False),
        ("pip install dscore_agent-0.1.0-py3-none-any.whl", False),
    ],
)
def test_the_old_words_are_told_from_the_new(text: str, is_old: bool) -> None:
    assert bool(OLD.search(text)) == is_old


def test_no_page_tells_to_install_the_other_project_s_package() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    found = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        # The changelog tells of releases as they were; here are the words themselves.
        if name in {"", "CHANGELOG.md", "tests/test_distributions.py"} or not path.is_file():
            continue
        text = path.read_bytes().decode(errors="ignore")
        found += [f"{name}: {one.group()}" for one in OLD.finditer(text)]
    assert found == []
