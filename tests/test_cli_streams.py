"""What the commands write and take, in encodings that lack half of it, into readers of any kind."""

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from shlex import quote

import pytest

from serving import Serving, clean_environment
from wire import agent

NAME = "카메라-\u2028é"
"""An agent's id that neither ASCII nor Latin-1 has."""
ENVIRONMENTS = [
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "POSIX", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


def dscore(
    *words: str | bytes, env: dict[str, str] | None = None, **options: object
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "dscore", *words],
        env=clean_environment(env or {}),
        timeout=60,
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options),  # type: ignore[call-overload]
    )


@pytest.fixture(scope="module")
def fleet(lasting: Serving) -> Serving:
    """A server that knows an agent with a name beyond every small encoding."""

    async def visit() -> None:
        async with agent(lasting.ws, NAME):
            pass

    asyncio.run(visit())
    return lasting


COMMANDS = [
    ["--help"],
    ["serve", "--help"],
    ["status"],
    ["agents"],
    ["agents", "--q", NAME[:3]],
    ["agents", "--json"],
    ["why", NAME],
    ["why", NAME, "--json"],
    ["terminate", NAME],
    ["maintenance"],
    ["config", "check"],
]


@pytest.mark.parametrize("environ", ENVIRONMENTS)
def test_every_command_takes_and_writes_every_character(
    fleet: Serving, environ: dict[str, str], tmp_path: Path
) -> None:
    for words in COMMANDS:
        url = [] if words[-1] in ("--help", "check") else ["--url", fleet.url]
        done = dscore(*words, *url, env=environ, cwd=tmp_path)
        assert b"Traceback" not in done.stderr, (words, done.stderr)
        assert done.returncode == (1 if words[0] == "terminate" else 0), (words, done)
        if words[0] == "agents" and "--json" in words:
            assert NAME in {one["id"] for one in json.loads(done.stdout)["items"]}
        if words == ["why", NAME]:
            first = done.stdout.decode("latin-1").splitlines()[0]
            assert "\\u" in first or NAME[:3].encode() in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        [b"why", b"caf\xe9"],
        [b"\xff"],
        [b"agents", b"--q", b"\xff"],
        [b"status", b"--url", b"http://\xff"],
        [b"terminate", b"a", b"\xed\xa0\x80"],
        [b"serve", b"--config", b"\xff.toml"],
        [b"agent", b"--instance-id", b"\xff"],
    ],
)
@pytest.mark.parametrize("environ", [{}, ENVIRONMENTS[3]])
def test_words_that_are_no_text_are_refused_in_a_sentence(
    words: list[bytes], environ: dict[str, str]
) -> None:
    done = dscore(*words, env=environ)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"no text in UTF-8" in done.stderr


@pytest.mark.parametrize("url", ["http://é.invalid", "http://a b", "http://[", "http://\x01", "é"])
def test_an_odd_url_is_refused_in_a_sentence(url: str) -> None:
    done = dscore("status", "--url", url)
    assert done.returncode in (1, 2)
    assert done.stderr.count(b"\n") == 1, done.stderr


def test_an_odd_token_is_only_a_wrong_one(fleet: Serving) -> None:
    for token in ("geheimé", "카메라"):
        done = dscore("drain", "--no-wait", "--url", fleet.url, "--token", token)
        assert done.returncode == 1
        assert b"token" in done.stderr
        assert done.stderr.count(b"\n") == 1, done.stderr


@pytest.mark.parametrize(
    "words", [["--help"], ["agents"], ["config", "check"], ["agents", "--json"]]
)
def test_a_reader_that_has_gone_is_no_traceback(
    fleet: Serving, words: list[str], tmp_path: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    url = ["--url", fleet.url] if words[0] == "agents" else []
    done = dscore(*words, *url, stdout=write, cwd=tmp_path)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_full_disk_is_a_sentence(fleet: Serving) -> None:
    with open("/dev/full", "wb") as full:
        done = dscore("agents", "--url", fleet.url, stdout=full)
    assert done.returncode == 1
    assert b"no space left on device" in done.stderr
    assert done.stderr.count(b"\n") == 1, done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize("words", ["--help", "--version", "why nothing", "nonsense"])
def test_closed_streams_are_no_traceback(closed: str, words: str, tmp_path: Path) -> None:
    command = f"exec {quote(sys.executable)} -m dscore {words} {closed}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, env=clean_environment({}), timeout=60
    )
    assert done.returncode in (0, 1, 2)
    assert b"Traceback" not in done.stderr + done.stdout


def test_a_slow_reader_of_a_non_blocking_pipe_gets_everything() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [sys.executable, "-m", "dscore", "serve", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        env=clean_environment({"COLUMNS": "4000"}),
    )
    os.close(write)
    with os.fdopen(read, "rb") as out:
        # Nothing is read before the pipe is full, or all has been written.
        said = out.read()
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 0
    assert b"--insecure" in said
    assert len(said) > 4096
