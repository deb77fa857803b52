"""The fleet as a whole: how it was lately, and how many agents there are of each kind."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query as QueryParam
from starlette.responses import Response

from dscore.history import STATES, Sample, Span
from dscore.http import models
from dscore.http.access import API
from dscore.http.filters import FilterOf
from dscore.http.json_response import json_response
from dscore.http.served import RedactorOf, ServerOf, shared_router
from dscore.http.strict import Plain, StrictRoute

MAX_AFTER = 1 << 53


routes = shared_router("fleet", prefix=API, route_class=StrictRoute)
"""`/history` and `/facets`."""


@routes.get(
    "/history",
    summary="What the fleet was like lately",
    description=(
        "The last hour in samples of 5 s, or the last day in minutes, oldest first, across "
        "restarts. Columns of equal length; while no server ran there are none."
    ),
    response_model=models.History,
)
async def show_history(
    server: ServerOf,
    span: Span = "hour",
    after: Annotated[
        int,
        QueryParam(ge=0, le=MAX_AFTER, description="Only what is later, in Unix milliseconds."),
        Plain,
    ] = 0,
) -> Response:
    document = _columns(server.fleet.history(span, after))
    return json_response(document)


@routes.get(
    "/facets",
    summary="How many agents there are of each kind",
    description="By state, by reason, and by label and state; of all agents, or of those that fit.",
    response_model=models.FacetsDocument,
)
async def show_facets(server: ServerOf, redactor: RedactorOf, wanted: FilterOf) -> Response:
    found = await server.fleet.read_facets(wanted)
    document = {
        "total": sum(found.states.values()),
        "states": found.states,
        "reasons": found.reasons,
        "labels": [
            {
                "name": label.name,
                "values": [
                    {
                        "value": redactor.labels({label.name: value})[label.name],
                        "states": states,
                    }
                    for value, states in label.values
                ],
                "more": label.more,
            }
            for label in found.labels
            if not redactor.is_secret(label.name)
        ],
    }
    return json_response(document)


def _columns(samples: Sequence[Sample]) -> dict[str, Any]:
    by_state = zip(*(sample.states for sample in samples), strict=True)
    columns = dict(zip(STATES, map(list, by_state), strict=True)) if samples else {}
    return {
        "at": [sample.at for sample in samples],
        "states": columns or {state: [] for state in STATES},
        "connects": [sample.connects for sample in samples],
        "disconnects": [sample.disconnects for sample in samples],
    }
