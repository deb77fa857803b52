"""`dscore agents --watch`: the fleet as it is, on the whole screen, until ctrl-C.

It asks for one screenful a second, whatever the size of the fleet. A server that does not answer
for a while, because it is restarted for instance, is waited for under the last picture.
"""

import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.text import Text

from dscore.cli import output, shapes
from dscore.cli.client import Client
from dscore.cli.errors import OK, USAGE, CliError
from dscore.cli.operate import AGENT_HEADINGS, agent_row, fleet_line, list_agents

INTERVAL = 1.0
"""Seconds between two pictures."""
FRAME = 4
"""Lines that are no agent: the fleet, the headings, what is left out, and what went wrong."""


def watch(client: Client, query: dict[str, Any], *, limit: int | None) -> int:
    """Shows the agents that fit a query, again and again.

    Raises:
        CliError: there is no terminal, or the server could not be asked even once.
    """
    if not sys.stdout.isatty():
        raise CliError("--watch needs a terminal; for programs there is --json", USAGE)
    console = Console(file=sys.stdout, highlight=False)
    picture = _picture(client, query, limit, console.size)
    try:
        with Live(picture, console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(INTERVAL)
                try:
                    picture = _picture(client, query, limit, console.size)
                except CliError as error:
                    trouble = Text(output.printable(str(error)), "red")
                    live.update(Group(picture, trouble), refresh=True)
                else:
                    live.update(picture, refresh=True)
    except KeyboardInterrupt:
        return OK


def _picture(
    client: Client, query: dict[str, Any], limit: int | None, size: ConsoleDimensions
) -> RenderableType:
    room = max(1, size.height - FRAME)
    found = list_agents(client, query, min(room, limit or room))
    counts = client.get("/api/v1/status", shapes.STATUS)["agents"]
    return picture(
        client.url, counts, found.items, size.width, is_cut=found.next_cursor is not None
    )


def picture(
    url: str, counts: dict[str, Any], items: Sequence[dict[str, Any]], width: int, *, is_cut: bool
) -> RenderableType:
    """One screenful: the fleet in a line, and its agents."""
    now = datetime.now(timezone.utc)
    lines: list[RenderableType] = [
        Text(f"{url}: {fleet_line(counts)}", "bold", no_wrap=True, overflow="ellipsis"),
        output.grid(
            AGENT_HEADINGS,
            [agent_row(item, now) for item in items],
            width,
            red="offline",
            fold=False,
        ),
    ]
    if is_cut:
        lines.append(Text("and more: --state, --label or --sort choose others", "dim"))
    return Group(*lines)
