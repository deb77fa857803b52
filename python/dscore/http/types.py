"""What ASGI and the core pass around, as types."""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

STEPS_ASIDE = "dscore.steps_aside"
"""In a scope: a call that gives the place of a request, among those that run, to the next one. What
it does from then on is to wait, and to answer."""

PROXY = "dscore.proxy"
"""In a scope: the address of the trusted proxy that said who the client is, if one did."""

CERTIFICATE_NAMES = "dscore.certificate_names"
"""In a scope: the names in the client's certificate, where it showed one."""

ASGI = {"version": "3.0", "spec_version": "2.4"}


class Responder(Protocol):
    """The part of `_core.ReactorPool` that answers requests."""

    def respond(
        self,
        conn: int,
        status: int,
        headers: Sequence[Header],
        body: bytes,
        *,
        more: bool = False,
        notify: bool = False,
    ) -> None: ...
    def respond_more(self, conn: int, body: bytes, *, more: bool, notify: bool = False) -> None: ...
    def read_body(self, conn: int) -> None: ...
    def abort(self, conn: int) -> None: ...
    def accept_upgrade(
        self, conn: int, *, subprotocol: str | None = None, headers: Sequence[Header] = ()
    ) -> None: ...
    def read_on(self, conn: int) -> None: ...
    def send(self, conn: int, text: bytes, *, notify: bool = False) -> None: ...
    def send_binary(self, conn: int, data: bytes, *, notify: bool = False) -> None: ...
    def close_connection(self, conn: int, code: int, reason: str) -> None: ...
    def address(self) -> tuple[str, int]: ...


class Request(Protocol):
    """What the bridge reads of `_core.HttpRequest`."""

    conn: int
    method: str
    target: str
    version: str
    headers: list[Header]
    body: bytes
    more: bool
    subprotocols: list[str] | None
    peer: str
    peer_port: int
    local: str
    local_port: int
    proxy: str | None
    secure: bool
    certificate_names: list[str]


class BodyPart(Protocol):
    """What the bridge reads of `_core.BodyPart`."""

    conn: int
    data: bytes
    more: bool


class GuestMessage(Protocol):
    """What the bridge reads of `_core.GuestMessage`."""

    conn: int
    data: bytes
    binary: bool
    is_last: bool


class GuestClosed(Protocol):
    """What the bridge reads of `_core.GuestClosed`."""

    conn: int
    code: int
    reason: str


class OfConnection(Protocol):
    """What the bridge reads of `_core.HttpGone` and `_core.Drained`."""

    conn: int
