"""Options that several commands have, and the words that options take."""

import functools
import inspect
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import typer

from dscore.cli.errors import USAGE, CliError

if TYPE_CHECKING:
    from dscore.cli.client import Client

DEFAULT_URL = "http://127.0.0.1:8765"

Url: TypeAlias = Annotated[
    str,
    typer.Option("--url", envvar="DSCORE_URL", metavar="URL", help="The server to talk to."),
]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="DSCORE_TOKEN",
        metavar="TOKEN",
        show_default=False,
        help="The operator's token. The variable keeps it out of the list of processes. On this "
        "machine the one that a server makes for its user is found without.",
    ),
]
CaCert: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--cacert",
        envvar="DSCORE_CACERT",
        metavar="FILE",
        show_default=False,
        help="Whom to trust with https, instead of this system's authorities: PEM.",
    ),
]
Cert: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--cert",
        envvar="DSCORE_CERT",
        metavar="FILE",
        show_default=False,
        help="A client certificate to show with https, its chain behind it: PEM.",
    ),
]
Key: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--key",
        envvar="DSCORE_KEY",
        metavar="FILE",
        show_default=False,
        help="The key of --cert, where it is not in the same file: PEM, without a password.",
    ),
]


class ServerAt(NamedTuple):
    """Which server a command talks to, and what it shows there."""

    url: Url = DEFAULT_URL
    token: Token = None
    cacert: CaCert = None
    cert: Cert = None
    key: Key = None

    def client(self) -> "Client":
        """A client of it; nothing is sent yet."""
        from dscore.cli.client import Client

        return Client(*self)


def at_server(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the options of `ServerAt` to a command, whose first parameter they are. Typer reads them
    from the signature."""
    options = inspect.signature(ServerAt).parameters
    signature = inspect.signature(command)
    parameters = [*list(signature.parameters.values())[1:], *options.values()]

    def run(**given: Any) -> int:
        server = ServerAt(**{name: given.pop(name) for name in options})
        return command(server, **given)

    functools.update_wrapper(run, command)
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


Json: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON, for programs.", show_default=False)
]
ConfigPath: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="Settings, a TOML file."),
]
Timeout: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="TIME",
        help="How long each agent has to answer: 30s, 2m, or seconds. [default: the server's]",
    ),
]


class Intent(str, Enum):
    """What a drain asks of the agents."""

    terminate = "terminate"
    restart = "restart"


class Switch(str, Enum):
    """On or off."""

    on = "on"
    off = "off"


class AgentStatus(str, Enum):
    """What watchers are told of an agent."""

    online = "online"
    offline = "offline"


class AgentState(str, Enum):
    """What an agent is, in more words than its status has."""

    connected = "connected"
    late = "late"
    terminating = "terminating"
    reconnecting = "reconnecting"
    unknown = "unknown"
    offline = "offline"
    terminated = "terminated"


class Reason(str, Enum):
    """Why an agent is offline."""

    reconnect_timeout = "reconnect_timeout"
    heartbeat_timeout = "heartbeat_timeout"
    missed_heartbeats = "missed_heartbeats"
    no_connection = "no_connection"
    terminated = "terminated"
    taken_over = "taken_over"
    shutdown = "shutdown"
    ping_timeout = "ping_timeout"
    protocol_error = "protocol_error"
    slow_consumer = "slow_consumer"
    operator = "operator"


class Sort(str, Enum):
    """The order of a list."""

    id = "id"
    status = "status"
    state = "state"
    connected_at = "connected_at"
    last_heartbeat = "last_heartbeat"
    natural = "natural"
    problem = "problem"
    since = "since"
    rtt = "rtt"
    id_down = "-id"
    status_down = "-status"
    state_down = "-state"
    connected_at_down = "-connected_at"
    last_heartbeat_down = "-last_heartbeat"
    natural_down = "-natural"
    problem_down = "-problem"
    since_down = "-since"
    rtt_down = "-rtt"


class Dialect(str, Enum):
    """How an agent speaks."""

    raw = "raw"
    socketio = "socketio"


Labels: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        "-l",
        metavar="NAME[=VALUE]",
        help="Only agents with this label in their config; may be given several times.",
    ),
]
OfDialect: TypeAlias = Annotated[
    Dialect | None,
    typer.Option("--dialect", metavar="raw|socketio", help="Only agents that speak this dialect."),
]
WithText: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--q", "-q", metavar="TEXT", help="Only agents whose id or address contains this."
    ),
]


def labels(texts: list[str] | None) -> list[str] | None:
    """What was typed for `--label`; None: nothing was.

    Raises:
        CliError: one of them has no name.
    """
    for text in texts or ():
        if not text.partition("=")[0].strip():
            raise CliError(f"--label {text}: write NAME or NAME=VALUE", USAGE)
    return texts or None


def seconds(text: str | None, option: str = "--timeout") -> float | None:
    """What was typed for an option that takes a duration.

    Raises:
        CliError: it is no duration.
    """
    if text is None:
        return None
    from dscore.config import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise CliError(f"{option} {text}: {error}", USAGE) from None
