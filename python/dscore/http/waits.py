"""Calls that are held open until something has ended."""

from typing import Annotated, TypeAlias

from fastapi import Query as QueryParam

from dscore.http.strict import Plain

MAX_WAIT = 300.0
"""Seconds."""

Wait: TypeAlias = Annotated[
    float,
    QueryParam(
        ge=0,
        le=MAX_WAIT,
        description="Seconds to wait for the end, then answer.",
    ),
    Plain,
]
