"""The package as npm gets it: types, sizes, what is in it, and the examples of its README."""

import gzip
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from js_stage import JS, MISSING
from serving import Serving
from waiting import wait_until

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

BIN = JS / "node_modules" / ".bin"
README = (JS / "README.md").read_text()
KIB = 1024
BUDGETS = {"reconnect": 1.2, "index": 6.25, "socketio": 1.2}
"""KiB, minified and gzipped; of socketio what it adds to the others."""


def run(*command: object, cwd: Path, seconds: float = 100) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_types_hold_strictly() -> None:
    run(BIN / "tsc", cwd=JS)


@pytest.mark.parametrize("entry", BUDGETS)
def test_each_entry_is_within_its_budget(entry: str) -> None:
    text = run(
        BIN / "esbuild",
        f"src/{entry}.js",
        *("--bundle", "--minify", "--format=esm", "--target=es2022"),
        *(["--external:./link.js"] if entry == "socketio" else []),
        cwd=JS,
    )
    size = len(gzip.compress(text.encode(), 9))
    assert size <= BUDGETS[entry] * KIB, f"{size} bytes"
    assert f"≤ {BUDGETS[entry]:g} KiB" in README


def test_it_depends_on_nothing() -> None:
    package = json.loads((JS / "package.json").read_text())
    assert "dependencies" not in package
    assert all(one["optional"] for one in package["peerDependenciesMeta"].values())
    assert package["peerDependencies"].keys() == package["peerDependenciesMeta"].keys()
    # The files of a browser import each other only.
    for file in (JS / "src").glob("*.js"):
        imports = re.findall(r'^(?:import|export) .* from "(.*)";$', file.read_text(), re.MULTILINE)
        assert all(one.startswith("./") for one in imports), file
    assert (JS / "LICENSE").read_bytes() == (JS.parent.parent / "LICENSE").read_bytes()


def test_its_version_is_the_project_s() -> None:
    cargo = (JS.parent.parent / "Cargo.toml").read_text()
    version = json.loads((JS / "package.json").read_text())["version"]
    assert f'\nversion = "{version}"\n' in cargo


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tarball, made in a copy: packing writes the types."""
    copy = tmp_path_factory.mktemp("pack") / "js"
    left_out = shutil.ignore_patterns("node_modules", "types", "*.tgz")
    shutil.copytree(JS, copy, ignore=left_out)
    (copy / "node_modules").symlink_to(JS / "node_modules")
    run("npm", "pack", "--silent", cwd=copy)
    [tarball] = copy.glob("*.tgz")
    return tarball


@pytest.fixture(scope="module")
def installed(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the package."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    quiet = ("--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    run("npm", "install", *quiet, packed, cwd=folder)
    return folder


def test_publint_and_attw_find_nothing(packed: Path) -> None:
    run(BIN / "publint", "--strict", packed, cwd=JS)
    run(BIN / "attw", packed, "--profile", "esm-only", "--no-emoji", cwd=JS)


def test_it_works_in_an_empty_folder(installed: Path) -> None:
    assert {path.name for path in (installed / "node_modules").iterdir()} == {
        "dscore",
        ".package-lock.json",
    }
    (installed / "use.js").write_text(
        """
        import * as all from "dscore";
        import { Reconnector } from "dscore/reconnect";
        import { keepConnected, socketio } from "dscore/socketio";
        console.log(Object.keys(all).sort().join(), all.Reconnector === Reconnector);
        console.log(typeof keepConnected, typeof socketio);
        """
    )
    assert run("node", "use.js", cwd=installed).split("\n") == [
        "Agent,Reconnector,SmartReconnector,Watcher,health,rowOf true",
        *("function function", ""),
    ]


def test_a_user_s_types_are_checked(installed: Path) -> None:
    (installed / "use.ts").write_text(
        """
        import { Agent, Watcher, health, type AgentOptions } from "dscore";
        import { Reconnector, type Row } from "dscore/reconnect";
        const row: Row = "other";
        const wait: number = new Reconnector({ cap: 1 }).refused(row);
        const watcher = new Watcher("http://h", { filter: { status: "online" } });
        watcher.addEventListener("change", ({ detail }) => detail.agent.id.length + wait);
        // @ts-expect-error there is no such event
        watcher.addEventListener("changed", () => {});
        const options: AgentOptions = { instanceId: "a", onTerminate: (request) => request.reason };
        const agent = new Agent("http://h", options);
        agent.addEventListener("refused", ({ detail }) => detail.reason === "server_not_ready");
        const word: Promise<"ok" | "shutting_down" | "unreachable"> = health("http://h");
        // @ts-expect-error an agent has an id
        new Agent("http://h", {});
        export { word, agent };
        """
    )
    strict = ("--strict", "--noEmit", "--module", "nodenext", "--lib", "es2023,dom")
    run(BIN / "tsc", *strict, "--types", "", "use.ts", cwd=installed)


EXAMPLES = re.findall(r"^```js\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
EXPECTED = ["ready", "other online", "7250", "connecting", "ready", "ok"]
"""What each example of the README says in the end, in their order."""


@pytest.fixture
def examples(installed: Path) -> Iterator[Callable[[str, Path], "subprocess.Popen[bytes]"]]:
    """Starts examples where the README's packages are; ends them afterwards."""
    for name in ("ws", "socket.io-client"):
        link = installed / "node_modules" / name
        if not link.exists():
            link.symlink_to(JS / "node_modules" / name)
    started: list[subprocess.Popen[bytes]] = []

    def start(text: str, log: Path) -> "subprocess.Popen[bytes]":
        script = installed / f"example-{len(text)}.js"
        script.write_text(text)
        with log.open("wb") as output:
            one = subprocess.Popen(["node", script], cwd=installed, stdout=output, stderr=output)
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()
        one.wait()


def test_the_examples_of_its_readme_run(
    lasting: Serving, examples: Callable[[str, Path], object], tmp_path: Path
) -> None:
    assert len(EXAMPLES) == len(EXPECTED)
    with connect(lasting.ws) as other:
        other.send(json.dumps({"type": "app_ready", "instance_id": "other"}))
        other.recv(timeout=10)
        logs = []
        for number, text in enumerate(EXAMPLES):
            log = tmp_path / f"{number}.log"
            examples(text.replace("127.0.0.1:8765", f"127.0.0.1:{lasting.port}"), log)
            logs.append(log)
        for log, expected in zip(logs, EXPECTED, strict=True):

            def says(log: Path = log, expected: str = expected) -> bool:
                return expected in log.read_text()

            try:
                wait_until(says, f"{expected!r} of an example", 30)
            except TimeoutError as error:
                raise TimeoutError(f"{error}: {log.read_text()}") from None
