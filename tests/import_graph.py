"""Who imports whom, in both languages: what test_imports.py looks for circles in.

A module is a tuple of names: `("dscore", "server", "drain")`, `("dscore_reactor", "conversation")`.
An edge leads to the module that defines what is imported, through all that only passes it on.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

Module = tuple[str, ...]
Graph = dict[Module, set[Module]]


@dataclass
class Source:
    """What one file imports and passes on."""

    wanted: list[tuple[Module, str]] = field(default_factory=list)
    """A module, and a name in it; "" is the module itself."""
    passed_on: dict[str, tuple[Module, str]] = field(default_factory=dict)
    """Names bound by an import."""
    globs: list[Module] = field(default_factory=list)
    """Modules of which every name is bound."""
    defined: set[str] = field(default_factory=set)
    """Only what is told apart from what a glob binds."""


def graph(sources: Mapping[Module, Source]) -> Graph:
    """The edges between these files."""
    edges: Graph = {module: set() for module in sources}
    for module, source in sources.items():
        for target, name in source.wanted:
            home = _home(sources, target, name, set())
            if home is not None and home != module:
                edges[module].add(home)
    return edges


def _home(
    sources: Mapping[Module, Source], target: Module, name: str, seen: set[tuple[Module, str]]
) -> Module | None:
    """The module that defines this name; None if it is none of ours."""
    if target not in sources or (target, name) in seen:
        return None
    seen.add((target, name))
    if not name:
        return target
    if (*target, name) in sources:
        return (*target, name)
    source = sources[target]
    if name in source.passed_on:
        return _home(sources, *source.passed_on[name], seen) or target
    if name not in source.defined:
        for glob in source.globs:
            home = _home(sources, glob, name, seen)
            if home is not None and name in sources[home].defined:
                return home
    return target


def by_folder(edges: Graph) -> Iterator[Graph]:
    """For each folder, the edges between what it holds: files, and folders taken whole.

    A module and what it is made of are one: an edge between it and a module inside it is none.
    """
    levels: dict[Module, Graph] = defaultdict(lambda: defaultdict(set))
    for module, targets in edges.items():
        for target in targets:
            pairs = zip(module, target, strict=False)
            shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            if shared < min(len(module), len(target)):
                levels[module[:shared]][module[: shared + 1]].add(target[: shared + 1])
    yield from levels.values()


def circles(edges: Graph) -> set[frozenset[str]]:
    """All sets of modules of which each reaches every other."""
    found, reached = set(), {module: _reachable(edges, module) for module in edges}
    for module, others in reached.items():
        if module in others:
            ring = {other for other in others if module in reached.get(other, ())}
            found.add(frozenset("::".join(one) for one in ring))
    return found


def _reachable(edges: Graph, start: Module) -> set[Module]:
    reached: set[Module] = set()
    todo = list(edges[start])
    while todo:
        if (module := todo.pop()) not in reached:
            reached.add(module)
            todo += edges.get(module, ())
    return reached


# Python: `if TYPE_CHECKING` and imports in functions count as all others do.


def python_sources(root: Path, *packages: str) -> dict[Module, Source]:
    # What was built for other programs is not ours (benches/build).
    paths = [
        path
        for top in packages
        for path in (root / top).rglob("*.py*")
        if path.relative_to(root / top).parts[0] != "build"
    ]
    sources = {}
    for path in paths:
        if path.suffix in (".py", ".pyi"):
            parts = path.relative_to(root).with_suffix("").parts
            package = parts[-1] == "__init__"
            module = parts[:-1] if package else parts
            sources[module] = _python_source(path, module if package else module[:-1])
    return sources


def _python_source(path: Path, package: Module) -> Source:
    source = Source()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            source.wanted += [(tuple(alias.name.split(".")), "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            target = (*base, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                source.wanted.append((target, alias.name))
                source.passed_on[alias.asname or alias.name] = (target, alias.name)
    return source


# Rust: `use`, and paths in the code. What only tests have is left out.

_COMMENT = r"//[^\n]*|/\*.*?\*/"
_TEXT = r'b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"' + r"|b?'(?:\\.[^']*|[^'\\])'"
_NOISE = re.compile(f"{_COMMENT}|{_TEXT}", re.DOTALL)
_TEST_ONLY = re.compile(
    r"#\[cfg\(test\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\(\w+\))?\s+)?mod\s+(\w+)\s*([;{])"
)
_USE = re.compile(r"\buse\s+([^;]+);")
_PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")
_ITEM = re.compile(r"\b(?:fn|struct|enum|union|trait|type|const|static|mod|macro_rules!)\s+(\w+)")


def rust_sources(crate: str, folder: Path) -> dict[Module, Source]:
    """The files under `src/`; the crate's root is `(crate,)`."""
    texts: dict[Module, str] = {}
    for path in sorted(folder.rglob("*.rs")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[0] == "bin":
            continue
        root = parts in (("lib",), ("main",))
        module = (crate, *(() if root else parts[:-1] if parts[-1] == "mod" else parts))
        texts[module] = without_noise(path.read_text())
    test_only = {
        (*module, found[1]) for module, text in texts.items() for found in _TEST_ONLY.finditer(text)
    }
    kept = {
        module: without_tests(text)
        for module, text in texts.items()
        if not any(module[:n] in test_only for n in range(2, len(module) + 1))
    }
    return {module: _rust_source(module, text, kept) for module, text in kept.items()}


def without_noise(text: str) -> str:
    """Rust without comments and literals, line by line the same."""
    return _NOISE.sub(lambda found: "\n" * found[0].count("\n") or " ", text)


def without_tests(text: str) -> str:
    """Tests stand at the foot of a file."""
    for found in _TEST_ONLY.finditer(text):
        if found[2] == "{":
            return text[: found.start()]
    return text


def _rust_source(module: Module, text: str, modules: Iterable[Module]) -> Source:
    source = Source(defined=set(_ITEM.findall(text)))
    for path, bound in (one for use in _USE.findall(text) for one in _use_tree(use, ())):
        home = _absolute(module, path, modules)
        if home is None:
            continue
        target, name = _split(home, modules)
        source.wanted.append((target, "" if name == "*" else name))
        if name == "*":
            source.globs.append(target)
        else:
            source.passed_on[bound] = (target, name)
    for path in _PATH.findall(_USE.sub(" ", text)):
        home = _absolute(module, tuple(path.split("::")), modules)
        if home is not None:
            source.wanted.append(_split(home, modules))
    return source


def _use_tree(tree: str, before: Module) -> Iterator[tuple[Module, str]]:
    """`a::{b, c::d as e}` has `a::b`, bound as b, and `a::c::d`, bound as e."""
    tree = tree.strip()
    head, brace, inner = tree.partition("{")
    if brace:
        before += tuple(part.strip() for part in head.split("::") if part.strip())
        for part in _split_list(inner.rpartition("}")[0]):
            yield from _use_tree(part, before)
        return
    path, _, alias = (part.strip() for part in re.sub(r"\s+as\s+", " as ", tree).partition(" as "))
    whole = (*before, *(part.strip() for part in path.split("::")))
    if whole[-1] == "self":
        whole = whole[:-1]
    yield whole, alias or whole[-1]


def _split_list(text: str) -> Iterator[str]:
    depth, start = 0, 0
    for at, sign in enumerate(text + ","):
        depth += (sign == "{") - (sign == "}")
        if sign == "," and depth == 0:
            if text[start:at].strip():
                yield text[start:at]
            start = at + 1


def _absolute(module: Module, path: Module, modules: Iterable[Module]) -> Module | None:
    """From the crate's root on; None if it is another crate's."""
    if path[0] == "crate":
        return (module[0], *path[1:])
    base = module
    if path[0] == "self":
        return (*base, *path[1:])
    while path and path[0] == "super":
        base, path = base[:-1], path[1:]
    if base != module:
        return (*base, *path)
    return (*module, *path) if (*module, path[0]) in modules else None


def _split(path: Module, modules: Iterable[Module]) -> tuple[Module, str]:
    """The longest part that is a file, and the name after it."""
    for length in range(len(path), 0, -1):
        if path[:length] in modules:
            return path[:length], path[length] if length < len(path) else ""
    return path, ""
