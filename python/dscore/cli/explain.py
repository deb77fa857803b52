"""`dscore why`: what an agent is, why, and what happened before."""

from datetime import datetime

from dscore.cli import output, shapes
from dscore.cli.client import Client, agent_path
from dscore.cli.errors import OK
from dscore.explain import CONTEXT, clock, sentence


def why(client: Client, agent_id: str, *, limit: int, as_json: bool) -> int:
    """Tells it in one sentence, then the newest entries of the timeline, the last one last."""
    path = agent_path(agent_id, "/events")
    if as_json:
        output.json(client.call("GET", path, shapes.EVENTS, query={"limit": limit}))
        return OK
    document = client.call("GET", path, shapes.EVENTS, query={"limit": max(limit, CONTEXT)})
    # The server tells it in UTC: here it is the time of the wall that the reader looks at.
    now = datetime.now().astimezone()
    on_the_wall = clock(now, now.tzinfo) if now.tzinfo else str
    items = document["items"]
    output.line(output.printable(sentence(document["agent"], items, on_the_wall)))
    if items:
        output.line("")
    for item in reversed(items[:limit]):
        output.line(f"  {on_the_wall(item['at'])}  {output.printable(item['text'])}")
    return OK
