"""Many agents at once: terminate, message, remove those that a filter chooses, in waves."""

import asyncio
from typing import Annotated, Literal, TypeAlias

import orjson
from fastapi import Depends, HTTPException, Request
from fastapi import Path as PathParam
from pydantic import BaseModel, Field, model_validator
from starlette.responses import Response

from dscore.agent_ids import trimmed
from dscore.errors import NotConnectedError, UnknownAgentError
from dscore.filters import ANY, Filter
from dscore.http.access import API
from dscore.http.audit import MAX_TEXT, Audit, AuditOf
from dscore.http.filters import MAX_TEXT as MAX_NEEDLE
from dscore.http.filters import MAX_WORDS, parse_labels
from dscore.http.json_response import json_response
from dscore.http.models import AgentMessage
from dscore.http.ports import Fleet, Server
from dscore.http.served import ServerOf, shared_router
from dscore.http.strict import StrictRoute, Wish
from dscore.http.waits import Wait
from dscore.http.waves import ActionName, Ask, BulkOutcome, Operation, Pace
from dscore.messages import Dialect, ReasonCode, Status
from dscore.policy.drain import MAX_TIMEOUT
from dscore.states import State

MAX_IDS = 100_000
"""As many agents as are remembered without a connection."""
KEPT = 32
"""Operations that can be looked at after their end."""
MAX_RUNNING = 8
MAX_CHOSEN = 10_000_000
"""More agents than there are."""


class Choice(Wish):
    """Which agents. What is given must all fit; nothing given chooses none: say `all`."""

    ids: list[str] | None = Field(None, max_length=MAX_IDS, description="These.")
    status: Status | None = None
    state: list[State] = Field([], max_length=MAX_WORDS, description="Any of these.")
    reason: ReasonCode | None = None
    dialect: Dialect | None = None
    label: list[str] = Field([], max_length=MAX_WORDS, description="`name=value` or `name`.")
    q: str | None = Field(None, max_length=MAX_NEEDLE, description="Part of the id or the address.")
    all: Literal[True] | None = Field(None, description="Every agent, where nothing else is given.")

    @model_validator(mode="after")
    def _chooses(self) -> "Choice":
        chosen = self.model_dump(exclude_none=True, exclude={"all"})
        given = any(value or name == "ids" for name, value in chosen.items())
        if given == bool(self.all):
            raise ValueError('give what agents have in common or their ids, or "all": true')
        return self

    def filter(self) -> Filter:
        return Filter(
            status=self.status,
            states=tuple(self.state),
            reason=self.reason,
            dialect=self.dialect,
            labels=parse_labels(self.label),
            text=self.q,
        )


class BulkWish(Wish):
    """What is asked of the agents that are chosen, and how fast."""

    filter: Choice
    dry_run: bool = Field(False, description="Count the agents, and ask none.")
    wave: int | None = Field(None, ge=1, description="Agents at a time; default: all.")
    pause: float = Field(0.0, ge=0, le=MAX_TIMEOUT, description="Seconds between two waves.")
    max_failed: int | None = Field(
        None, ge=0, description="Stop once more than these have failed; default: never."
    )

    def pace(self) -> Pace:
        return Pace(wave=self.wave, pause=self.pause, max_failed=self.max_failed)


class BulkTerminate(BulkWish):
    """Terminate many."""

    timeout: float | None = Field(
        None, gt=0, le=MAX_TIMEOUT, description="Seconds for each; default shutdown.timeout."
    )


class BulkMessage(BulkWish):
    """A message for many."""

    message: AgentMessage


class Failure(BaseModel):
    """An agent of which it did not come about."""

    id: str
    outcome: BulkOutcome
    message: str


