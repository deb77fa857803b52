"""What can be typed: commands, their options and help. What is done is elsewhere."""

from typing import Annotated

import typer

from dscore.cli.errors import USAGE, CliError
from dscore.cli.options import (
    DEFAULT_URL,
    AgentState,
    AgentStatus,
    ConfigPath,
    Intent,
    Json,
    Labels,
    OfDialect,
    Reason,
    Sort,
    Switch,
    Timeout,
    Token,
    Url,
    WithText,
    labels,
    seconds,
)

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


@app.command()
def serve(
    host: Annotated[
        str | None,
        typer.Option(metavar="HOST", help="Address to listen on. [default: 127.0.0.1]"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Port to listen on; 0 takes a free one. [default: 8765]"),
    ] = None,
    config: ConfigPath = None,
    store: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What outlives a restart. [default: dscore.db]"),
    ] = None,
    reactors: Annotated[
        str | None,
        typer.Option(metavar="N", help="Threads that own the sockets. [default: auto]"),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--shutdown-deadline",
            metavar="TIME",
            help="How long its end may take, as its supervisor allows: 45s. [default: none]",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Listen beyond it without tokens and TLS.", show_default=False
        ),
    ] = False,
    tls_cert: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Speak TLS, with this certificate and its chain (PEM)."),
    ] = None,
    tls_key: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Its private key (PEM). [default: in the same file]"),
    ] = None,
) -> int:
    """Run the server until it is told to stop.

    SIGTERM or ctrl-C stops every agent's application gracefully, then ends; a later ctrl-C ends at
    once. SIGUSR1 ends the server only, and the agents come back; SIGHUP reads the configuration
    again. Flags win over DSCORE_SECTION__KEY variables, these over the file. Where no operator's
    token is set the server makes one, and leaves it where the other commands of this user find it.
    """
    from dscore.cli.serve import serve as run

    flags = {
        "listen.host": host,
        "listen.port": port,
        "listen.reactors": reactors,
        "store.path": store,
        "shutdown.deadline": deadline,
        "tls.certificates": tls_cert or None,
        "tls.keys": tls_key or None,
    }
    return run(config, flags, insecure=insecure)


@app.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def agent(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="...", help="See `dscore agent --help`.")
    ] = None,
) -> int:
    """Run an agent: hold the connection, run a pipeline, stop both when told to."""
    from dscore_agent.cli import run

    return run(words or [], program="dscore agent")


