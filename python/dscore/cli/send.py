"""`dscore message`, and what a message on the command line may be."""

import sys
from typing import Any

import orjson

from dscore.cli import output, shapes
from dscore.cli.client import Client, agent_path
from dscore.cli.errors import OK, USAGE, CliError

STDIN = "-"


def read_message(text: str) -> dict[str, Any]:
    """The message that was typed, or piped.

    Raises:
        CliError: it is no object with a `type`.
    """
    if text == STDIN:
        text = sys.stdin.buffer.read().decode(errors="replace")
    try:
        message = orjson.loads(text)
    except ValueError as error:
        raise CliError(f"the message is no JSON: {error}", USAGE) from None
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str) or not kind:
        wanted = 'write an object with a "type", as in \'{"type": "set_model"}\''
        raise CliError(f"the message has no type: {wanted}", USAGE)
    return dict(message)


def message(client: Client, agent_id: str, message: dict[str, Any], *, as_json: bool) -> int:
    """Sends one agent a message, and tells whether it waits."""
    path = agent_path(agent_id, "/message")
    document = client.call("POST", path, shapes.DELIVERY, message)
    if as_json:
        output.json(document)
    else:
        words = "sent" if document["delivered"] else "away: the message waits for it"
        output.line(f"{output.printable(agent_id)}: {words}")
    return OK
