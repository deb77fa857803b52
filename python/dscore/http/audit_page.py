"""`/audit`: what was done by means of this API, and what was refused of it."""

from collections.abc import Sequence
from typing import Annotated, Any, Protocol, TypeAlias

import orjson
from fastapi import Depends, Request
from fastapi import Query as QueryParam
from starlette.responses import Response

from dscore.http import models
from dscore.http.access import API
from dscore.http.json_response import json_response
from dscore.http.pagination import MAX_LIMIT, number_of
from dscore.http.served import shared_router
from dscore.http.strict import Plain, StrictRoute
from dscore.messages import timestamp
from dscore.store import AuditRow


class AuditReader(Protocol):
    """What the page needs of `dscore.server.audit_trail`."""

    async def read(
        self, *, limit: int, before: int | None
    ) -> tuple[Sequence[AuditRow], int | None]: ...


async def _trail(request: Request) -> AuditReader:
    trail: AuditReader = request.app.state.trail
    return trail


TrailOf: TypeAlias = Annotated[AuditReader, Depends(_trail)]

routes = shared_router("server", prefix=API, route_class=StrictRoute)
"""`/audit`."""


@routes.get(
    "/audit",
    summary="Who used this API's power, from where, and what came of it; newest first",
    response_model=models.AuditPage,
)
async def list_audit(
    trail: TrailOf,
    limit: Annotated[int, QueryParam(ge=1, le=MAX_LIMIT), Plain] = 100,
    cursor: Annotated[
        str | None, QueryParam(max_length=32, description="next_cursor of the page before.")
    ] = None,
) -> Response:
    before = None if cursor is None else number_of(cursor)
    lines, next_before = await trail.read(limit=limit, before=before)
    document = {
        "items": [_document(line) for line in lines],
        "next_cursor": None if next_before is None else str(next_before),
    }
    return json_response(document)


def _document(line: AuditRow) -> dict[str, Any]:
    fields: dict[str, Any] = orjson.loads(line.data)
    return {"number": line.number, "at": timestamp(line.at / 1000), **fields}
