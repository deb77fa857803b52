"""The JavaScript client on a stage, in Node and in Chromium: the same lines run in both.

    stage.run("stage.watcher(args[0])", serving.url)
    stage.wait_for("watcher", "state", state="ready")

`make setup-clients` installs what it stands on, `make setup-browser` the browser. What happens to a
client is kept in order, until it is waited for.
"""

import functools
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from browser import CHROMIUM, DRIVER, Browser
from waiting import wait_until

JS = Path(__file__).parent.parent / "clients" / "js"
NODE = shutil.which("node")
INSTALLED = NODE is not None and (JS / "node_modules" / ".package-lock.json").exists()
HAS_BROWSER = CHROMIUM is not None and DRIVER is not None
MISSING = None if INSTALLED else "no node, or nothing installed in clients/js: make setup-clients"

Happening = dict[str, Any]


class Runtime(Protocol):
    """Where lines run."""

    def run(self, body: str, *args: object) -> Any:
        """What the body of an async function returns; `stage` and `args` are there."""


class Stage:
    """Clients in one runtime, and what happened to them."""

    def __init__(self, name: str, runtime: Runtime) -> None:
        self.name = name
        self.kept: list[Happening] = []
        self._runtime = runtime

    def run(self, body: str, *args: object) -> Any:
        return self._runtime.run(body, *args)

    def happened(self) -> list[Happening]:
        """All that was not waited for yet."""
        self.kept += self.run("return stage.take()")
        return self.kept

    def wait_for(self, name: str, kind: str, seconds: float = 20.0, **fields: Any) -> Any:
        """The detail of the next event of this kind with these fields; what came before it of the
        same client is dropped."""

        def find() -> int | None:
            for at, one in enumerate(self.happened()):
                if (one["name"], one["type"]) == (name, kind) and _fits(one["detail"], fields):
                    return at + 1
            return None

        try:
            at = wait_until(find, f"{kind} {fields} of {name}", seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error} in {self.name}, but {self.kept}") from None
        found = self.kept[at - 1]
        self.kept = [one for one in self.kept[: at - 1] if one["name"] != name] + self.kept[at:]
        return found["detail"] | {"at": found["at"]}


def _fits(detail: Any, fields: dict[str, Any]) -> bool:
    return all(detail.get(name) == value for name, value in fields.items())


class Node:
    """One program of Node."""

    def __init__(self) -> None:
        assert NODE is not None
        self._process = subprocess.Popen(
            [NODE, JS / "test" / "driver.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, body: str, *args: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"body": body, "args": args}).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


class Page:
    """A tab of a browser, at a page that has the modules as they are."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser = browser
        self.url = f"{url}/test/stage.html"
        self.open()

    def open(self) -> None:
        self.browser.open(self.url)
        wait_until(lambda: self.browser.run("return !!globalThis.stage"), "stage", 20)

    def run(self, body: str, *args: object) -> Any:
        return self.browser.run(
            f"const args = [...arguments]; return (async () => {{{body}}})()", *args
        )


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def files() -> Iterator[str]:
    """The package's folder, served on loopback: the address."""
    handler = functools.partial(_Files, directory=str(JS))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
