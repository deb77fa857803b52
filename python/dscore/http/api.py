"""The operator API, /api/v1: agents, drain, maintenance, status.

A request that gets here has passed `access`. Answers are orjson bytes, not models: a page of a
thousand agents is made in a millisecond; the models only describe them.
"""

import asyncio
import os
from typing import Annotated

from fastapi import HTTPException, Request
from fastapi import Query as QueryParam
from starlette.responses import Response

from dscore._core import __version__
from dscore.errors import NotConnectedError, NotKeptError, UnknownAgentError
from dscore.http import audit_page, bulk, events, models, overview
from dscore.http.access import API
from dscore.http.agent_id import AgentId, unknown_agent
from dscore.http.audit import MAX_TEXT, AuditOf
from dscore.http.filters import FilterOf
from dscore.http.json_response import json_response
from dscore.http.pagination import MAX_LIMIT, CursorError, Query, Sort, page
from dscore.http.ports import AgentView, Fleet, Server
from dscore.http.serialize import (
    agent_document,
    count_agents,
    drain_document,
    heard_document,
    store_document,
)
from dscore.http.served import RedactorOf, ServerOf, shared_router
from dscore.http.strict import Plain, StrictRoute
from dscore.http.waits import Wait
from dscore.policy.drain import DrainReport

MAX_OFFSET = 10_000_000

_drains: set[asyncio.Task[DrainReport]] = set()
"""Those that run, of any server: else they may be collected."""

_agents = shared_router("agents", prefix=API, route_class=StrictRoute)
_server = shared_router("server", prefix=API, route_class=StrictRoute)

ROUTERS = (_agents, events.routes, overview.routes, bulk.routes, _server, audit_page.routes)
"""The operator API."""


@_agents.get("/agents", summary="Agents, page by page", response_model=models.AgentPage)
async def list_agents(
    server: ServerOf,
    redactor: RedactorOf,
    wanted: FilterOf,
    sort: Annotated[
        Sort,
        QueryParam(
            description="natural: by id, numbers in it by their value; problem: what needs a "
            "look first. A leading - turns the order round."
        ),
    ] = "id",
    limit: Annotated[int, QueryParam(ge=1, le=MAX_LIMIT), Plain] = 100,
    cursor: Annotated[
        str | None, QueryParam(max_length=4096, description="next_cursor of the page before.")
    ] = None,
    offset: Annotated[
        int,
        QueryParam(ge=0, le=MAX_OFFSET, description="So many are left out; not with a cursor."),
        Plain,
    ] = 0,
) -> Response:
    query = Query(filter=wanted, sort=sort, limit=limit, cursor=cursor, offset=offset)
    # What is sorted by is read of all before; otherwise what is shown is read afterwards.
    if is_read_first := sort.endswith(("last_heartbeat", "rtt")):
        await server.fleet.refresh()
    try:
        found = await page(server.fleet, query)
    except CursorError as error:
        raise HTTPException(400, str(error)) from None
    items = [agent_document(agent, redactor) for agent in found.items]
    if not is_read_first:
        await server.fleet.refresh([agent.id for agent in found.items])
        for item, agent in zip(items, found.items, strict=True):
            # The rest stays as it was when it fitted.
            item |= heard_document(agent)
    return json_response({"items": items, "next_cursor": found.next_cursor, "total": found.total})


@_agents.get("/agents/{agent_id}", summary="One agent", response_model=models.AgentDetail)
async def show_agent(server: ServerOf, redactor: RedactorOf, agent_id: AgentId) -> Response:
    await server.fleet.refresh([agent_id])
    agent = _known(server.fleet, agent_id)
    return json_response(
        {
            **agent_document(agent, redactor),
            "config": redactor.config(agent.config),
            "undelivered": agent.undelivered,
            "dropped": agent.dropped,
        }
    )


@_agents.post(
    "/agents/{agent_id}/terminate",
    summary="Ask one agent to stop, and wait for its answer",
    response_model=models.TerminateResult,
)
async def terminate(
    server: ServerOf,
    agent_id: AgentId,
    audit: AuditOf,
    wish: models.TerminateRequest | None = None,
) -> Response:
    timeout = wish.timeout if wish is not None else None
    audit.parameters(timeout=timeout)
    try:
        result = await server.fleet.terminate(agent_id, timeout=timeout)
    except UnknownAgentError:
        raise unknown_agent(agent_id) from None
    except NotConnectedError:
        raise HTTPException(409, f"Agent {agent_id!r} is not connected.") from None
    return json_response(
        {
            "outcome": result.outcome,
            "request_id": result.request_id,
            "latency_ms": result.latency_ms,
            "complete": result.complete,
            "message": result.message,
        }
    )


