"""Shell completion: what `dscore completion` prints, and what a shell asks then with each Tab.

Typer makes both; its own options for it would write into the operator's shell start-up files.
"""

from collections.abc import Mapping
from enum import Enum

from dscore.cli import output
from dscore.cli.errors import OK

PROGRAM = "dscore"
VARIABLE = "_DSCORE_COMPLETE"
"""In the environment of a program that a shell has started to ask."""


class Shell(str, Enum):
    """Shells that are known."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def script(shell: Shell) -> int:
    """Prints what a shell is to read."""
    # Typer has it there for the uses of its own.
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    output.line(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value))
    return OK


def answer(environ: Mapping[str, str]) -> None:
    """Makes Typer answer, when next called, if it is a shell that asks."""
    if VARIABLE in environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()
