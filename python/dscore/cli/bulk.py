"""`dscore terminate` for many agents that have something in common: counted, asked, in waves."""

import sys
from collections.abc import Sequence
from typing import Any

import typer

from dscore.cli import output, shapes
from dscore.cli.client import PATIENCE, Client
from dscore.cli.errors import FAILED, INTERRUPTED, OK, PARTIAL, USAGE, CliError

HOLD = 1.0
"""Seconds that one look waits for the end, before the next one does."""
NAMED = 10
"""Agents named in a sentence; with --json there are more."""


def terminate(
    client: Client, wish: dict[str, Any], *, dry_run: bool, ask: bool, as_json: bool
) -> int:
    """Counts the agents, asks the operator, then the agents; tells who is left.

    Raises:
        CliError: no agent that fits is connected, or there is no terminal to ask.
    """
    counted = _post(client, {**wish, "dry_run": True})
    total = counted["total"]
    if dry_run:
        return _show_count(counted, as_json=as_json)
    if not total:
        raise CliError("no agent that fits is connected")
    if ask:
        if not sys.stdin.isatty():
            raise CliError("a filter needs --yes where no terminal can ask", USAGE)
        typer.confirm(f"Terminate {total:,} agents?", abort=True, err=True)
    operation = _post(client, wish)
    with output.bar("terminating", quiet=as_json) as bar:
        try:
            while operation["state"] == "running" or operation["answered"] < operation["asked"]:
                bar.update(operation["answered"], operation["total"])
                operation = _look(client, operation["id"])
            bar.update(operation["answered"], operation["total"])
        except KeyboardInterrupt:
            operation = client.call(
                "DELETE", f"/api/v1/operations/{operation['id']}", shapes.OPERATION
            )
            sentence = f"stopped asking; {_left(operation)}"
            raise CliError(sentence, INTERRUPTED) from None
    return _show_end(operation, as_json=as_json)


def _post(client: Client, wish: dict[str, Any]) -> Any:
    return client.call("POST", "/api/v1/terminate", shapes.OPERATION, wish)


def _look(client: Client, operation_id: str) -> Any:
    path = f"/api/v1/operations/{operation_id}"
    return client.call(
        "GET", path, shapes.OPERATION, query={"wait": HOLD}, patience=HOLD + PATIENCE
    )


def _show_count(counted: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        output.json(counted)
    else:
        total = counted["total"]
        agents = "1 agent" if total == 1 else f"{total:,} agents"
        output.line(f"{agents} would be asked to stop: {_named(counted['left'], total)}")
    return OK


def _show_end(operation: dict[str, Any], *, as_json: bool) -> int:
    acked = operation["outcomes"].get("acked", 0)
    if as_json:
        output.json(operation)
    else:
        for failure in operation["failures"]:
            words = failure["message"] or failure["outcome"].replace("_", " ")
            output.line(f"{output.printable(failure['id'])}: {output.printable(words)}")
        others = [
            f"{count:,} {outcome.replace('_', ' ')}"
            for outcome, count in sorted(operation["outcomes"].items())
            if outcome != "acked"
        ]
        output.line(", ".join([f"{acked:,} of {operation['total']:,} agents stopped", *others]))
        if operation["state"] != "done":
            output.complain(f"{operation['why']}; {_left(operation)}")
    if operation["state"] == "done" and acked == operation["total"]:
        return OK
    return PARTIAL if acked else FAILED


def _left(operation: dict[str, Any]) -> str:
    total = operation["left_total"]
    if not total:
        return "none is left that was not asked"
    return f"{total:,} left that were not asked: {_named(operation['left'], total)}"


def _named(ids: Sequence[str], total: int) -> str:
    named = ", ".join(map(output.printable, ids[:NAMED])) or "none"
    return f"{named} and {total - NAMED:,} more" if total > NAMED else named
