"""The health document and the probes.

Read by load balancers, and by every agent before it reconnects: often, and by many at once.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Literal

import orjson
import psutil
from fastapi import Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from dscore.agent_ids import trimmed
from dscore.http.access import HEALTH, SEES_IDS
from dscore.http.ports import Fleet, Server
from dscore.http.serialize import store_document
from dscore.http.served import ServerOf, shared_router
from dscore.messages import timestamp_now

SAMPLE_SECONDS = 1.0
"""The machine is never looked at more often; in between the last sample is repeated."""


class WebSocketHealth(BaseModel):
    """Connections, in one consistent reading: total = authenticated + unauthenticated."""

    total_connections: int
    authenticated_connections: int
    unauthenticated_connections: int
    is_shutting_down: bool


class DialectsHealth(BaseModel):
    """Agents that are connected, by the dialect they speak."""

    raw: int
    socketio: int


class SystemHealth(BaseModel):
    """The machine: processor and memory in percent; the server's uptime in seconds."""

    cpu_usage: float
    memory_usage: float
    uptime: float


class StorageHealth(BaseModel):
    """What is kept: "failing" while nothing can be written, and the server goes on without."""

    status: Literal["ok", "failing"]
    reason: str | None
    waiting: int
    lost: int


class Health(BaseModel):
    """The health document (PROTOCOL.md §8)."""

    status: Literal["ok", "shutting_down"]
    timestamp: str
    connected_instances: list[str] = Field(description="Ids; see instances_hidden.")
    instances_hidden: bool = Field(
        default=False,
        description="True: tokens are required, and the request has no operator's: no id is told.",
    )
    websocket: WebSocketHealth
    dialects: DialectsHealth
    system: SystemHealth
    maintenance: bool
    store: StorageHealth
    instance_connected: bool | None = None
    """Only where the query names an `instance_id`: whether that agent is connected."""


class ProbeAnswer(BaseModel):
    """What a probe found."""

    status: Literal["ok", "starting", "draining", "maintenance", "full"]
    cause: str | None = None
    """Of "full": what there is none left of, and what to do about it."""


class SystemSampler:
    """Percent of processor and memory in use, sampled now and then, without waiting."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken_at = clock()
        # The processor's use is counted from the last call on: this one only sets the mark.
        psutil.cpu_percent(interval=None)
        self._sample = (0.0, psutil.virtual_memory().percent)

    def sample(self) -> tuple[float, float]:
        """The latest sample: processor, memory."""
        now = self._clock()
        if now - self._taken_at >= SAMPLE_SECONDS:
            self._taken_at = now
            # The machine is read from files: without a free descriptor the last sample stands, and
            # agents still hear that the server is well.
            with suppress(OSError):
                self._sample = (psutil.cpu_percent(interval=None), psutil.virtual_memory().percent)
        return self._sample


routes = shared_router("health")
"""The health document and the probes."""


@routes.get(
    HEALTH,
    summary="The health document",
    response_model=Health,
    responses={503: {"model": Health, "description": "The server is shutting down."}},
)
async def health(request: Request, server: ServerOf, instance_id: str | None = None) -> Response:
    state = request.app.state
    headers = {"cache-control": "no-store"}
    # Taken first: a large fleet's need several turns of the loop, and all else belongs
    # together.
    sees_ids = request.scope.get(SEES_IDS, False)
    ids = await server.fleet.read_connected_ids() if sees_ids else None
    status = state.draining_status if server.is_draining else 200
    body = health_document(server, state.sampler, instance_id, ids=ids)
    return Response(body, status, headers, "application/json")


@routes.get("/livez", summary="Does the loop turn?", response_model=ProbeAnswer)
async def livez() -> Response:
    return _probe("ok")


@routes.get(
    "/readyz",
    summary="Ready to take agents?",
    response_model=ProbeAnswer,
    responses={503: {"model": ProbeAnswer, "description": "Not now."}},
)
async def readyz(server: ServerOf) -> Response:
    if server.is_draining:
        return _probe("draining")
    if server.maintenance:
        return _probe("maintenance")
    if not server.is_ready:
        return _probe("starting")
    cause = server.why_full()
    return _probe("ok" if cause is None else "full", cause)


@routes.get(
    "/startupz",
    summary="Has the server started?",
    response_model=ProbeAnswer,
    responses={503: {"model": ProbeAnswer, "description": "Not yet."}},
)
async def startupz(server: ServerOf) -> Response:
    return _probe("ok" if server.is_started else "starting")


def health_document(
    server: Server,
    sampler: SystemSampler,
    instance_id: str | None = None,
    *,
    ids: Sequence[str] | None,
) -> bytes:
    """The health document as JSON. Nothing awaits between the readings, so they belong together.

    Args:
        instance_id: Whether this agent is connected is said too; agents ask before they return
            under an id that was taken over (PROTOCOL.md §7).
        ids: Of all that are connected; None where they are not told.
    """
    counts = server.fleet.counts()
    cpu, memory = sampler.sample()
    is_draining = server.is_draining
    return orjson.dumps(
        {
            "status": "shutting_down" if is_draining else "ok",
            "timestamp": timestamp_now(),
            "connected_instances": ids or [],
            **({"instances_hidden": True} if ids is None else {}),
            "websocket": {
                "total_connections": counts.total,
                "authenticated_connections": counts.authenticated,
                "unauthenticated_connections": counts.unauthenticated,
                "is_shutting_down": is_draining,
            },
            "dialects": server.fleet.dialects(),
            "system": {
                "cpu_usage": cpu,
                "memory_usage": memory,
                "uptime": round(server.uptime, 3),
            },
            "maintenance": server.maintenance,
            "store": store_document(server.store_health()),
            **({} if instance_id is None else _presence(server.fleet, instance_id)),
        }
    )


def _presence(fleet: Fleet, agent_id: str) -> dict[str, bool]:
    agent = fleet.agent(trimmed(agent_id))
    return {"instance_connected": agent is not None and agent.connected}


def _probe(status: str, cause: str | None = None) -> Response:
    body = orjson.dumps({"status": status, **({} if cause is None else {"cause": cause})})
    headers = {"cache-control": "no-store"}
    return Response(body, 200 if status == "ok" else 503, headers, "application/json")