@_agents.delete(
    "/agents/{agent_id}",
    summary="Remove one agent; its connection is closed",
    status_code=204,
    response_class=Response,
)
async def remove(server: ServerOf, agent_id: AgentId) -> Response:
    try:
        await server.fleet.remove(agent_id)
    except UnknownAgentError:
        raise unknown_agent(agent_id) from None
    return Response(status_code=204)


@_agents.post(
    "/agents/{agent_id}/message",
    summary="Send one agent a message",
    status_code=202,
    response_model=models.Delivery,
)
async def message(
    server: ServerOf,
    agent_id: AgentId,
    wish: models.AgentMessage,
    request: Request,
    audit: AuditOf,
) -> Response:
    text = await request.body()  # handed on byte for byte
    audit.parameters(type=wish.type[:MAX_TEXT], bytes=len(text))
    try:
        delivered = await server.fleet.send_kept(agent_id, text)
    except UnknownAgentError:
        raise unknown_agent(agent_id) from None
    except NotConnectedError:
        detail = f"Agent {agent_id!r} is away, and has no session that could keep the message."
        raise HTTPException(409, detail) from None
    except NotKeptError as error:
        raise HTTPException(503, f"Not kept: {error}.", {"retry-after": "1"}) from None
    return json_response({"delivered": delivered}, 202)


@_server.get("/status", summary="The server at a glance", response_model=models.StatusDocument)
async def status(server: ServerOf, request: Request) -> Response:
    counts = server.fleet.counts()
    host, port = server.address
    return json_response(
        {
            "status": _phase(server),
            "version": __version__,
            "pid": os.getpid(),
            "address": f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            "page": request.app.state.page_at,
            "uptime": round(server.uptime, 3),
            "connections": {
                "total": counts.total,
                "authenticated": counts.authenticated,
                "unauthenticated": counts.unauthenticated,
            },
            "agents": count_agents(server.fleet),
            "store": store_document(server.store_health()),
            "loop_lag_ms": round(server.loop_lag.last * 1000, 3),
            "core": dict(server.core_stats()),
        }
    )


@_server.get("/maintenance", summary="Is maintenance on?", response_model=models.Maintenance)
async def show_maintenance(server: ServerOf) -> Response:
    return json_response({"enabled": server.maintenance})


@_server.post(
    "/maintenance",
    summary="Switch maintenance on or off",
    description="On: every connection is closed 1013, and new ones too until it is off.",
    response_model=models.Maintenance,
)
async def set_maintenance(server: ServerOf, wish: models.Maintenance, audit: AuditOf) -> Response:
    audit.parameters(enabled=wish.enabled)
    server.set_maintenance(enabled=wish.enabled)
    return json_response({"enabled": server.maintenance})


@_server.post(
    "/drain",
    summary="Shut the server down gracefully",
    description=(
        "Answers at once, or with `wait` at its end; GET tells how it goes. During a drain a "
        "second POST joins the running one: it changes nothing and gets the same answer. The "
        "process ends with the drain."
    ),
    status_code=202,
    response_model=models.DrainDocument,
)
async def start(
    server: ServerOf,
    audit: AuditOf,
    wish: models.DrainRequest | None = None,
    wait: Wait = 0.0,
) -> Response:
    wish = wish or models.DrainRequest(intent=None, timeout=None)
    audit.parameters(intent=wish.intent, timeout=wish.timeout)
    if not server.is_draining:
        drain = server.drain(intent=wish.intent, timeout=wish.timeout)
        task = asyncio.get_running_loop().create_task(drain)
        _drains.add(task)
        task.add_done_callback(_settled)
        await asyncio.sleep(0)  # its first step makes the status
    audit.write(202)  # not after the wait: the process ends with the drain
    await _drain_ended(server, wait)
    return json_response(drain_document(server), 202)


@_server.get("/drain", summary="How the drain goes", response_model=models.DrainDocument)
async def show(server: ServerOf, wait: Wait = 0.0) -> Response:
    await _drain_ended(server, wait)
    return json_response(drain_document(server))


def _settled(task: asyncio.Task[DrainReport]) -> None:
    _drains.discard(task)
    if not task.cancelled():
        task.exception()  # the server has logged it: once is enough


async def _drain_ended(server: Server, timeout: float) -> None:
    """Waits until the running drain is over; a drain that fails is over, too."""
    if not (timeout and server.is_draining):
        return
    ended = asyncio.ensure_future(server.drain())
    try:
        # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the end.
        await asyncio.wait({ended}, timeout=timeout)
    finally:
        ended.cancel()  # Only this waiting: the drain goes on.
        if ended.done() and not ended.cancelled():
            ended.exception()  # Seen: the drain has logged it.


def _phase(server: Server) -> str:
    if server.is_draining:
        return "shutting_down"
    if server.maintenance:
        return "maintenance"
    return "ok" if server.is_ready else "starting"


def _known(fleet: Fleet, agent_id: str) -> AgentView:
    agent = fleet.agent(agent_id)
    if agent is None:
        raise unknown_agent(agent_id)
    return agent