class OperationDocument(BaseModel):
    """An action for many agents: how it stands. Of a dry run: whom it would be about."""

    id: str | None = Field(description="Null: it was only counted.")
    action: ActionName
    state: Literal["counted", "running", "done", "stopped", "canceled"]
    why: str
    total: int = Field(description="Agents that are chosen.")
    connected: int | None = Field(None, description="Those of them that are connected now.")
    asked: int
    answered: int
    failed: int = Field(description="Failed, timed out, vanished, or could not be asked.")
    outcomes: dict[BulkOutcome, int]
    failures: list[Failure] = Field(description="The first 1,000.")
    wave: int
    waves: int
    waiting: list[str] = Field(description="Agents that have not answered; the first 1,000.")
    left: list[str] = Field(description="Agents that were not asked; the first 1,000.")
    left_total: int


class Operations:
    """Those that run, and the last that have ended."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._known: dict[str, Operation] = {}

    def start(self, operation: Operation) -> None:
        """
        Raises:
            HTTPException: too many run.
        """
        if sum(not each.is_over for each in self._known.values()) >= MAX_RUNNING:
            detail = f"{MAX_RUNNING} operations run already: wait for one, or cancel it."
            raise HTTPException(409, detail)
        over = [each.id for each in self._known.values() if each.is_over]
        for each in over[: max(0, len(self._known) - KEPT + 1)]:
            del self._known[each]
        self._known[operation.id] = operation
        # Held, else it may be collected. It ends by itself soon after the server begins to stop.
        task = asyncio.get_running_loop().create_task(operation.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def find(self, operation_id: str) -> Operation:
        operation = self._known.get(operation_id)
        if operation is None:
            raise HTTPException(404, "There is no such operation, or no more.")
        return operation


def _words(value: object) -> str:
    """What a filter chooses by, for the audit: of a list its words."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


OperationId = Annotated[str, PathParam(max_length=64)]


async def _operations(request: Request) -> Operations:
    operations: Operations = request.app.state.operations
    return operations


OperationsOf: TypeAlias = Annotated[Operations, Depends(_operations)]


class Bulk:
    """One request for an action, and the server that it came to."""

    def __init__(self, server: Server, operations: Operations, audit: Audit) -> None:
        self.fleet = server.fleet
        self._server = server
        self._operations = operations
        self._audit = audit

    async def begin(self, action: ActionName, wish: BulkWish, ask: Ask, wait: float) -> Response:
        """Chooses the agents, and asks them unless they are only to be counted."""
        server, audit = self._server, self._audit
        ids, connected = await _chosen(self.fleet, wish.filter, is_online=action == "terminate")
        operation = Operation(action, ids, wish.pace(), ask, lambda: server.is_draining)
        chosen = wish.filter.model_dump(exclude_none=True, exclude={"ids"})
        audit.parameters(
            filter={name: _words(value)[:MAX_TEXT] for name, value in chosen.items() if value},
            agents=len(ids),
            dry_run=wish.dry_run,
            operation=None if wish.dry_run else operation.id,
        )
        if wish.dry_run:
            counted = {**operation.document(), "id": None, "state": "counted"}
            return json_response({**counted, "connected": connected}, 202)
        self._operations.start(operation)
        audit.write(202)
        await operation.ended(wait)
        return json_response(operation.document(), 202)


async def _bulk(server: ServerOf, operations: OperationsOf, audit: AuditOf) -> Bulk:
    return Bulk(server, operations, audit)


BulkOf: TypeAlias = Annotated[Bulk, Depends(_bulk)]

routes = shared_router("operations", prefix=API, route_class=StrictRoute)
"""`/terminate`, `/message`, `/remove` and `/operations/{id}`."""

_COUNTS = (
    "With `dry_run` it only counts them. Else it answers at once, or with `wait` at its end; GET "
    "/operations/{operation_id} tells how it goes."
)


