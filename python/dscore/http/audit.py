"""One line of log for each use of power: who, from where, what, and what came of it.

Those that are refused are written too; because they cost their sender nothing, only so many of them
within a second.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias
from urllib.parse import unquote

from fastapi import Depends, Request

from dscore.http.types import PROXY, Message, Scope, Send
from dscore.log import get_logger
from dscore.log.limit import LineLimit

EVENT = "operator_action"
MAX_TEXT = 256
"""Characters of a path, an id or a header in a line."""
LINES_A_SECOND = 20
"""Of those that are refused for want of a token."""

_KEY = "dscore.audit"
_AGENTS = "/api/v1/agents/"

_log = get_logger("dscore.audit")


class Refused:
    """The line limit that all refused requests share."""

    def __init__(self) -> None:
        self._limit = LineLimit(_log, LINES_A_SECOND)

    def write(self, fields: Mapping[str, object]) -> None:
        self._limit.warning(EVENT, **fields)


class Audit:
    """One request that uses power, from the gate to its answer."""

    def __init__(self, scope: Scope, refused: Refused) -> None:
        self._fields = _describe(scope)
        self._refused = refused
        self._is_written = False
        self.caller: str | None = None
        """None: unknown, so it is refused."""
        scope[_KEY] = self

    def parameters(self, **parameters: Any) -> None:
        """What is asked for, once it is known to be well formed."""
        self._fields["parameters"] = parameters

    def sending(self, send: Send) -> Send:
        """The same `send`; the status that goes through it is the outcome."""

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.write(message["status"])
            await send(message)

        return wrapped

    def write(self, status: int | None) -> None:
        """Writes the line, once.

        Args:
            status: HTTP's; None: the request was given up before there was one.
        """
        if self._is_written:
            return
        self._is_written = True
        if self.caller is None:
            self._refused.write({"who": None, **self._fields, "status": status})
        else:
            _log.info(EVENT, who=self.caller, **self._fields, status=status)


def _audit(request: Request) -> Audit:
    audit: Audit = request.scope[_KEY]
    return audit


AuditOf: TypeAlias = Annotated[Audit, Depends(_audit)]
"""The audit of a request that uses power."""


def _describe(scope: Scope) -> dict[str, Any]:
    path: str = scope["raw_path"].decode("ascii", "replace")
    peer, port = scope.get("client") or ("", 0)
    fields: dict[str, Any] = {
        "ip": peer,
        "port": port,
        "method": scope["method"],
        "path": path[:MAX_TEXT],
    }
    if path.startswith(_AGENTS):
        fields["agent_id"] = unquote(path[len(_AGENTS) :].partition("/")[0])[:MAX_TEXT]
    if proxy := scope.get(PROXY):
        fields["proxy"] = proxy
        return fields
    # What a proxy says of its client is worth no more than the proxy: the address stays the peer's.
    for name, value in scope["headers"]:
        if name in (b"x-forwarded-for", b"forwarded"):
            fields["forwarded"] = value.decode("latin-1")[:MAX_TEXT]
    return fields
