"""Who may do what over HTTP (PROTOCOL.md §2, "Power").

| what                                | needs                                                     |
|-------------------------------------|-----------------------------------------------------------|
| POST, DELETE, … of the operator API | power: an operator's token, always                        |
| GET of the operator API             | reading: an operator's or a watcher's token, where they   |
|                                     | have one configured, or `auth.required` is on, or the     |
|                                     | request is not of loopback                                |
| metrics, the OpenAPI document       | the same where `auth.required` is on                      |
| health, probes, the page            | nothing; the ids in health: `may_see_ids`                 |

`auth.local_operators = "open"` makes power of a request of loopback as open as reading. A request
is of loopback when the listener is, and no proxy has passed it on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from starlette.responses import Response

from dscore.http.problems import problem
from dscore.http.types import PROXY, Header, Scope

Need: TypeAlias = Literal["nothing", "reading", "power"]

READING = frozenset(("GET", "HEAD", "OPTIONS"))
_REALM = 'Bearer realm="dscore"'
_INVALID = 'Bearer realm="dscore", error="invalid_token"'
"""RFC 6750 §3.1."""
_PROXY_FIELDS = frozenset((b"forwarded", b"via", b"x-real-ip"))
_PROXY_PREFIX = b"x-forwarded-"


class Caller(Protocol):
    """What `access` needs of `dscore.auth.Grant`."""

    @property
    def name(self) -> str: ...
    @property
    def may_read(self) -> bool: ...
    @property
    def may_operate(self) -> bool: ...


class Callers(Protocol):
    """What `access` needs of `dscore.auth.Keyring`."""

    def reader(self, token: str | None, /) -> Caller | None: ...
    def find(self, token: str | None, /) -> Caller | None: ...
    def why_not(self, token: str | None, /) -> str: ...


LOCAL = "local"
"""The name of a caller on loopback where `auth.local_operators` is "open"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings that decide; a reload makes new ones.

    Attributes:
        keyring: The tokens of operators and watchers, the one that the server has made included.
        is_configured: Whether one of them comes from the settings.
        is_required: `auth.required`.
        is_open: `auth.local_operators` is "open".
        is_loopback: Whether only this machine can reach the listener.
    """

    keyring: Callers
    is_configured: bool = False
    is_required: bool = False
    is_open: bool = False
    is_loopback: bool = True

    def is_closed(self, *, is_forwarded: bool) -> bool:
        """Whether even reading from the operator API takes a token."""
        is_local = self.is_loopback and not is_forwarded
        return self.is_configured or self.is_required or not is_local

    def need(self, method: str, *, is_api: bool, is_forwarded: bool) -> Need:
        """What a request needs; `is_api` false: it is for the metrics or the OpenAPI document."""
        if not is_api:
            return "reading" if self.is_required else "nothing"
        is_closed = self.is_closed(is_forwarded=is_forwarded)
        if method in READING:
            return "reading" if is_closed else "nothing"
        return "power" if is_closed or not self.is_open else "nothing"

    def caller(self, token: str | None) -> Caller | None:
        """The operator or watcher of a token; None: it is none, or an agent's, or wrong."""
        return self.keyring.reader(token)

    def why_not(self, headers: Iterable[Header]) -> str:
        """Why what was shown is no token of a caller, for the log."""
        token = bearer(authorizations(headers))
        return "it is no Bearer token" if token is None else self.keyring.why_not(token)

    def may_see_ids(self, headers: Iterable[Header]) -> bool | None:
        """Whether the health document names agents to the sender of a request; None: it has shown a
        token that is none, not an agent's either."""
        # What a proxy asks its users for (Basic) is no token.
        token = bearer(authorizations(headers)) if self.is_required else None
        if not token:
            return not self.is_required
        holder = self.keyring.find(token)
        return None if holder is None else holder.may_read


def allows(caller: Caller | None, need: Need) -> bool:
    """Whether a request may come in from this caller, or from one that is not known."""
    if need == "power":
        return caller is not None and caller.may_operate
    return need == "nothing" or caller is not None


def is_forwarded(scope: Scope) -> bool:
    """Whether a request came through a proxy: one that is trusted, or one that says so. Loopback is
    then that proxy's address."""
    if scope.get(PROXY) is not None:
        return True
    names = (name for name, _ in scope["headers"])
    return any(name in _PROXY_FIELDS or name.startswith(_PROXY_PREFIX) for name in names)


def authorizations(headers: Iterable[Header]) -> list[bytes]:
    return [value for name, value in headers if name == b"authorization"]


def bearer(fields: list[bytes]) -> str | None:
    """The token of `Authorization: Bearer TOKEN` (RFC 6750 §2.1), if there is just that."""
    if len(fields) != 1:
        return None
    scheme, _, token = fields[0].decode("utf-8", "replace").partition(" ")
    # RFC 9110 §11.1: the scheme's name has no case.
    return token.strip() if scheme.lower() == "bearer" else None


def forbidden(caller: Caller) -> Response:
    """The answer to a watcher that wants to change something."""
    return problem(403, f"This changes something; the token {caller.name} is a watcher's.")


def refusal(need: Need, *, is_shown: bool) -> Response:
    """The answer to a request without the token it needs, or with another one."""
    if is_shown:
        detail = "The operator's token is wrong."
        return problem(401, detail, headers={"www-authenticate": _INVALID})
    what = "This changes something, so it" if need == "power" else "This"
    detail = (
        f"{what} needs an operator's token: Authorization: Bearer TOKEN, one of "
        "auth.operator_token_file or auth.operator_tokens. A server without either makes one; as "
        'its user, "dscore page" prints it behind #token=.'
    )
    return problem(401, detail, headers={"www-authenticate": _REALM})
