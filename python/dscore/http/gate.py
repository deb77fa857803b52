"""The one door to the pages: who may come in, before anything is parsed.

For each request, in this order: whose path it is, whether a drain turns it away, whether a browser
was tricked into sending it, whether it carries the operator's token. Plain ASGI, because during a
drain and a reconnect storm most requests end here.
"""

from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.parse import urlsplit

from starlette.responses import Response

from dscore.http.loopback import is_loopback
from dscore.http.problems import NOTHING_HERE, problem
from dscore.http.types import App, Receive, Scope, Send

HEALTH = "/deepstream/health"
PROBES = ("/livez", "/readyz", "/startupz")
METRICS = "/metrics"
OPENAPI = "/openapi.json"
PAGE = "/"
API = "/api/v1"
DRAIN = f"{API}/drain"

_OPEN_IN_A_DRAIN = frozenset((HEALTH, *PROBES, METRICS, DRAIN))
_OURS = frozenset((HEALTH, *PROBES, METRICS, OPENAPI, API))
_READING = frozenset(("GET", "HEAD", "OPTIONS"))
RETRY_AFTER = "10"
"""Seconds: the shortest wait that PROTOCOL.md §7 has for a server that is shutting down."""


class TokenCheck(Protocol):
    """What the gate needs of `dscore.auth.Tokens`."""

    def allows(self, candidate: str | None, /) -> bool: ...
    def __len__(self) -> int: ...


class Gate:
    """Sends each request to our pages or to the user's app, or turns it away.

    Args:
        ours: The pages of dscore.
        theirs: The user's app, if there is one; it gets every path that is not ours, and "/".
        is_draining: Whether newcomers are turned away.
        tokens: The operator's tokens; none are set when it is None or empty.
        loopback: Whether only this machine can reach the listener.

    Attributes:
        tokens: May be replaced at any time.
    """

    def __init__(
        self,
        ours: App,
        theirs: App | None,
        *,
        is_draining: Callable[[], bool],
        tokens: TokenCheck | None,
        loopback: bool,
    ) -> None:
        self._ours = ours
        # A user's app has a page of its own there.
        self._ours_at = _OURS if theirs is not None else _OURS | {PAGE}
        self._theirs = theirs
        self._is_draining = is_draining
        self._loopback = loopback
        self.tokens = tokens

    @property
    def needs_token(self) -> bool:
        """Whether the operator API asks for a token."""
        return bool(self.tokens) or not self._loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await (self._theirs or _no_lifespan)(scope, receive, send)
            return
        path: str = scope["path"]
        if self._is_draining() and path not in _OPEN_IN_A_DRAIN:
            await _draining()(scope, receive, send)
        elif path in self._ours_at or path.startswith(f"{API}/"):
            await (self._refusal(scope, path) or self._our(scope))(scope, receive, send)
        elif self._theirs is not None:
            await self._theirs(scope, receive, send)
        else:
            await problem(404, NOTHING_HERE)(scope, receive, send)

    def _our(self, scope: Scope) -> App:
        # An agent id may hold any character: routes match the path as it was sent, where a "/"
        # inside an id is still "%2F", and decode the id themselves.
        scope["path"] = scope["raw_path"].decode("ascii", "replace")
        # The bridge sends no body for HEAD, so that whatever can be got has its headers.
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        return self._ours

    def _refusal(self, scope: Scope, path: str) -> Response | None:
        if not path.startswith(API):
            return None
        headers = dict(scope["headers"])
        if self.needs_token:
            return self._token_refusal(headers.get(b"authorization"))
        return _browser_refusal(scope["method"], headers)

    def _token_refusal(self, authorization: bytes | None) -> Response | None:
        if not self.tokens:
            detail = (
                "The operator API is closed: the server can be reached from other machines and has "
                "no operator token. Set auth.operator_token_file."
            )
            return problem(401, detail, headers={"www-authenticate": 'Bearer realm="dscore"'})
        if authorization is None:
            detail = "This needs the operator's token: Authorization: Bearer TOKEN."
            return problem(401, detail, headers={"www-authenticate": 'Bearer realm="dscore"'})
        scheme, _, token = authorization.decode("utf-8", "replace").partition(" ")
        # RFC 9110 §11.1: the scheme's name has no case.
        if scheme.lower() != "bearer" or not self.tokens.allows(token.strip()):
            challenge = 'Bearer realm="dscore", error="invalid_token"'  # RFC 6750 §3.1
            detail = "The operator's token is wrong."
            return problem(401, detail, headers={"www-authenticate": challenge})
        return None


def _browser_refusal(method: str, headers: dict[bytes, bytes]) -> Response | None:
    """Where no token is needed, a page from elsewhere must not be able to use the browser's reach.

    A page whose name was rebound to 127.0.0.1 still sends its own name as Host; one that posts
    across origins sends its Origin. A program that is no browser sends neither a foreign Host nor
    an Origin.
    """
    host = headers.get(b"host", b"localhost").decode("latin-1").lower()
    if not is_loopback(_hostname(host)):
        detail = (
            "Without operator tokens the operator API answers to names of this machine only "
            "(localhost, 127.0.0.1): use one of these, or set auth.operator_token_file."
        )
        return problem(403, detail)
    origin = headers.get(b"origin")
    if origin is None or method in _READING:
        return None
    if origin.decode("latin-1").lower().partition("://")[2] == host:
        return None
    return problem(403, "A page of another origin may not change anything here.")


def _hostname(authority: str) -> str:
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""


def _draining() -> Response:
    detail = "The server is shutting down; come back when it is up again."
    return problem(503, detail, headers={"retry-after": RETRY_AFTER})


async def _no_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "lifespan":
        raise RuntimeError(f"no app for a scope of type {scope['type']!r}")
    answers: Iterable[str] = ("lifespan.startup.complete", "lifespan.shutdown.complete")
    for kind in answers:
        await receive()
        await send({"type": kind})
