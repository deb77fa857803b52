"""What all commands hang on: the program, its own options, and what its exit codes mean."""

from typing import Annotated

import typer

from dscore.cli.errors import USAGE

app = typer.Typer(
    help="dscore keeps the connections of a fleet of edge agents: run the server, or operate one.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done in part. "
    "`dscore agent` has more: see its help.",
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Look at the configuration.", no_args_is_help=False)
app.add_typer(config_app, name="config")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from dscore._core import __version__

        typer.echo(f"dscore {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE)
