"""Files and functions fit their reader: 400 lines a file, a screen a function.

Of a function only the body counts, without its docstring and the functions inside it; a body that
is one flat `match` may be longer. What is still to be split is listed, exactly.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from import_graph import without_noise, without_tests

ROOT = Path(__file__).parent.parent
FILE, FUNCTION, FLAT_MATCH = 400, 40, 60

TOO_LONG_FILES: set[str] = set()
TOO_LONG_FUNCTIONS: set[str] = set()


class Function(NamedTuple):
    name: str
    lines: int
    flat: bool = False

    @property
    def is_too_long(self) -> bool:
        return self.lines > (FLAT_MATCH if self.flat else FUNCTION)


def sources() -> Iterator[Path]:
    """Without tests, whose tables may be long."""
    for folder in ("python", "rust", "benches"):
        for path in (ROOT / folder).rglob("*.*"):
            within = path.relative_to(ROOT)
            apart = {"tests", "testing", "target", "build", "fuzz"} & {*within.parts, within.stem}
            if path.suffix in (".py", ".rs") and not apart:
                yield path


def python_functions(text: str) -> Iterator[Function]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds):
            body = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0]
            lines = {*range(body.lineno, (node.end_lineno or 0) + 1)}
            for one in ast.walk(node):
                if isinstance(one, kinds) and one is not node:
                    begin = min(part.lineno for part in (one, *one.decorator_list))
                    lines -= {*range(begin, (one.end_lineno or 0) + 1)}
            yield Function(node.name, len(lines))


def rust_functions(text: str) -> Iterator[Function]:
    text = without_tests(without_noise(text))
    for found in re.finditer(r"\bfn (\w+)", text):
        body = _body(text, found.end())
        flat = re.match(r"\{\s*(?:let [^\n]+\n\s*)?(?:Ok\()?match ", body) is not None
        yield Function(found[1], max(0, body.count("\n") - 1), flat)


def _body(text: str, at: int) -> str:
    """From the first brace to its partner; "" if only a signature is there."""
    depth, nested, begin = 0, 0, at
    for sign in re.compile(r"[{}();\[\]]").finditer(text, at):
        match sign[0]:
            case ";" if not depth and not nested:
                return ""
            case "(" | "[" if not depth:
                nested += 1
            case ")" | "]" if not depth:
                nested -= 1
            case "{":
                begin = begin if depth else sign.start()
                depth += 1
            case "}":
                depth -= 1
                if not depth:
                    return text[begin : sign.end()]
    raise AssertionError(f"no end: {text[at : at + 80]}")


def test_there_are_sources_of_both_languages() -> None:
    assert {path.suffix for path in sources()} == {".py", ".rs"}


def test_no_file_is_too_long() -> None:
    found = set()
    for path in sources():
        text = path.read_text()
        own = text if path.suffix == ".py" else text.partition("\n#[cfg(test)]\nmod tests {")[0]
        if len(own.splitlines()) > FILE:
            found.add(path.relative_to(ROOT).as_posix())
    assert found == TOO_LONG_FILES


def test_no_function_is_too_long() -> None:
    found = set()
    for path in sources():
        functions = python_functions if path.suffix == ".py" else rust_functions
        for function in functions(path.read_text()):
            if function.is_too_long:
                found.add(f"{path.relative_to(ROOT).as_posix()}: {function.name}")
    assert found == TOO_LONG_FUNCTIONS


def test_of_python_the_body_counts() -> None:
    text = 'def a(\n    x,\n):\n    """Doc.\n\n    More.\n    """\n    y = x\n'
    text += "    @y\n    def b():\n        pass\n    return b\n"
    text += "async def c():\n    pass\n"
    assert {*python_functions(text)} == {Function("a", 2), Function("b", 1), Function("c", 1)}


def test_of_rust_the_body_counts_and_a_flat_match_is_known() -> None:
    text = "trait T {\n    fn a(&self);\n}\nfn b(x: [u8; 2]) -> [u8; 2] {\n    // {\n    x\n}\n"
    text += 'fn c(x: u8) -> &str {\n    match x {\n        0 => "{",\n        _ => "",\n    }\n}\n'
    text += "#[cfg(test)]\nmod tests {\n    fn d() {}\n}\n"
    found = [*rust_functions(text)]
    assert found == [Function("a", 0), Function("b", 2), Function("c", 4, flat=True)]
