"""Errors as RFC 9457 problem documents: one shape for every refusal of the HTTP side."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response

from dscore.http import methods

MEDIA_TYPE = "application/problem+json"
NOTHING_HERE = (
    "There is nothing at this path. Agents connect to /deepstream/ws, Socket.IO clients to "
    "/socket.io/ (its last slash counts); /api/v1/openapi.json lists the pages."
)


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(examples=["query.limit"])
    message: str


class Problem(BaseModel):
    """A problem document (RFC 9457); of type about:blank: `status` and `title` say it all."""

    type: str = "about:blank"
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str
    errors: list[FieldError] | None = Field(
        None, description="Only of a request that is not valid."
    )


def problem(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
) -> Response:
    """A problem document as a response.

    Args:
        status: The HTTP status; its standard phrase is the title.
        detail: One sentence: the cause, and the remedy where there is one.
        headers: Further headers, such as Retry-After.
        errors: What is wrong with which part of the request.
    """
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        document["errors"] = errors
    # A 404 may be kept by caches that are told nothing (RFC 9110 §15.1).
    told = {"cache-control": "no-store", **(headers or {})}
    return Response(orjson.dumps(document), status, told, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes every error of `app` a problem document."""
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(Exception, _broken)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    if error.status_code == 405:
        return _not_taken(request)
    detail = error.detail
    if not isinstance(error, HTTPException):  # Starlette's own: the detail is only the phrase
        detail = _ROUTING_DETAIL.get(error.status_code, detail)
    return problem(error.status_code, str(detail), headers=error.headers)


_ROUTING_DETAIL = {404: NOTHING_HERE}


def _not_taken(request: Request) -> Response:
    if request.method not in methods.KNOWN:
        return problem(501, "This method is not known here; names of methods have a case.")
    # The router names the methods of the first route that fits the path; others may fit it too.
    allow = methods.allow(request.app.routes, request.scope["path"])
    detail = "This path does not take that method; Allow names those it takes."
    return problem(405, detail, headers={"allow": allow})


async def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"where": ".".join(str(part) for part in each["loc"]), "message": _sentence(each)}
        for each in error.errors()
    ]
    detail = "; ".join(f"{each['where']}: {each['message']}" for each in errors)
    return problem(422, detail, errors=errors)


def _sentence(error: Mapping[str, Any]) -> str:
    """What is wrong, without the words that pydantic sets before a sentence of ours."""
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return str(error["msg"])


async def _broken(request: Request, error: Exception) -> Response:
    return problem(500, "The server failed to answer this request; its log says why.")
