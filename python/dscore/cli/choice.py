"""Which agents a command is about, and how fast it goes through them: options, and the API's words
for them."""

from typing import Annotated, Any, TypeAlias

import typer

from dscore.cli.errors import USAGE, CliError
from dscore.cli.options import AgentState, Dialect, labels, seconds

AgentIds: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="AGENT", help="Agent ids.")
]
Everyone: TypeAlias = Annotated[
    bool, typer.Option("--all", help="Every agent there is.", show_default=False)
]
OfState: TypeAlias = Annotated[
    AgentState | None, typer.Option(metavar="STATE", help="Agents in this state.")
]
Wave: TypeAlias = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Agents at a time. [default: all]")
]
Pause: TypeAlias = Annotated[
    str | None, typer.Option(metavar="TIME", help="Between two waves: 10s, 2m, or seconds.")
]
MaxFailed: TypeAlias = Annotated[
    int | None,
    typer.Option(min=0, metavar="N", help="Stop once more than N have failed. [default: never]"),
]
DryRun: TypeAlias = Annotated[
    bool, typer.Option("--dry-run", help="Count the agents, and ask none.", show_default=False)
]
Yes: TypeAlias = Annotated[
    bool, typer.Option("--yes", "-y", help="Ask for no confirmation.", show_default=False)
]
MessageText: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="MESSAGE", help="A JSON object with a `type`; - reads standard input."),
]


def chosen(
    ids: list[str] | None,
    state: AgentState | None,
    dialect: Dialect | None,
    label: list[str] | None,
    q: str | None,
    *,
    everyone: bool,
    command: str,
) -> dict[str, Any]:
    """The filter of the operator API.

    Raises:
        CliError: nothing is chosen, or everything and something.
    """
    common = {
        "ids": ids or None,
        "state": [state.value] if state else None,
        "dialect": dialect.value if dialect else None,
        "label": labels(label),
        "q": q,
    }
    which = {name: value for name, value in common.items() if value is not None}
    if bool(which) == everyone:
        raise CliError(
            "name the agents, say what they have in common, or give --all; see "
            f"dscore {command} --help",
            USAGE,
        )
    return which or {"all": True}


def pace(
    wave: int | None, pause: str | None, max_failed: int | None = None
) -> dict[str, int | float]:
    """How fast, as far as something was said of it."""
    given = {"wave": wave, "pause": seconds(pause, "--pause"), "max_failed": max_failed}
    return {name: value for name, value in given.items() if value is not None}
