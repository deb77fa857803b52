"""Which pages may reach the operator API, and what they are told (PROTOCOL.md §2, "Origins").

| path         | without Origin | Origin that is let in      | any other Origin          |
|--------------|----------------|----------------------------|---------------------------|
| operator API | by Host        | answered, and may be read  | 403                       |
| fleet page   | by Host        | by Host                    | by Host                   |
| health       | answered       | answered, and may be read  | answered, and may be read |

By Host: where nothing else keeps out a page whose name was rebound to this machine (DNS rebinding),
Host must be a name of this server. The judgement is the core's own, the same as for
`/deepstream/ws` and `/socket.io/`.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

from starlette.responses import Response

from dscore._core import OriginRules
from dscore.http.problems import problem
from dscore.http.types import Header, Message, Scope, Send

_ALLOW = b"access-control-allow-origin"
_ANY: list[Header] = [(_ALLOW, b"*")]


class Judged(NamedTuple):
    """What becomes of a request on behalf of a page."""

    answer: Response | None = None
    """A refusal, or the answer to a preflight."""
    headers: Sequence[Header] = ()
    """What every answer says of who may read it."""

    def sending(self, send: Send) -> Send:
        """The same `send`, with these headers in the answer."""
        if not self.headers:
            return send

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self.headers]
            await send(message)

        return wrapped


class Origins:
    """The rules of `socket.cors_origins`, `socket.cors_methods` and `listen.names`.

    Raises:
        ValueError: an origin or a name cannot be one.
    """

    def __init__(
        self, origins: Sequence[str], names: Sequence[str] = (), methods: Sequence[str] = ()
    ) -> None:
        self._rules = OriginRules(origins, names)
        self._methods = ", ".join(methods).encode()

    def api(self, scope: Scope, *, check_host: bool) -> Judged:
        """A request for the operator API.

        Args:
            check_host: nothing but its Host tells a page from a program.
        """
        origins = _fields(scope, b"origin")
        allowed, refusal = self._judge(scope, origins, check_host=check_host)
        if refusal is not None:
            return Judged(problem(403, refusal))
        if allowed is None:
            return Judged()
        headers = list(_ANY)
        if allowed != b"*":
            credentials = (b"access-control-allow-credentials", b"true")
            headers = [(_ALLOW, allowed), credentials, (b"vary", b"Origin")]
        return Judged(self._preflight(scope), headers)

    def page(self, scope: Scope, *, check_host: bool) -> Judged:
        """A request for the fleet page."""
        _, refusal = self._judge(scope, [], check_host=check_host)
        return Judged() if refusal is None else Judged(problem(403, refusal))

    def health(self, scope: Scope) -> Judged:
        """A request for the health document: pages read it before they reconnect, and theirs is
        seldom the server's own origin."""
        return Judged(self._preflight(scope), _ANY)

    def _judge(
        self, scope: Scope, origins: Sequence[bytes], *, check_host: bool
    ) -> tuple[bytes | None, str | None]:
        host = next(iter(_fields(scope, b"host")), None)
        return self._rules.judge(origins, host, _came_in_on(scope), check_host=check_host)

    def _preflight(self, scope: Scope) -> Response | None:
        """The answer to a browser that asks before it sends (Fetch standard, "CORS protocol")."""
        if scope["method"] != "OPTIONS" or not _fields(scope, b"access-control-request-method"):
            return None
        answer = Response(status_code=204)
        answer.headers["access-control-allow-methods"] = self._methods.decode()
        wanted = _fields(scope, b"access-control-request-headers")
        if wanted:
            answer.headers["access-control-allow-headers"] = wanted[0].decode("latin-1")
        return answer


def _came_in_on(scope: Scope) -> tuple[str, int]:
    """The address and port of the server; under another ASGI server it may be a name, or none."""
    host, port = scope.get("server") or ("", None)
    try:
        return str(ip_address(host)), port or 0
    except ValueError:
        return "127.0.0.1", port or 0


def _fields(scope: Scope, name: bytes) -> list[bytes]:
    return [value for known, value in scope["headers"] if known == name]
