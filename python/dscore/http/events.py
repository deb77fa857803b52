"""The timeline of one agent, and the sentence that it comes to (`dscore.explain`)."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Annotated, Any, Final

from fastapi import Header
from fastapi import Query as QueryParam
from starlette.responses import Response

from dscore.errors import UnknownAgentError
from dscore.explain import CONTEXT, clock, sentence
from dscore.http import models
from dscore.http.access import API
from dscore.http.agent_id import AgentId, unknown_agent
from dscore.http.json_response import json_response
from dscore.http.pagination import MAX_LIMIT, number_of
from dscore.http.serialize import agent_document, entry_document
from dscore.http.served import RedactorOf, ServerOf, shared_router
from dscore.http.strict import Plain, StrictRoute
from dscore.log import get_logger
from dscore.store import Entry
from dscore.translations import Language

MALFORMED: Final = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading an entry raises that is not as it was written."""

_PRIMARY: Final = re.compile(r"\s*(en|ko)(?![a-z])", re.IGNORECASE)
"""A language that there is, at the beginning of a tag."""

_log = get_logger("dscore.store")


routes = shared_router("agents", prefix=API, route_class=StrictRoute)
"""`/agents/{agent_id}/events`."""


@routes.get(
    "/agents/{agent_id}/events",
    summary="What happened to one agent, newest first",
    description="`text` and `sentence` are English, or Korean where that is preferred "
    "(Accept-Language: ko).",
    response_model=models.Timeline,
)
async def events(
    server: ServerOf,
    redactor: RedactorOf,
    agent_id: AgentId,
    limit: Annotated[int, QueryParam(ge=1, le=MAX_LIMIT), Plain] = 100,
    cursor: Annotated[
        str | None, QueryParam(max_length=32, description="next_cursor of the page before.")
    ] = None,
    accept_language: Annotated[str, Header()] = "",
) -> Response:
    before = None if cursor is None else number_of(cursor)
    # The sentence is the same however short the page is.
    wanted = limit if before is not None else max(limit, CONTEXT)
    await server.fleet.refresh([agent_id])
    try:
        entries, next_before = await server.fleet.timeline(agent_id, limit=wanted, before=before)
    except UnknownAgentError:
        raise unknown_agent(agent_id) from None
    # Read after the wait, so that it is no older than the entries.
    agent = server.fleet.agent(agent_id)
    if agent is None:
        raise unknown_agent(agent_id)
    language = preferred(accept_language)
    shown, items = agent_document(agent, redactor), list(_told(entries, language))
    if len(items) > limit:
        next_before = items[limit - 1]["number"]
    document = {
        "agent": shown,
        # A later page does not have what the sentence is about.
        "sentence": _sentence(shown, items, language) if before is None else None,
        "items": items[:limit],
        "next_cursor": None if next_before is None else str(next_before),
    }
    response = json_response(document)
    response.headers["content-language"] = language
    return response


def preferred(accepted: str) -> Language:
    """The first language that an `Accept-Language` (RFC 9110 §12.5.4) names and that there is.
    Browsers and people write what they like best first: weights are not looked at."""
    for one in accepted.split(","):
        language = _PRIMARY.match(one)
        if language is not None:
            return "ko" if language[1].lower() == "ko" else "en"
    return "en"


def _told(entries: Iterable[Entry], language: Language) -> Iterator[dict[str, Any]]:
    """The entries as they are shown. One in which something is missing is left out: the file may
    have been edited."""
    for entry in entries:
        try:
            yield entry_document(entry, language)
        except MALFORMED as error:  # noqa: PERF203 -- one bad entry must not lose the rest
            _log.warning("timeline_entry_dropped", number=entry.number, reason=repr(error))


def _sentence(agent: dict[str, Any], items: list[dict[str, Any]], language: Language) -> str | None:
    utc = timezone.utc
    try:
        return sentence(agent, items, clock(datetime.now(utc), utc), language)
    except MALFORMED as error:
        _log.warning("timeline_untold", agent_id=agent["id"], reason=repr(error))
        return None
