"""Commands that change something: their options and help. What is done is elsewhere."""

from typing import Annotated

import typer

from dscore.cli.app import app
from dscore.cli.choice import (
    AgentIds,
    DryRun,
    Everyone,
    MaxFailed,
    MessageText,
    OfState,
    Pause,
    Wave,
    Yes,
    chosen,
    pace,
)
from dscore.cli.options import (
    Intent,
    Json,
    Labels,
    OfDialect,
    ServerAt,
    Switch,
    Timeout,
    WithText,
    at_server,
    seconds,
)


@app.command()
@at_server
def drain(
    server: ServerAt,
    intent: Annotated[
        Intent | None,
        typer.Option(
            metavar="terminate|restart",
            help="Stop the agents' applications, or let them come back. [default: the server's]",
        ),
    ] = None,
    timeout: Timeout = None,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Wait for the end, or return once it has begun."),
    ] = True,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask for no confirmation.", show_default=False)
    ] = False,
    status: Annotated[
        bool,
        typer.Option(
            "--status", help="Show how far a drain is, and who is left.", show_default=False
        ),
    ] = False,
    json: Json = False,
) -> int:
    """Shut a server down gracefully, and wait for its report.

    On a terminal it asks first, with the number of agents. Exits with 3 if an agent failed, timed
    out or vanished.
    """
    from dscore.cli import operate, shutdown

    wish = {"intent": intent.value if intent else None, "timeout": seconds(timeout)}
    with server.client() as client:
        if status:
            return operate.drain_status(client, as_json=json)
        return shutdown.drain(client, wish, ask=not yes, wait=wait, as_json=json)


@app.command()
@at_server
def terminate(
    server: ServerAt,
    agent: AgentIds = None,
    everyone: Everyone = False,
    state: OfState = None,
    dialect: OfDialect = None,
    label: Labels = None,
    q: WithText = None,
    wave: Wave = None,
    pause: Pause = None,
    max_failed: MaxFailed = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    timeout: Timeout = None,
    json: Json = False,
) -> int:
    """Ask agents to stop their application, and wait for their answers. The server goes on.

    Name them, or say what they have in common: `--label site=busan --wave 50 --pause 10s
    --max-failed 2` asks fifty at a time, stops at the third that fails, and says who is left. Exits
    with 0 if all of them stopped, 3 if some did, 1 if none did.
    """
    from dscore.cli import bulk, shutdown

    which = chosen(agent, state, dialect, label, q, everyone=everyone, command="terminate")
    wanted = pace(wave, pause, max_failed)
    patience = seconds(timeout)
    is_by_id = everyone or which.keys() == {"ids"}
    with server.client() as client:
        if is_by_id and not (wanted or dry_run):
            ids = agent or shutdown.everyone(client, ask=not yes)
            return shutdown.terminate(client, ids, timeout=patience, as_json=json)
        wish = {"filter": which, **wanted}
        if patience is not None:
            wish["timeout"] = patience
        return bulk.run(client, bulk.TERMINATE, wish, dry_run=dry_run, ask=not yes, as_json=json)


@app.command()
@at_server
def message(
    server: ServerAt,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An agent's id.")],
    message: MessageText,
    json: Json = False,
) -> int:
    """Send one agent a message: a JSON object with a `type`.

    `dscore message cam-17 '{"type": "set_model", "name": "v4"}'`. If the agent is away the message
    waits for it as long as its session lives.
    """
    from dscore.cli import send

    read = send.read_message(message)
    with server.client() as client:
        return send.message(client, agent, read, as_json=json)


@app.command()
@at_server
def broadcast(
    server: ServerAt,
    message: MessageText,
    agent: AgentIds = None,
    everyone: Everyone = False,
    state: OfState = None,
    dialect: OfDialect = None,
    label: Labels = None,
    q: WithText = None,
    wave: Wave = None,
    pause: Pause = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Send many agents the same message: a JSON object with a `type`.

    `dscore broadcast '{"type": "set_model", "name": "v4"}' --label site=busan`. For those that are
    away it waits as long as their session lives. Exits with 3 if some could not be sent it.
    """
    from dscore.cli import bulk, send

    which = chosen(agent, state, dialect, label, q, everyone=everyone, command="broadcast")
    wish = {"filter": which, "message": send.read_message(message), **pace(wave, pause)}
    with server.client() as client:
        return bulk.run(client, bulk.MESSAGE, wish, dry_run=dry_run, ask=not yes, as_json=json)


@app.command()
@at_server
def remove(
    server: ServerAt,
    agent: AgentIds = None,
    everyone: Everyone = False,
    state: OfState = None,
    dialect: OfDialect = None,
    label: Labels = None,
    q: WithText = None,
    wave: Wave = None,
    pause: Pause = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Forget agents, with their session and what waits for them; connections are closed.

    For boxes that are gone for good, as in `dscore remove --state offline`: an agent that is still
    there and comes back is introduced anew. Exits with 0 if all were removed, 3 if some were.
    """
    from dscore.cli import bulk

    which = chosen(agent, state, dialect, label, q, everyone=everyone, command="remove")
    wish = {"filter": which, **pace(wave, pause)}
    with server.client() as client:
        return bulk.run(client, bulk.REMOVE, wish, dry_run=dry_run, ask=not yes, as_json=json)


@app.command()
@at_server
def maintenance(
    server: ServerAt,
    switch: Annotated[
        Switch | None,
        typer.Argument(metavar="on|off", help="Without it: show whether it is on."),
    ] = None,
    json: Json = False,
) -> int:
    """Turn all agents away for a while, without stopping the server."""
    from dscore.cli import operate

    enabled = None if switch is None else switch is Switch.on
    with server.client() as client:
        return operate.maintenance(client, enabled=enabled, as_json=json)
