"""The agent id in a path, and the answer to one that no agent has."""

from typing import Annotated, TypeAlias
from urllib.parse import unquote

from fastapi import Depends, HTTPException, Path

from dscore.agent_ids import has_control, trimmed

MAX_ENCODED = 384
"""Characters of an id in a path: 128 bytes, each of which may take three."""


async def _agent_id(
    agent_id: Annotated[
        str,
        Path(
            description="Percent-encoded: a slash is %2F.",
            min_length=1,
            max_length=MAX_ENCODED,
            examples=["cam-17"],
        ),
    ],
) -> str:
    try:
        named = trimmed(unquote(agent_id, errors="strict"))
    except UnicodeDecodeError:
        raise HTTPException(400, "The agent id is not UTF-8.") from None
    if has_control(named):
        raise HTTPException(400, "No agent id has a control character in it.")
    return named


def unknown_agent(agent_id: str) -> HTTPException:
    return HTTPException(404, f"No agent has the id {agent_id!r}.")


AgentId: TypeAlias = Annotated[str, Depends(_agent_id)]
