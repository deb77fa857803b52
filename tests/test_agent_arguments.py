"""What is typed behind the agent's command."""

import contextlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dscore_agent import Exit
from dscore_agent.cli import run
from dscore_agent.cli.arguments import Arguments, help_text, parse
from dscore_agent.cli.errors import CommandError
from serving import clean_environment
from waiting import wait_until

PROGRAM = [sys.executable, "-m", "dscore_agent"]


def parsed(*words: str, **environ: str) -> Arguments:
    arguments = parse(words, environ, "dscore-agent")
    assert arguments is not None
    return arguments


def test_nothing_typed_is_an_agent_of_defaults() -> None:
    assert parsed() == Arguments(config=None, flags={}, pipeline=None, level="info")


def test_words_win_over_variables() -> None:
    environ = {
        "DSCORE_AGENT_CONFIG": "env.txt",
        "DSCORE_AGENT_PIPELINE": "fakesrc ! fakesink",
        "DSCORE_AGENT_LOG_LEVEL": "debug",
    }
    assert parsed(**environ) == Arguments(Path("env.txt"), {}, "fakesrc ! fakesink", "debug")
    words = ("-c", "typed.txt", "--pipeline", "", "--log-level", "error")
    assert parsed(*words, **environ) == Arguments(Path("typed.txt"), {}, "", "error")
    assert parsed(**dict.fromkeys(environ, "")) == parsed()


def test_settings_are_flags_and_named_options_are_the_last_word() -> None:
    words = ("--set", "url=ws://a", "--set", " outbox_limit = 5 ", "--url", "ws://b")
    assert parsed(*words, "--instance-id=x").flags == {
        "url": "ws://b",
        "outbox_limit": "5",
        "instance_id": "x",
    }


@pytest.mark.parametrize("option", ["--instance-id", "--pipeline", "--url", "-c"])
@pytest.mark.parametrize("value", ["-x", "--url", "-1", "---", "a b"])
def test_a_value_may_look_like_an_option(option: str, value: str) -> None:
    arguments = parsed(option, value)
    taken = [*arguments.flags.values(), arguments.pipeline, arguments.config]
    assert value in [str(one) for one in taken]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--ulr", "x"], "no such option: --ulr (did you mean --url?); see dscore-agent --help"),
        (["--conf=x"], "no such option: --conf (did you mean --config?); see dscore-agent --help"),
        (["-x"], "no such option: -x; see dscore-agent --help"),
        (["more"], "unexpected word 'more'; see dscore-agent --help"),
        (["--url"], "--url: requires an argument; see dscore-agent --help"),
        (["--help=yes"], "-h/--help: ignored explicit argument 'yes'; see dscore-agent --help"),
        (["--url", "--"], "--url=--: -- is no value"),
        (["-c", "--"], "--config=--: -- is no value"),
        (["--set", "x"], "--set x: write --set key=value"),
        (["--set", "=x"], "--set =x: write --set key=value"),
        (
            ["--log-level", "INFO"],
            "--log-level: 'INFO' is not one of debug, info, warning, error"
            "; see dscore-agent --help",
        ),
    ],
)
def test_wrong_words_are_told_with_the_right_ones(words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError) as caught:
        parsed(*words)
    assert (str(caught.value), caught.value.code) == (sentence, 2)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(CommandError, match=r"^DSCORE_AGENT_LOG_LEVEL: 'loud' is not one of debug"):
        parsed(DSCORE_AGENT_LOG_LEVEL="loud")


def test_the_help_has_every_exit_code_and_no_other() -> None:
    codes = {line.split()[0] for line in help_text("x").partition("exits with:\n")[2].splitlines()}
    assert codes - {"A"} == {str(int(code)) for code in Exit} | {"2"}
    assert all(len(line) <= 80 for line in help_text("dscore-agent").splitlines())


def test_help_is_printed_and_its_reader_may_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: dscore-agent ")
    assert run(["-h", "--url", "x"], "dscore agent") == 0
    assert capsys.readouterr().out.startswith("usage: dscore agent ")


def test_a_complaint_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--ulr"]) == 2
    assert capsys.readouterr().err.startswith("dscore-agent: no such option")
    assert run(["--ulr"], "dscore agent") == 2
    assert capsys.readouterr().err.endswith("; see dscore agent --help\n")


def program(*words: str | bytes, **options: object) -> "subprocess.CompletedProcess[bytes]":
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": clean_environment({})}
    return subprocess.run([*PROGRAM, *words], timeout=60, **{**streams, **options})


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    done = program("--help", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_full_disk_is_a_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = program("--help", stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"dscore-agent: cannot go on: no space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize(("words", "code"), [("--help", 0), ("--nonsense", 2), ("--url x", 2)])
def test_closed_streams_are_no_traceback(closed: str, words: str, code: int) -> None:
    command = f"exec {shlex.join(PROGRAM)} {words} {closed}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, env=clean_environment({}), timeout=60
    )
    assert done.returncode == code
    assert b"Traceback" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "environ", [{}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]
)
def test_words_are_utf_8_in_every_locale_or_refused_in_a_sentence(environ: dict[str, str]) -> None:
    env = clean_environment(environ)
    done = program(b"--instance-id", b"\xff", env=env)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"word 2 of the command line is no text in UTF-8: \\" in done.stderr
    done = program("--url", "카메라", env=env)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"must be an address such as" in done.stderr
    assert "카메라".encode() in done.stderr or ascii("카메라")[1:-1].encode() in done.stderr


@pytest.mark.parametrize("module", [["dscore_agent"], ["dscore", "agent"]])
def test_words_are_read_once_under_either_name(module: list[str]) -> None:
    # Read twice, the second reading refused what the locale has no character for.
    env = clean_environment({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    words = ["--instance-id", "é", "--nonsense"]
    done = subprocess.run([sys.executable, "-m", *module, *words], capture_output=True, env=env)
    assert done.returncode == 2
    assert b"no such option" in done.stderr, done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_an_agent_with_closed_streams_ends_as_any_other(closed: str) -> None:
    command = f"exec {shlex.join(PROGRAM)} --url ws://127.0.0.1:1 {closed}"
    process = subprocess.Popen(["sh", "-c", command], env=clean_environment({}))
    try:
        # The loop's own handlers are there once it has a selector of its own.
        wait_until(lambda: "eventpoll" in descriptors(process.pid), "loop", 30.0)
        process.terminate()
        assert process.wait(20.0) == 0
    finally:
        process.kill()
        process.wait()


def descriptors(pid: int) -> str:
    """What the descriptors of a process lead to."""
    found = []
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.append(str(link.readlink()))
    return " ".join(found)
