"""One line of log for each use of power: who, from where, what, and what came of it.

Those that are refused are written too; because they cost their sender nothing, only so many of them
within a second. What is written is kept as well, for `GET /api/v1/audit`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Protocol, TypeAlias
from urllib.parse import unquote

from fastapi import Depends, Request

from dscore.http.types import CERTIFICATE_NAMES, PROXY, Message, Scope, Send
from dscore.log import get_logger
from dscore.log.certificates import certificate_fields
from dscore.log.limit import LineLimit

EVENT = "operator_action"
MAX_TEXT = 256
"""Characters of a path, an id or a header in a line."""
LINES_A_SECOND = 20
"""Of those that are refused for want of a token."""

_KEY = "dscore.audit"
_AGENTS = "/api/v1/agents/"

_log = get_logger("dscore.audit")


class Keep(Protocol):
    """What keeps a line for as long as `store.retention`."""

    def __call__(self, fields: Mapping[str, object], *, refused: bool) -> None: ...


class Ledger:
    """Where the lines go: to the log, and to what keeps them.

    Args:
        keep: Takes the fields of a line, and whether its sender was refused for want of a token.
    """

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._limit = LineLimit(_log, LINES_A_SECOND)

    def done(self, fields: Mapping[str, object]) -> None:
        """A line of a sender that is known."""
        _log.info(EVENT, **fields)
        self._keep(fields, refused=False)

    def refused(self, fields: Mapping[str, object]) -> None:
        """A line of one that is not."""
        if self._limit.warning(EVENT, **fields):
            self._keep(fields, refused=True)


class Audit:
    """One request that uses power, from `access` to its answer."""

    def __init__(self, scope: Scope, ledger: Ledger) -> None:
        self._fields = _describe(scope)
        self._ledger = ledger
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
        fields = {"who": self.caller, **self._fields, "status": status}
        if self.caller is None:
            self._ledger.refused(fields)
        else:
            self._ledger.done(fields)


async def _audit(request: Request) -> Audit:
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
    fields |= certificate_fields(scope.get(CERTIFICATE_NAMES) or ())
    if proxy := scope.get(PROXY):
        fields["proxy"] = proxy
        return fields
    # What a proxy says of its client is worth no more than the proxy: the address stays the peer's.
    for name, value in scope["headers"]:
        if name in (b"x-forwarded-for", b"forwarded"):
            fields["forwarded"] = value.decode("latin-1")[:MAX_TEXT]
    return fields
