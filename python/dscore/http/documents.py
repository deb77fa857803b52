"""What the pages say of agents and of a drain, as plain dicts ready for JSON."""

from typing import Any

from dscore.http.ports import AgentView, DrainStatusView, Fleet
from dscore.messages import timestamp

OUTCOMES = ("acked", "failed", "timed_out", "vanished", "notified", "pending")


def agent_document(agent: AgentView) -> dict[str, Any]:
    """An agent in a list."""
    return {
        "id": agent.id,
        "status": agent.status,
        "state": agent.state,
        "reason_code": agent.reason_code,
        "connected": agent.connected,
        "dialect": agent.dialect,
        "ip": agent.ip,
        "connected_at": _time(agent.connected_at),
        "last_heartbeat": _time(agent.last_heartbeat),
    }


def drain_document(status: DrainStatusView | None) -> dict[str, Any]:
    """A drain; without one, state "idle" and zeros."""
    if status is None:
        document: dict[str, Any] = {"state": "idle", "intent": None, "started_at": None, "total": 0}
        document |= dict.fromkeys(OUTCOMES, 0)
        return {**document, "report": None}
    document = {
        "state": status.state,
        "intent": status.intent,
        "started_at": timestamp(status.started_at),
        "total": status.total,
    }
    document |= {outcome: getattr(status, outcome) for outcome in OUTCOMES}
    document["report"] = None if status.report is None else status.report.as_dict()
    return document


def count_agents(fleet: Fleet) -> dict[str, int]:
    """Agents known, by status."""
    statuses = [agent.status for agent in fleet.agents()]
    online = statuses.count("online")
    return {"total": len(statuses), "online": online, "offline": len(statuses) - online}


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)
