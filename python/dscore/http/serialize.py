"""What the pages say of agents and of a drain, as plain dicts ready for JSON."""

from typing import Any, Final, get_args

import orjson

from dscore.explain import describe
from dscore.http.ports import AgentView, Fleet, Server
from dscore.http.redact import Redactor
from dscore.messages import timestamp
from dscore.policy.drain import DrainLeft, DrainStatus
from dscore.policy.liveness import ONLINE_STATES
from dscore.states import OutcomeName
from dscore.store import Entry, StoreHealth
from dscore.translations import Language

OUTCOMES: Final[tuple[str, ...]] = (*get_args(OutcomeName), "pending")
COUNTS: Final = (*OUTCOMES, "incomplete")
"""Not an outcome of its own: it counts among the acked."""


def agent_document(agent: AgentView, redactor: Redactor) -> dict[str, Any]:
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
        "since": timestamp(agent.since),
        **heard_document(agent),
        "labels": redactor.labels(agent.labels),
    }


def heard_document(agent: AgentView) -> dict[str, Any]:
    """What `Fleet.refresh` renews of it."""
    return {
        "last_heartbeat": _time(agent.last_heartbeat),
        "rtt_ms": None if agent.rtt is None else round(agent.rtt * 1000, 3),
    }


MAX_LEFT: Final = 1000
"""Agents that are named as left."""
_NO_LATENCY: Final = {"p50": None, "p99": None, "max": None}


def drain_document(server: Server) -> dict[str, Any]:
    """A drain; without one, state "idle" and zeros."""
    status, detail = server.drain_status(), server.drain_detail(MAX_LEFT)
    return {
        **_counted(status),
        "latency_ms": _NO_LATENCY if detail is None else detail.latency_ms,
        "left": [] if detail is None else [_left_document(agent) for agent in detail.left],
        "left_total": 0 if status is None else status.pending,
        "not_acked": [] if detail is None else detail.not_acked[:MAX_LEFT],
    }


def _left_document(agent: DrainLeft) -> dict[str, Any]:
    return {"id": agent.id, "deadline": _time(agent.deadline), "stage": agent.stage}


def _counted(status: DrainStatus | None) -> dict[str, Any]:
    if status is None:
        document: dict[str, Any] = {"state": "idle", "intent": None, "started_at": None, "total": 0}
        document |= dict.fromkeys(COUNTS, 0)
        return {**document, "report": None}
    document = {
        "state": status.state,
        "intent": status.intent,
        "started_at": timestamp(status.started_at),
        "total": status.total,
    }
    document |= {name: getattr(status, name) for name in COUNTS}
    document["report"] = None if status.report is None else status.report.as_dict()
    return document


def entry_document(entry: Entry, language: Language) -> dict[str, Any]:
    """An entry of an agent's timeline."""
    data = orjson.loads(entry.data)
    return {
        "number": entry.number,
        "at": timestamp(entry.at / 1000),
        "kind": entry.kind,
        "text": describe(entry.kind, data, language),
        "data": data,
    }


def store_document(health: StoreHealth) -> dict[str, Any]:
    """Whether what is kept gets to where it outlives the process."""
    return {
        "status": "ok" if health.is_ok else "failing",
        "reason": health.reason,
        "waiting": health.waiting,
        "lost": health.lost_total,
    }


def count_agents(fleet: Fleet) -> dict[str, Any]:
    """Agents known, by status and by state, and those connected, by dialect."""
    states = {state: count for state, count in sorted(fleet.states().items()) if count}
    online = sum(count for state, count in states.items() if state in ONLINE_STATES)
    total = sum(states.values())
    return {
        "total": total,
        "online": online,
        "offline": total - online,
        "states": states,
        "dialects": fleet.dialects(),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else timestamp(seconds)
