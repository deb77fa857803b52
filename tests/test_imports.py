"""Imports run one way, in both languages: no circle of files or of folders, and arrows of crates.

A module and its parts (`connection.rs`, `connection/receive.rs`) are one; a name that an
`__init__.py` or a `mod.rs` only passes on counts where it is defined.
"""

import re
from pathlib import Path

import pytest

from import_graph import Graph, by_folder, circles, graph, python_sources, rust_sources

ROOT = Path(__file__).parent.parent
PYTHON = {"dscore": ROOT / "python", "dscore_agent": ROOT / "python", "benches": ROOT}
MANIFESTS = sorted(path for path in ROOT.glob("rust/*/Cargo.toml") if path.parent.name != "fuzz")
RUST = ["benches/load", "benches/peers/rust", *(f"rust/{path.parent.name}" for path in MANIFESTS)]

# What a crate may name of our own: the pure ones below it.
GROUND = {"dscore-proto", "dscore-wheel"}
ARROWS: dict[str, set[str]] = {
    "dscore-py": {"dscore-fleet", "dscore-reactor", "dscore-tls", "dscore-traffic", *GROUND},
    "dscore-fleet": {"dscore-traffic", *GROUND},
    "dscore-reactor": {"dscore-tls", "dscore-traffic", *GROUND},
    "dscore-traffic": {"dscore-proto"},
    "dscore-tls": set(),
    "dscore-wheel": set(),
    "dscore-proto": set(),
}


def folder_circles(edges: Graph) -> set[frozenset[str]]:
    return {circle for level in by_folder(edges) for circle in circles(level)}


def told(found: set[frozenset[str]]) -> str:
    return "the circles are now:\n" + "\n".join(" ".join(sorted(circle)) for circle in found)


@pytest.mark.parametrize("package", PYTHON)
def test_no_circle_in_python(package: str) -> None:
    edges = graph(python_sources(PYTHON[package], package))
    assert len(edges) > 10
    files, folders = circles(edges), folder_circles(edges)
    assert not files, told(files)
    assert not folders, told(folders)


@pytest.mark.parametrize("crate", RUST)
def test_no_circle_in_a_crate(crate: str) -> None:
    sources = rust_sources(crate, ROOT / crate / "src")
    assert sources
    found = folder_circles(graph(sources))
    assert not found, told(found)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_crates_name_only_what_is_below_them(manifest: Path) -> None:
    text = manifest.read_text()
    [name] = re.findall(r'^name = "(dscore-[a-z]+)"$', text, re.MULTILINE)[:1]
    [dependencies] = re.findall(
        r"^\[dependencies\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL
    )
    used = set(re.findall(r"^([\w-]+)", dependencies, re.MULTILINE))
    assert {one for one in used if one.startswith("dscore-")} <= ARROWS[name]
    assert ("pyo3" in used) == (name == "dscore-py")


def test_the_agent_imports_nothing_of_the_server() -> None:
    for module, source in python_sources(ROOT / "python", "dscore_agent").items():
        foreign = [target for target, _ in source.wanted if target[:1] == ("dscore",)]
        assert not foreign, module


def test_the_server_names_the_agent_in_its_commands_and_for_its_other_name_only() -> None:
    # The commands share what every service has: systemd, ctrl-C, a plain port behind wss; one
    # follows the fleet as an agent holds its connection.
    bridges = {
        ("dscore", "agent"),
        ("dscore", "testing"),
        *(("dscore", "cli", one) for one in ("commands", "client", "follow", "serve")),
    }
    for module, source in python_sources(ROOT / "python", "dscore").items():
        agents = [one for one, _ in source.wanted if one[:1] == ("dscore_agent",)]
        assert not agents or module in bridges or module[:-1] in bridges, module
        other_name = [one for one, _ in source.wanted if one[:2] == ("dscore", "agent")]
        assert not other_name, module


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    "back",
    [
        "import p.a",
        "from p import a",
        "from . import a",
        "from .a import A",
        "from p.facade import A",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import A",
        "def later():\n    from p.a import A",
    ],
)
def test_python_s_ways_back_are_all_seen(tmp_path: Path, back: str) -> None:
    files = {"p/__init__.py": "", "p/facade.py": "from p.a import A\n", "p/b.py": back}
    files["p/a.py"] = "from p.b import B\n\nclass A: ..."
    found = circles(graph(python_sources(written(tmp_path, files), "p")))
    assert found == {frozenset({"p::a", "p::b"})}


@pytest.mark.parametrize(
    "back",
    [
        "use crate::a::A;",
        "use super::a::{self, A};",
        "use crate::{a as other, c::C};",
        "use crate::A;",
        "pub(crate) use super::{c::*, a::A};",
        "fn f() -> crate::a::A { todo!() }",
        "fn f(c: char) -> bool { c == '\"' && super::a::yes() }",
    ],
)
def test_rust_s_ways_back_are_all_seen(tmp_path: Path, back: str) -> None:
    files = {"lib.rs": "mod a;\nmod b;\nmod c;\npub use a::A;\n", "c.rs": "pub struct C;"}
    files |= {"a.rs": "use crate::b::B;\npub struct A;\n", "b.rs": f"{back}\npub struct B;\n"}
    found = folder_circles(graph(rust_sources("k", written(tmp_path, files))))
    assert found == {frozenset({"k::a", "k::b"})}


@pytest.mark.parametrize(
    "no_way_back",
    [
        "// use crate::a::A;",
        '/* crate::a::A */ const TEXT: &str = r#"crate::a::A"#;',
        "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}",
        "use std::a::A;",
        "use self::part::Part;\nmod part;",
    ],
)
def test_what_is_no_import_makes_no_circle(tmp_path: Path, no_way_back: str) -> None:
    files = {"lib.rs": "mod a;\nmod b;", "b/part.rs": "use super::B;\npub struct Part;"}
    files |= {
        "a.rs": "use crate::b::B;\npub struct A;\n",
        "b.rs": f"pub struct B;\n{no_way_back}\n",
    }
    assert folder_circles(graph(rust_sources("k", written(tmp_path, files)))) == set()


def test_folders_that_need_each_other_are_a_circle_though_their_files_are_none(
    tmp_path: Path,
) -> None:
    files = {"p/__init__.py": "", "p/x/one.py": "import p.y.one", "p/x/two.py": ""}
    files |= {"p/y/one.py": "", "p/y/two.py": "import p.x.two"}
    edges = graph(python_sources(written(tmp_path, files), "p"))
    assert circles(edges) == set()
    assert folder_circles(edges) == {frozenset({"p::x", "p::y"})}
