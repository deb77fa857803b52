"""Which methods a path of ours takes: for Allow, of OPTIONS and of every 405 (RFC 9110 §10.2.1)."""

from collections.abc import Iterable

from starlette.routing import BaseRoute, Match

KNOWN = frozenset(
    ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
)
"""Methods that are understood, and refused with 405; of any other it is said with 501 that it is
not implemented (RFC 9110 §9.1). Their names have a case."""
OF_THE_SERVER = "DELETE, GET, HEAD, OPTIONS, POST"
"""What `OPTIONS *` is told: methods that some path takes."""


def has_route(routes: Iterable[BaseRoute], path: str) -> bool:
    """Whether there is anything at a path as it was sent."""
    return any(route.matches(_scope("GET", path))[0] is not Match.NONE for route in routes)


def allow(routes: Iterable[BaseRoute], path: str) -> str:
    """The value of Allow for a path as it was sent; empty where there is nothing.

    HEAD is taken wherever GET is, and OPTIONS everywhere: see `dscore.http.access`.
    """
    routes = list(routes)
    taken = {method for method in KNOWN if _takes(routes, method, path)}
    if "GET" in taken:
        taken.add("HEAD")
    return ", ".join(sorted({*taken, "OPTIONS"})) if taken else ""


def _takes(routes: Iterable[BaseRoute], method: str, path: str) -> bool:
    return any(route.matches(_scope(method, path))[0] is Match.FULL for route in routes)


def _scope(method: str, path: str) -> dict[str, object]:
    return {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