@routes.post(
    "/terminate",
    summary="Ask many agents to stop, in waves",
    description=f"Of those chosen, the connected ones. {_COUNTS}",
    status_code=202,
    response_model=OperationDocument,
)
async def terminate_agents(wish: BulkTerminate, bulk: BulkOf, wait: Wait = 0.0) -> Response:
    async def ask(agent_id: str) -> tuple[BulkOutcome, str]:
        try:
            result = await bulk.fleet.terminate(agent_id, timeout=wish.timeout)
        except UnknownAgentError:
            return "gone", ""
        except NotConnectedError:
            return "not_connected", ""
        return result.outcome, result.message

    return await bulk.begin("terminate", wish, ask, wait)


@routes.post(
    "/message",
    summary="Send many agents a message, in waves",
    description=f"Those that are away get it later, if they have a session. {_COUNTS}",
    status_code=202,
    response_model=OperationDocument,
)
async def message_agents(wish: BulkMessage, bulk: BulkOf, wait: Wait = 0.0) -> Response:
    text = _text_of(wish.message)

    async def ask(agent_id: str) -> tuple[BulkOutcome, str]:
        try:
            delivered = await bulk.fleet.send_kept(agent_id, text)
        except UnknownAgentError:
            return "gone", ""
        except NotConnectedError:
            return "not_connected", ""
        return ("delivered" if delivered else "kept"), ""

    return await bulk.begin("message", wish, ask, wait)


@routes.post(
    "/remove",
    summary="Remove many agents, in waves; their connections are closed",
    description=_COUNTS,
    status_code=202,
    response_model=OperationDocument,
)
async def remove_agents(wish: BulkWish, bulk: BulkOf, wait: Wait = 0.0) -> Response:
    async def ask(agent_id: str) -> tuple[BulkOutcome, str]:
        try:
            await bulk.fleet.remove(agent_id)
        except UnknownAgentError:
            return "gone", ""
        return "removed", ""

    return await bulk.begin("remove", wish, ask, wait)


@routes.get(
    "/operations/{operation_id}",
    summary="How an action for many agents goes",
    response_model=OperationDocument,
)
async def show_operation(
    operations: OperationsOf, operation_id: OperationId, wait: Wait = 0.0
) -> Response:
    operation = operations.find(operation_id)
    await operation.ended(wait)
    return json_response(operation.document())


@routes.delete(
    "/operations/{operation_id}",
    summary="Ask no agent more",
    description="Those that were asked already are waited for.",
    response_model=OperationDocument,
)
async def cancel_operation(operations: OperationsOf, operation_id: OperationId) -> Response:
    operation = operations.find(operation_id)
    operation.stop("canceled", "canceled by an operator")
    return json_response(operation.document())


def _text_of(message: AgentMessage) -> bytes:
    """
    Raises:
        HTTPException: more is nested in it than is written: more is read than that.
    """
    try:
        return orjson.dumps(message.model_dump())
    except (ValueError, TypeError):
        raise HTTPException(422, "message: is nested too deeply") from None


async def _chosen(fleet: Fleet, choice: Choice, *, is_online: bool) -> tuple[list[str], int]:
    """The agents, by id as people read it, and how many of them are connected.

    Args:
        is_online: only those that are connected.
    """
    if choice.ids is not None:
        wanted = {trimmed(each) for each in choice.ids}
        found = [agent for each in wanted if (agent := fleet.agent(each)) is not None]
        fits = set(await _fitting(fleet, choice)) if _narrows(choice) else None
        pairs = [(a.id, a.connected) for a in found if fits is None or (a.id, a.connected) in fits]
        pairs.sort()
    else:
        pairs = await _fitting(fleet, choice)
    connected = sum(is_connected for _, is_connected in pairs)
    return [each for each, is_connected in pairs if is_connected or not is_online], connected


def _narrows(choice: Choice) -> bool:
    return choice.filter() != ANY


async def _fitting(fleet: Fleet, choice: Choice) -> list[tuple[str, bool]]:
    # One page: of several each would look at all agents anew.
    items, _, _ = await fleet.read_page(
        choice.filter(), sort="natural", limit=MAX_CHOSEN, after=None, offset=0
    )
    return [(agent.id, agent.connected) for agent in items]
