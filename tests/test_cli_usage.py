"""What is typed wrongly: exit code 2, and a line that says what to type."""

from collections.abc import Callable
from enum import Enum
from io import StringIO
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from dscore.cli import options, output, run
from dscore.http.pagination import Sort
from dscore.messages import Dialect, ReasonCode, Status
from dscore.states import State

Invoke = Callable[..., tuple[int, str]]


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Invoke:
    """Runs a command; its code and stderr."""

    def invoke(*arguments: str) -> tuple[int, str]:
        return run(arguments), capsys.readouterr().err

    return invoke


@pytest.mark.parametrize(
    ("choices", "known"),
    [
        (options.AgentStatus, Status),
        (options.AgentState, State),
        (options.Reason, ReasonCode),
        (options.Dialect, Dialect),
        (options.Sort, Sort),
    ],
)
def test_what_can_be_chosen_is_what_the_server_knows(choices: type[Enum], known: object) -> None:
    assert {each.value for each in choices} == set(get_args(known))


@pytest.mark.parametrize("option", ["status", "state", "reason", "dialect", "sort"])
def test_a_choice_that_there_is_not_is_told_with_those_there_are(
    invoke: Invoke, option: str
) -> None:
    code, err = invoke("agents", f"--{option}", "foo")
    assert code == 2
    assert err.startswith(f"dscore: invalid value for '--{option}': 'foo' is not one of '")
    assert err.endswith("; see dscore agents --help\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("serve --port 80x", "must be a whole number, not '80x'"),
        ("agents --limit 1.5", "must be a whole number, not '1.5'"),
        ("agents --limit 0", "must be 1 or more, not '0'"),
        ("bench --rounds 500", "must be 100 or less, not '500'"),
    ],
)
def test_a_number_that_is_none_or_too_large_is_repeated(
    invoke: Invoke, words: str, sentence: str
) -> None:
    command, option, _ = words.split()
    line = f"dscore: invalid value for '{option}': {sentence}; see dscore {command} --help\n"
    assert invoke(*words.split()) == (2, line)


@pytest.mark.parametrize("label", ["", "=", "=x"])
def test_a_label_without_a_name(invoke: Invoke, label: str) -> None:
    line = f"dscore: --label {label}: write NAME or NAME=VALUE\n"
    assert invoke("agents", "--label", label) == (2, line)


def test_the_exit_codes_of_an_agent_are_in_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "5 if a stream did not reach its end" in words
    assert "A refused token ends nothing" in words
    assert "with 4" not in words
    assert run(["--help"]) == 0
    assert "dscore agent has more" in " ".join(capsys.readouterr().out.split())


def test_every_problem_of_a_file_is_a_line(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "dscore.toml"
    path.write_text('[listen]\nprot = 1\nport = "x"\n[log]\nlevel = "loud"\n')
    for words in (["config", "check"], ["serve"]):
        code, err = invoke(*words, "--config", str(path))
        assert code == 2
        assert [line.partition(":")[0] for line in err.splitlines()] == ["dscore"] * 3


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("width", [24, 40, 60, 80, 200])
def test_an_id_is_whole_before_any_other_column_is(width: int, fold: bool) -> None:
    agent_id = "a" * (width - 12)
    rows = [[agent_id, "reconnecting", "2001:db8:85a3::8a2e:370:7334"], ["b", "offline", "-"]]
    console = Console(width=width, file=StringIO())
    console.print(output.grid(("ID", "STATE", "ADDRESS"), rows, width, fold=fold))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue().splitlines()
    assert sum(agent_id in line for line in shown) == 1
    assert all(len(line) <= width for line in shown)


def test_an_id_wider_than_the_terminal_is_folded_and_nothing_of_it_lost() -> None:
    console = Console(width=40, file=StringIO())
    console.print(output.grid(("ID", "STATE"), [["0123456789" * 9, "offline"]], 40))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert sum(each.isdigit() for each in text) == 90
