"""Commands that run something, or look: their options and help. What is done is elsewhere."""

from typing import Annotated

import typer

from dscore.cli.app import app, config_app
from dscore.cli.completion import Shell
from dscore.cli.errors import USAGE, CliError
from dscore.cli.options import (
    AgentState,
    AgentStatus,
    ConfigPath,
    Json,
    Labels,
    OfDialect,
    Reason,
    ServerAt,
    Sort,
    WithText,
    at_server,
    labels,
)


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
            "--insecure", help="Listen beyond loopback without tokens and TLS.", show_default=False
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
@at_server
def status(
    server: ServerAt,
    json: Json = False,
) -> int:
    """Show a server at a glance."""
    from dscore.cli import operate

    with server.client() as client:
        return operate.status(client, as_json=json)


@app.command()
@at_server
def agents(
    server: ServerAt,
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
            help="id, status, state, connected_at or last_heartbeat; a leading - reverses it.",
        ),
    ] = Sort.id,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Agents at most. [default: all]")
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Show them live until ctrl-C.", show_default=False),
    ] = False,
    json: Json = False,
) -> int:
    """List the agents."""
    from dscore.cli import operate

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
    with server.client() as client:
        if watch:
            from dscore.cli.watch import watch as run

            return run(client, query, limit=limit)
        return operate.agents(client, query, limit=limit, as_json=json)


@app.command()
@at_server
def why(
    server: ServerAt,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An agent's id.")],
    limit: Annotated[
        int, typer.Option(min=1, max=1000, metavar="N", help="Entries of the timeline, the latest.")
    ] = 20,
    json: Json = False,
) -> int:
    """Tell in one sentence why an agent is what it is, and show what happened to it.

    Exits with 1 if there is no such agent.
    """
    from dscore.cli.explain import why as run

    with server.client() as client:
        return run(client, agent, limit=limit, as_json=json)


@app.command()
@at_server
def events(
    server: ServerAt,
    agent: Annotated[
        str | None, typer.Argument(metavar="AGENT", help="Only what happens to this agent.")
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on until ctrl-C.", show_default=False),
    ] = False,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", min=0, max=1000, metavar="N", help="Past entries to begin with."
        ),
    ] = 20,
    status: Annotated[
        AgentStatus | None,
        typer.Option(metavar="online|offline", help="Only changes to this status."),
    ] = None,
    q: WithText = None,
    json: Json = False,
) -> int:
    """Show what happens: to one agent, or with --follow to the fleet, one line each.

    Of an agent it shows the timeline, the newest line last; of the fleet which agents go offline,
    come online and come back, maintenance and the drain. With --json each line is an object. It
    waits for a server that is restarted.
    """
    from dscore.cli import follow as run

    if agent is None and not follow:
        raise CliError("name an agent, or give --follow; see dscore events --help", USAGE)
    if agent is not None and (status or q):
        raise CliError("--status and --q are for the fleet, not with an agent", USAGE)
    with server.client() as client:
        if agent is not None:
            return run.timeline(client, agent, limit=limit, goes_on=follow, as_json=json)
        return run.fleet(client, status.value if status else None, q, as_json=json)


@app.command()
@at_server
def page(
    server: ServerAt,
    json: Json = False,
) -> int:
    """Print the address of the fleet page, with the operator's token behind its #.

    A browser keeps what is behind the # to itself. Where a server has no tokens set, it makes one,
    which the commands of its user find by themselves on this machine.
    """
    from dscore.cli import operate

    with server.client() as client:
        return operate.page(client, as_json=json)


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


@app.command()
def doctor(
    config: ConfigPath = None,
    agents: Annotated[
        int, typer.Option(min=1, max=10_000_000, metavar="N", help="Size of the fleet.")
    ] = 10_000,
    json: Json = False,
) -> int:
    """Look at this machine: would a server with this configuration hold so many agents?

    Tokens, ports, store, shutdown, descriptors, kernel settings, memory and clock, each with the
    remedy. Run it as the server's user, before the server is started. Exits with 1 if something
    would keep the server from its work.
    """
    from dscore.cli.doctor import doctor as run

    return run(config, agents, as_json=json)


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish", help="The shell.")],
) -> int:
    """Print what makes a shell complete the commands and options of dscore.

    For bash: `dscore completion bash > ~/.local/share/bash-completion/completions/dscore`; for zsh
    into `_dscore` in a folder of its `fpath`; for fish into
    `~/.config/fish/completions/dscore.fish`.
    """
    from dscore.cli.completion import script

    return script(shell)
