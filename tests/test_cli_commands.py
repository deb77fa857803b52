"""What can be typed: help, usage errors, exit codes, and how fast help comes."""

import subprocess
import sys
from pathlib import Path
from shlex import quote

import pytest

from dscore.cli import run

COMMANDS = ["serve", "status", "agents", "why", "page", "drain", "terminate", "maintenance"]
COMMANDS += ["config", "events", "message", "broadcast", "remove", "completion", "doctor"]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert "Usage: dscore " + command in capsys.readouterr().out


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    assert "serve" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("dscore ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sevre"], "did you mean 'serve'"),
        (["serve", "--prot", "1"], "--port"),
        (["serve", "--port", "http"], "--port"),
        (["agents", "--limit", "0"], "--limit"),
        (["agents", "--status", "away"], "--status"),
        (["agents", "--dialect", "klingon"], "--dialect"),
        (["agents", "--watch", "--json"], "--watch"),
        (["agents", "--watch"], "needs a terminal"),
        (["why"], "agent"),
        (["drain", "--intent", "stop"], "--intent"),
        (["drain", "--timeout", "soon"], "--timeout"),
        (["config"], "see dscore config --help"),
        (["config", "chekc"], "did you mean 'check'"),
        (["events"], "--follow"),
        (["events", "cam", "--status", "online"], "--status"),
        (["events", "--limit", "-1", "cam"], "--limit"),
        (["message", "cam"], "message"),
        (["message", "cam", "{"], "no json"),
        (["message", "cam", "[]"], "no type"),
        (["message", "cam", '{"type": ""}'], "no type"),
        (["message", " ", '{"type": "x"}'], "no agent id"),
        (["broadcast", '{"type": "x"}'], "--all"),
        (["broadcast", "x", "--all"], "no json"),
        (["remove"], "--all"),
        (["remove", "--all", "cam"], "--all"),
        (["remove", "--label", "=x"], "--label"),
        (["remove", "cam", "--pause", "soon"], "--pause"),
        (["completion", "tcsh"], "bash"),
        (["completion"], "bash|zsh|fish"),
        (["status", "--token", "a\nb"], "--token"),
        (["maintenance", "onn"], "on"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("dscore: ")
    assert output.err.count("\n") == 1
    assert sentence.lower() in output.err.lower()


def test_help_loads_no_web_framework() -> None:
    script = (
        "import sys\n"
        "from dscore.cli import run\n"
        "run(['--help'])\n"
        "heavy = {'fastapi', 'httpx', 'pydantic', 'uvloop', 'dscore._core'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{quote(sys.executable)} -m dscore config check | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("SETTING")


def test_config_check_shows_value_and_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSCORE_LISTEN__PORT", "9000")
    path = tmp_path / "dscore.toml"
    path.write_text('[shutdown]\ntimeout = "7s"\n')
    assert run(["config", "check", "--config", str(path)]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert rows["listen.port"] == ["9000", "environment", "DSCORE_LISTEN__PORT"]
    assert rows["shutdown.timeout"] == ["7s", "file", str(path)]
    assert rows["listen.host"] == ["127.0.0.1", "default"]


def test_config_check_never_shows_a_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSCORE_AUTH__OPERATOR_TOKENS", "s3cret")
    for arguments in (["config", "check"], ["config", "check", "--json"]):
        assert run(arguments) == 0
        assert "s3cret" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[listen]\nprot = 1\n", "port"),
        ("[listen]\nport = 70000\n", "listen.port"),
        ('[auth]\ntoken_file = "/no/such/file"\n', "auth.token_file"),
        ("no toml", "dscore.toml"),
    ],
)
def test_config_check_of_a_bad_file_is_one_line_and_exit_2(
    text: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dscore.toml"
    path.write_text(text)
    assert run(["config", "check", "-c", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert sentence in err


@pytest.mark.parametrize("extension", ["None", "types.ModuleType('dscore._core')"])
def test_an_extension_that_does_not_fit_is_one_line_with_the_remedy(extension: str) -> None:
    """After `git pull`, or in a clone in which nothing was built yet, it was a traceback."""
    script = f"import sys, types; sys.modules['dscore._core'] = {extension}\n"
    script += "from dscore.cli import main; main(['serve', '--port', '0', '--store', ':memory:'])"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30
    )
    assert (said.returncode, said.stderr.count("\n")) == (1, 1), said.stderr
    assert said.stderr.startswith("dscore: its extension does not fit it (")
    assert "`make setup`" in said.stderr
