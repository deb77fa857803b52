"""Commands that look at a server, or switch something: status, agents, maintenance."""

from datetime import datetime, timezone
from typing import Any

from dscore.cli import show
from dscore.cli.client import Client, RefusedError
from dscore.cli.errors import OK

PAGE = 1000


def status(client: Client, *, as_json: bool) -> int:
    """Shows a server at a glance; one that shuts down, by its drain."""
    try:
        document = client.get("/api/v1/status")
    except RefusedError as refusal:
        # A draining server answers for its drain only.
        if refusal.status != 503:
            raise
        document = {"status": "shutting_down", "drain": client.get("/api/v1/drain")}
    if as_json:
        show.json(document)
    elif "drain" in document:
        show.line(f"{client.url}: shutting down, {progress_of(document['drain'])}")
    else:
        _show_status(client.url, document)
    return OK


def _show_status(url: str, document: dict[str, Any]) -> None:
    agents, connections = document["agents"], document["connections"]
    words = document["status"].replace("_", " ")
    show.line(f"{url}: {words}, up {show.span(document['uptime'])}")
    show.line(f"  server       dscore {document['version']}, pid {document['pid']}")
    show.line(
        f"  agents       {agents['total']:,}: "
        f"{agents['online']:,} online, {agents['offline']:,} offline"
    )
    show.line(
        f"  connections  {connections['total']:,}: {connections['authenticated']:,} "
        f"authenticated, {connections['unauthenticated']:,} unauthenticated"
    )


def progress_of(drain: dict[str, Any]) -> str:
    """A drain in words: its counts without the zeros."""
    names = ("acked", "notified", "failed", "timed_out", "vanished", "pending")
    counts = [f"{drain[name]:,} {name.replace('_', ' ')}" for name in names if drain[name]]
    total = drain["total"]
    agents = "1 agent" if total == 1 else f"{total:,} agents"
    return f"{agents}: {', '.join(counts)}" if counts else agents


def agents(client: Client, query: dict[str, Any], *, limit: int | None, as_json: bool) -> int:
    """Lists agents, as many pages as it takes."""
    items, next_cursor = list_agents(client, query, limit)
    if as_json:
        show.json({"items": items, "next_cursor": next_cursor})
        return OK
    now = datetime.now(timezone.utc)
    rows = (
        (
            item["id"],
            item["status"],
            item["reason_code"] or item["state"],
            item["ip"] or "-",
            show.ago(item["connected_at"], now),
            show.ago(item["last_heartbeat"], now),
        )
        for item in items
    )
    headings = ("ID", "STATUS", "STATE", "ADDRESS", "CONNECTED", "LAST HEARTBEAT")
    show.table(headings, rows, red="offline")
    return OK


def list_agents(
    client: Client, query: dict[str, Any], limit: int | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """The agents that fit a query, and a cursor if there are more than `limit`."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        size = PAGE if limit is None else min(PAGE, limit - len(items))
        more = {} if cursor is None else {"cursor": cursor}
        page = client.call("GET", "/api/v1/agents", query={"limit": size, **query, **more})
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or len(items) == limit:
            return items, cursor


def maintenance(client: Client, *, enabled: bool | None, as_json: bool) -> int:
    """Switches maintenance, or tells whether it is on."""
    if enabled is None:
        document = client.get("/api/v1/maintenance")
    else:
        document = client.call("POST", "/api/v1/maintenance", {"enabled": enabled})
    if as_json:
        show.json(document)
    else:
        show.line(f"maintenance is {'on' if document['enabled'] else 'off'}")
    return OK
