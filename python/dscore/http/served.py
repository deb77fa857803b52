"""What a handler is given besides its request, and the routers that all servers of a process share.

FastAPI reads the signature of each handler, which for ours takes 45 ms, and once more for each app
that includes their router. So a handler belongs to no server: it finds the one that was asked in
the state of the app (`dscore.http.app`).
"""

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Request
from fastapi.routing import APIRoute

from dscore.http.ports import Server
from dscore.http.redact import Redactor


async def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


async def _redactor(request: Request) -> Redactor:
    redactor: Redactor = request.app.state.redactor
    return redactor


ServerOf: TypeAlias = Annotated[Server, Depends(_server)]
"""The server that a request came to."""
RedactorOf: TypeAlias = Annotated[Redactor, Depends(_redactor)]
"""What it does not show."""


def shared_router(
    tag: str, *, prefix: str = "", route_class: type[APIRoute] = APIRoute
) -> APIRouter:
    """A router to be made once; the name of a handler is the id of its operation."""
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=route_class,
        generate_unique_id_function=lambda route: route.name,
    )
