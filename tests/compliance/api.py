"""`make compliance-api`: Schemathesis over the operator API of real servers.

A server with its defaults and one that requires tokens, each asked without the operator's token and
with it. The drain is last: afterwards a server answers for little else.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

HERE = Path(__file__).parent
SCHEMATHESIS = HERE.parent.parent / ".venv" / "schemathesis" / "bin" / "schemathesis"
EXAMPLES = "25"
"""Of each operation, in each phase, unless the command line says otherwise."""


@contextmanager
def server(*flags: str) -> Iterator[dict[str, str]]:
    """A server in a process of its own, and what it says of itself."""
    command = [sys.executable, str(HERE / "api_app.py"), *flags]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said: dict[str, str] = json.loads(process.stdout.readline())
        try:
            yield said
        finally:
            process.communicate(timeout=30)


def check(url: str, document: Path, token: str | None, words: Sequence[str]) -> bool:
    """One run; whether nothing was found."""
    shown = [] if token is None else ["--header", f"Authorization: Bearer {token}"]
    command = [
        *(str(SCHEMATHESIS), "--config-file", str(HERE / "schemathesis.toml"), "run"),
        *(str(document), "--url", url, "--continue-on-failure", "--max-examples", EXAMPLES),
        *("--generation-database", "none", *shown, *words),
    ]
    return subprocess.run(command, check=False).returncode == 0


def main(words: Sequence[str]) -> int:
    results = {}
    for name, flags in (("defaults", ()), ("tokens required", ("--required",))):
        with server(*flags) as said, tempfile.TemporaryDirectory() as directory:
            url, token = said["url"], said["token"]
            headers = {"authorization": f"Bearer {token}"}
            document = Path(directory, "openapi.json")
            answer = httpx.get(f"{url}/openapi.json", headers=headers, trust_env=False)
            document.write_bytes(answer.raise_for_status().content)
            for what, shown, only in (
                ("without a token", None, ()),
                ("with the token", token, ("--exclude-operation-id", "start")),
                ("the drain", token, ("--include-operation-id", "start")),
            ):
                print(f"\n{name}, {what}", flush=True)
                results[f"{name}, {what}"] = check(url, document, shown, [*only, *words])
    print()
    for run, is_clean in results.items():
        print(f"{'clean     ' if is_clean else 'VIOLATIONS'}  {run}")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
