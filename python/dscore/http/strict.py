"""Requests of the operator API, read strictly: what is misspelt is refused, never passed over.

A drain whose `timeout` is written `timout`, or stands in the query, would otherwise stop a fleet in
another way than was asked for.
"""

import difflib
import re
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any, get_origin

import orjson
from fastapi import HTTPException, Request
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator
from starlette.responses import Response

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Wish(BaseModel):
    """The body of a request: an object with keys that are known, and values of their own types."""

    # Strict: true is no number, and "5" is none.
    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _knows_its_keys(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(unknown("key", key, cls.model_fields))
        return values


class StrictRoute(APIRoute):
    """A route that takes no parameter it does not know, and no body but a JSON object."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        parameters = {each.alias: each.field_info for each in _query_params(self.dependant)}
        lists = {name for name, info in parameters.items() if get_origin(info.annotation) is list}

        async def strict(request: Request) -> Response:
            counts = Counter(name for name, _ in request.query_params.multi_items())
            for name, count in counts.items():
                if name not in parameters:
                    raise _wrong("query", unknown("parameter", name, parameters))
                if count > 1 and name not in lists:
                    raise _wrong("query", f"{name} is given more than once")
            if self.body_field is None:
                return await handler(request)
            return await handler(await _StrictRequest.read(request))

        return strict


def _query_params(dependant: Dependant) -> Iterator[ModelField]:
    """Of a route, and of what it depends on."""
    yield from dependant.query_params
    for each in dependant.dependencies:
        yield from _query_params(each)


class _StrictRequest(Request):
    """Its body is read: JSON as RFC 8259 has it, in UTF-8, without NaN, infinity or nesting without
    end."""

    document: Any = None

    @classmethod
    async def read(cls, request: Request) -> "_StrictRequest":
        body = await request.body()
        if body:
            _check_media_type(request.headers.get("content-type", ""))
        strict = cls(request.scope, request.receive)
        strict._body = body
        try:
            strict.document = orjson.loads(body) if body else None
        except orjson.JSONDecodeError as error:
            raise _wrong("body", f"is not JSON: {error}") from None
        if body and not isinstance(strict.document, dict):
            raise _wrong("body", "must be a JSON object")
        return strict

    async def json(self) -> Any:
        return self.document


def _check_media_type(content_type: str) -> None:
    # curl -d sends a form's type by itself: say so, instead of complaining of the body's bytes.
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "The body must be sent with content-type: application/json.")


def _plain(value: Any) -> Any:
    """A number as JSON writes it; Python would read "1_0", " 5 " and "nan" too."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError("must be a number, in digits")
    return value


Plain = BeforeValidator(_plain)
"""Of a parameter that is a number."""


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Words for a name that is not known, and for what was probably meant."""
    shown = name if len(name) <= 64 else f"{name[:63]}…"
    near = difflib.get_close_matches(name[:64], known, n=1, cutoff=0.5)
    if near:
        return f"unknown {kind} {shown!r}: did you mean {near[0]!r}?"
    right = ", ".join(sorted(known)) or "none"
    return f"unknown {kind} {shown!r}: known here: {right}"


def _wrong(where: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": "strict", "loc": (where,), "msg": message}])
