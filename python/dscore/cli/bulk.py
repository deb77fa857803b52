"""One action for many agents (terminate, message, remove): counted, asked, in waves."""

import sys
from dataclasses import dataclass
from typing import Any

import typer

from dscore.cli import output, shapes
from dscore.cli.client import PATIENCE, Client
from dscore.cli.errors import FAILED, INTERRUPTED, OK, PARTIAL, USAGE, CliError

HOLD = 1.0
"""Seconds that one look waits for the end, before the next one does."""


@dataclass(frozen=True, slots=True)
class Action:
    """What is done to agents, in words.

    Attributes:
        path: of the operator API.
        question: its begin; the count follows.
        under_way: for the bar.
        would: what a dry run says of the agents.
        done: what is said of those that it came about for.
        good: outcomes with which it came about.
        is_online: it is for connected agents only.
    """

    path: str
    question: str
    under_way: str
    would: str
    done: str
    good: tuple[str, ...]
    is_online: bool = False


TERMINATE = Action(
    path="/api/v1/terminate",
    question="Terminate",
    under_way="terminating",
    would="would be asked to stop",
    done="stopped",
    good=("acked",),
    is_online=True,
)
MESSAGE = Action(
    path="/api/v1/message",
    question="Send the message to",
    under_way="sending",
    would="would be sent the message",
    done="reached",
    good=("delivered", "kept"),
)
REMOVE = Action(
    path="/api/v1/remove",
    question="Remove",
    under_way="removing",
    would="would be removed",
    done="removed",
    good=("removed",),
)


def run(
    client: Client,
    action: Action,
    wish: dict[str, Any],
    *,
    dry_run: bool,
    ask: bool,
    as_json: bool,
) -> int:
    """Counts the agents, asks the operator unless each was named, then the agents; tells who is
    left.

    Raises:
        CliError: no agent fits, or there is no terminal to ask.
    """
    counted = client.call("POST", action.path, shapes.OPERATION, {**wish, "dry_run": True})
    total = counted["total"]
    if dry_run:
        return _show_count(action, counted, as_json=as_json)
    wanted = wish["filter"].get("ids")
    is_named = wish["filter"].keys() == {"ids"}
    if not total:
        kind = "connected" if action.is_online else "known"
        raise CliError(f"no agent {'of that id' if is_named else 'that fits'} is {kind}")
    if ask and not is_named:
        if not sys.stdin.isatty():
            raise CliError("a filter needs --yes where no terminal can ask", USAGE)
        typer.confirm(f"{action.question} {output.agents(total)}?", abort=True, err=True)
    operation = _followed(client, action, wish, as_json=as_json)
    if is_named and total < (named := len(set(wanted))):
        # The server leaves out what is no agent of its own: whom it was meant for is not reached.
        output.complain(f"{named - total:,} of {named:,} ids: no agent of that name")
        return _show_end(action, operation, as_json=as_json) or PARTIAL
    return _show_end(action, operation, as_json=as_json)


def _followed(client: Client, action: Action, wish: dict[str, Any], *, as_json: bool) -> Any:
    operation = client.call("POST", action.path, shapes.OPERATION, wish)
    with output.bar(action.under_way, quiet=as_json) as bar:
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
    return operation


def _look(client: Client, operation_id: str) -> Any:
    path = f"/api/v1/operations/{operation_id}"
    return client.call(
        "GET", path, shapes.OPERATION, query={"wait": HOLD}, patience=HOLD + PATIENCE
    )


def _show_count(action: Action, counted: dict[str, Any], *, as_json: bool) -> int:
    if as_json:
        output.json(counted)
    else:
        total = counted["total"]
        output.line(
            f"{output.agents(total)} {action.would}: {output.named(counted['left'], total)}"
        )
    return OK


def _show_end(action: Action, operation: dict[str, Any], *, as_json: bool) -> int:
    outcomes, total = operation["outcomes"], operation["total"]
    reached = sum(outcomes.get(each, 0) for each in action.good)
    if as_json:
        output.json(operation)
    else:
        for failure in operation["failures"]:
            words = failure["message"] or failure["outcome"].replace("_", " ")
            output.line(f"{output.printable(failure['id'])}: {output.printable(words)}")
        others = [
            f"{count:,} {outcome.replace('_', ' ')}"
            for outcome, count in sorted(outcomes.items())
            if outcome not in action.good or len(action.good) > 1
        ]
        output.line(", ".join([f"{reached:,} of {output.agents(total)} {action.done}", *others]))
        if operation["state"] != "done":
            output.complain(f"{operation['why']}; {_left(operation)}")
    if operation["state"] == "done" and reached == total:
        return OK
    return PARTIAL if reached else FAILED


def _left(operation: dict[str, Any]) -> str:
    total = operation["left_total"]
    if not total:
        return "none is left that was not asked"
    return f"{total:,} left that were not asked: {output.named(operation['left'], total)}"