@app.command()
def status(url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> int:
    """Show a server at a glance."""
    from dscore.cli import operate
    from dscore.cli.client import Client

    with Client(url, token) as client:
        return operate.status(client, as_json=json)


@app.command()
def agents(
    only: Annotated[
        AgentStatus | None,
        typer.Option("--status", metavar="online|offline", help="Only agents with this status."),
    ] = None,
    state: Annotated[
        AgentState | None, typer.Option(metavar="STATE", help="Only agents in this state.")
    ] = None,
    reason: Annotated[
        Reason | None, typer.Option(metavar="CODE", help="Only agents offline for this reason.")
    ] = None,
    dialect: OfDialect = None,
    label: Labels = None,
    q: WithText = None,
    sort: Annotated[
        Sort,
        typer.Option(
            metavar="FIELD",
            help="id, status, state, connected_at or last_heartbeat; a leading - turns it round.",
        ),
    ] = Sort.id,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many. [default: all]")
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Show them live until ctrl-C.", show_default=False),
    ] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> int:
    """List the agents."""
    from dscore.cli import operate
    from dscore.cli.client import Client

    if watch and json:
        raise CliError("--watch is for people; poll --json instead", USAGE)
    wanted = {
        "status": only.value if only else None,
        "state": state.value if state else None,
        "reason": reason.value if reason else None,
        "dialect": dialect.value if dialect else None,
        "label": labels(label),
        "q": q,
        "sort": sort.value,
    }
    query = {name: value for name, value in wanted.items() if value is not None}
    with Client(url, token) as client:
        if watch:
            from dscore.cli.watch import watch as run

            return run(client, query, limit=limit)
        return operate.agents(client, query, limit=limit, as_json=json)


@app.command()
def why(
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An agent's id.")],
    limit: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Entries of the timeline.")
    ] = 20,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> int:
    """Tell in one sentence why an agent is what it is, and show what happened to it.

    Exits with 1 if there is no such agent.
    """
    from dscore.cli.client import Client
    from dscore.cli.explain import why as run

    with Client(url, token) as client:
        return run(client, agent, limit=limit, as_json=json)


@app.command()
def page(url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> int:
    """Print the address of the fleet page, with the operator's token behind its #.

    A browser keeps what is behind the # to itself. Where a server has no tokens set, it makes one,
    which the commands of its user find by themselves on this machine.
    """
    from dscore.cli import operate
    from dscore.cli.client import Client

    with Client(url, token) as client:
        return operate.page(client, as_json=json)


@app.command()
def drain(
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
        bool, typer.Option("--yes", "-y", help="Do not ask on a terminal.", show_default=False)
    ] = False,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> int:
    """Shut a server down gracefully, and wait for its report.

    On a terminal it asks first, with the number of agents. Exits with 3 if an agent failed, timed
    out or vanished.
    """
    from dscore.cli import shutdown
    from dscore.cli.client import Client

    wish = {"intent": intent.value if intent else None, "timeout": seconds(timeout)}
    with Client(url, token) as client:
        return shutdown.drain(client, wish, ask=not yes, wait=wait, as_json=json)


@app.command()
def terminate(
    agent: Annotated[list[str] | None, typer.Argument(metavar="AGENT", help="Agent ids.")] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help="Every agent that is connected.", show_default=False)
    ] = False,
    state: Annotated[
        AgentState | None, typer.Option(metavar="STATE", help="Agents in this state.")
    ] = None,
    dialect: OfDialect = None,
    label: Labels = None,
    q: WithText = None,
    wave: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="So many at a time. [default: all]"),
    ] = None,
    pause: Annotated[
        str | None, typer.Option(metavar="TIME", help="Between two waves: 10s, 2m, or seconds.")
    ] = None,
    max_failed: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Stop at one more failure than these. [default: never]"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count them.", show_default=False)
    ] = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask before many.", show_default=False),
    ] = False,
    timeout: Timeout = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> int:
    """Ask agents to stop their application, and wait for their answers. The server goes on.

    Name them, or say what they have in common: `--label site=busan --wave 50 --pause 10s
    --max-failed 2` asks fifty at a time, stops at the third that fails, and says who is left. Exits
    with 0 if all of them stopped, 3 if some did, 1 if none did.
    """
    from dscore.cli import bulk, shutdown
    from dscore.cli.client import Client

    common = {
        "state": [state.value] if state else None,
        "dialect": dialect.value if dialect else None,
        "label": labels(label),
        "q": q,
    }
    chosen: dict[str, object] = {name: value for name, value in common.items() if value is not None}
    pace = {"wave": wave, "pause": seconds(pause, "--pause"), "max_failed": max_failed}
    wanted: dict[str, object] = {name: value for name, value in pace.items() if value is not None}
    if (bool(agent) or bool(chosen)) == everyone:
        raise CliError(
            "name the agents, say what they have in common, or give --all; see "
            "dscore terminate --help",
            USAGE,
        )
    patience = seconds(timeout)
    with Client(url, token) as client:
        if not (chosen or wanted or dry_run):
            ids = agent or shutdown.everyone(client, ask=not yes)
            return shutdown.terminate(client, ids, timeout=patience, as_json=json)
        which = {**chosen, **({"ids": agent} if agent else {})} or {"all": True}
        wish = {"filter": which, **wanted}
        if patience is not None:
            wish["timeout"] = patience
        is_named = bool(agent) and not chosen
        return bulk.terminate(
            client, wish, dry_run=dry_run, ask=not (yes or is_named), as_json=json
        )


@app.command()
def maintenance(
    switch: Annotated[
        Switch | None,
        typer.Argument(metavar="on|off", help="Leave it out to see which it is."),
    ] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> int:
    """Turn all agents away for a while, without stopping the server."""
    from dscore.cli import operate
    from dscore.cli.client import Client

    enabled = None if switch is None else switch is Switch.on
    with Client(url, token) as client:
        return operate.maintenance(client, enabled=enabled, as_json=json)


@app.command()
def bench(
    agents: Annotated[
        int | None,
        typer.Option(
            min=1, max=25_000, metavar="N", help="Size of the fleet. [default: 10000, or what fits]"
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Repetitions.")] = 5,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            metavar="N",
            help="Processes of the fleet. [default: half the processors]",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Measure on this machine how fast a server stops a fleet. Takes a minute.

    Starts servers of its own on loopback, with agents that answer at once; touches no other.
    """
    from dscore.cli.bench import bench as run

    return run(agents, rounds, processes, as_json=json)


@config_app.command("check")
def check(config: ConfigPath = None, json: Json = False) -> int:
    """Check the configuration, and show each setting and where it comes from."""
    from dscore.cli.check import check as run

    return run(config, as_json=json)
