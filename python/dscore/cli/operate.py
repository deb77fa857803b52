"""Commands that look at a server, or switch something: status, agents, maintenance."""

from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import quote

from dscore.cli import output, shapes
from dscore.cli.client import Client, RefusedError
from dscore.cli.drain_lines import drain_lines, segments
from dscore.cli.errors import OK

PAGE = 1000
_PROXIED = {"via": "1.1 dscore"}
"""Makes reading take a token on loopback too (PROTOCOL.md §2, "Power"): a wrong one is refused."""
AGENT_HEADINGS = ("ID", "STATUS", "STATE", "ADDRESS", "ROUND TRIP", "CONNECTED", "LAST HEARTBEAT")


def status(client: Client, *, as_json: bool) -> int:
    """Shows a server at a glance; one that shuts down, by its drain."""
    try:
        document = client.get("/api/v1/status", shapes.STATUS)
    except RefusedError as refusal:
        # A draining server answers for its drain only.
        if refusal.status != 503:
            raise
        document = {
            "status": "shutting_down",
            "drain": client.get("/api/v1/drain", shapes.DRAIN),
        }
    if as_json:
        output.json(document)
    elif "drain" in document:
        _show_drain(client, document["drain"])
    else:
        _show_status(client.url, document)
    return OK


def drain_status(client: Client, *, as_json: bool) -> int:
    """Tells how a drain goes, and starts none."""
    document = client.get("/api/v1/drain", shapes.DRAIN)
    if as_json:
        output.json(document)
    elif document["state"] == "idle":
        output.line(f"{client.url}: no drain")
    else:
        _show_drain(client, document)
    return OK


def _show_drain(client: Client, drain: dict[str, Any]) -> None:
    first, *others = drain_lines(drain)
    output.line(f"{client.url}: shutting down, {first}")
    for line in [f"  {segments(drain)}", *others]:
        output.line(line)


def _show_status(url: str, document: dict[str, Any]) -> None:
    agents, connections = document["agents"], document["connections"]
    words = document["status"].replace("_", " ")
    output.line(f"{url}: {words}, up {output.span(document['uptime'])}")
    output.line(f"  server       dscore {document['version']}, pid {document['pid']}")
    output.line(f"  agents       {fleet_line(agents)}")
    output.line(
        f"  connections  {connections['total']:,}: {connections['authenticated']:,} "
        f"authenticated, {connections['unauthenticated']:,} unauthenticated"
    )
    output.line(f"  loop         {document['loop_lag_ms']:.1f} ms late when last measured")
    output.line(f"  store        {_store_line(document['store'])}")


def fleet_line(agents: dict[str, Any]) -> str:
    """A fleet in words: its size, its statuses, and the states that are worth a look."""
    line = f"{agents['total']:,}: {agents['online']:,} online, {agents['offline']:,} offline"
    usual = ("connected", "offline")
    others = [
        f"{count:,} {state}" for state, count in agents["states"].items() if state not in usual
    ]
    return f"{line} ({', '.join(others)})" if others else line


def _store_line(store: dict[str, Any]) -> str:
    waiting = f"{store['waiting']:,} changes wait"
    if store["status"] == "ok":
        return f"ok, {waiting}" if store["waiting"] else "ok"
    lost = f", {store['lost']:,} entries lost" if store["lost"] else ""
    return f"{store['status']}: {output.printable(store['reason'] or '')}; {waiting}{lost}"


def agents(client: Client, query: dict[str, Any], *, limit: int | None, as_json: bool) -> int:
    """Lists agents, as many pages as it takes."""
    found = list_agents(client, query, limit)
    if as_json:
        output.json({"items": found.items, "next_cursor": found.next_cursor, "total": found.total})
        return OK
    now = datetime.now(timezone.utc)
    output.table(AGENT_HEADINGS, (agent_row(item, now) for item in found.items), red="offline")
    output.complain(_total_line(found))
    return OK


def _total_line(found: "FoundAgents") -> str:
    """Under the table, and not in it: a program that counts lines counts agents."""
    shown = len(found.items)
    if shown < found.total:
        return f"{shown:,} of {found.total:,} agents"
    if not shown:
        return "no agent"
    online = sum(item["status"] == "online" for item in found.items)
    return f"{output.agents(shown)}: {online:,} online, {shown - online:,} offline"


def agent_row(item: dict[str, Any], now: datetime) -> tuple[str, ...]:
    """An agent under `AGENT_HEADINGS`."""
    return (
        item["id"],
        item["status"],
        item["reason_code"] or item["state"],
        item["ip"] or "-",
        "-" if item["rtt_ms"] is None else f"{item['rtt_ms']:.1f} ms",
        # Of one that is away it is when its last connection began: that is no news here.
        output.ago(item["connected_at"], now) if item["connected"] else "-",
        output.ago(item["last_heartbeat"], now),
    )


class FoundAgents(NamedTuple):
    """What a query has found.

    Attributes:
        items: the agents.
        next_cursor: of the page behind them; None: these are all.
        total: how many fit, these included.
    """

    items: list[dict[str, Any]]
    next_cursor: str | None
    total: int


def list_agents(client: Client, query: dict[str, Any], limit: int | None = None) -> FoundAgents:
    """The agents that fit a query, `limit` of them at most."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        size = PAGE if limit is None else min(PAGE, limit - len(items))
        more = {} if cursor is None else {"cursor": cursor}
        page = client.call(
            "GET", "/api/v1/agents", shapes.AGENTS, query={"limit": size, **query, **more}
        )
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None or len(items) == limit:
            # One of before does not count.
            return FoundAgents(items, cursor, page.get("total", len(items)))


def maintenance(client: Client, *, enabled: bool | None, as_json: bool) -> int:
    """Switches maintenance, or tells whether it is on."""
    if enabled is None:
        document = client.get("/api/v1/maintenance", shapes.MAINTENANCE)
    else:
        document = client.call(
            "POST", "/api/v1/maintenance", shapes.MAINTENANCE, {"enabled": enabled}
        )
    if as_json:
        output.json(document)
    else:
        output.line(f"maintenance is {'on' if document['enabled'] else 'off'}")
    return OK


def page(client: Client, *, as_json: bool) -> int:
    """Tells the address of the fleet page.

    Raises:
        RefusedError: The token that would stand in it is not this server's.
    """
    headers = _PROXIED if client.token else None
    path = client.get("/api/v1/status", shapes.STATUS, headers=headers)["page"]
    if client.token is None:
        output.complain("no operator's token was found: the page can look, not act")
    secret = "" if client.token is None else f"#token={quote(client.token, safe='')}"
    address = f"{client.url}{path}{secret}"
    if as_json:
        output.json({"url": address})
    else:
        output.line(address)
    return OK
