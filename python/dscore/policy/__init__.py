"""What is decided: the user's hooks here, our own rules in the modules beside it.

`admission`, `liveness` and `drain` are state tables and plain functions; `now` is
passed in, and nothing in them waits.
"""

from collections.abc import Awaitable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from dscore.policy.agent import Agent
    from dscore.policy.drain import DrainReport

__all__ = ["Candidate", "Policy"]

Hook: TypeAlias = Awaitable[None] | None
Answer: TypeAlias = Awaitable[Any] | Any
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Candidate(NamedTuple):
    """Who wants to come in."""

    role: Literal["agent", "operator"]
    """An operator is a connection that watches."""
    agent_id: str
    """"" for an operator."""
    ip: str
    token: str | None
    """From the message, else from the `auth` of a Socket.IO CONNECT, else from `Authorization:
    Bearer` of the upgrade."""
    introduced_by: str
    """The `type` of its message; "connect" for a Socket.IO connection that has said nothing yet
    (`socketio.watch_on_connect`)."""
    reconnection: bool
    auth: Mapping[str, Any] = _NOTHING
    """The whole `auth` of a Socket.IO CONNECT; empty in the raw dialect."""
    token_name: str | None = None
    """What logs call the token, if the configuration knows it: its file and line, or "jwt:SUBJECT".
    None: it was not asked for one."""
    claims: Mapping[str, Any] = _NOTHING
    """What a JSON Web Token says, once its signature is known to be right; else empty."""
    certificate_names: tuple[str, ...] = ()
    """Of the certificate that it has shown for its connection, if it did: the alternative names,
    then the common name. Where `tls.client_auth` is "required" an agent's id is one of them."""


class Policy:
    """The decisions of a user's program. Override what you need; each hook may be a plain or an
    `async` function.

    A plain hook runs on the event loop and holds up every other decision while it does (never
    heartbeats, acks or deadlines: those are the core's). A hook that raises is logged and changes
    nothing else. Messages of one agent are handled in order, one at a time, also when `on_message`
    is async.

    Attributes:
        namespaces: Socket.IO namespaces that are taken beside "/", such as `("/telemetry",)`. A
            client that asks for any other is told `Invalid namespace`.
    """

    namespaces: Sequence[str] = ()

    def authenticate(self, candidate: Candidate) -> bool | Awaitable[bool]:
        """Whether to let it in, after the tokens of the configuration. An `async` one has
        `auth.timeout` for it, whatever the connection took to introduce itself.

        An agent that is not let in is closed 1008 `authentication failed` and does not come back by
        itself.
        """
        return True

    def on_message(self, agent: "Agent", kind: str, message: dict[str, Any]) -> Answer:
        """A message of a type that dscore does not know.

        Over Socket.IO attachments are `bytes` where they were put in. What is returned is the
        argument of the ack if the agent asked for one, and may hold `bytes` too; a hook that raises
        acks with nothing. In the raw dialect what is returned is dropped.
        """

    def on_namespace_message(
        self, agent: "Agent", namespace: str, kind: str, message: dict[str, Any]
    ) -> Answer:
        """The same for any event in one of the `namespaces`. Nothing there has a meaning to dscore;
        who has not introduced itself in "/" is refused."""

    def on_connect(self, agent: "Agent") -> Hook:
        """An agent was introduced."""

    def on_disconnect(self, agent: "Agent", close_code: int, reason: str) -> Hook:
        """The connection of an agent ended. It is not called for one that was taken over."""

    def on_status_change(self, agent: "Agent", status: str, reason_code: str | None) -> Hook:
        """An agent went online or offline, as watchers see it."""

    def on_drain(self, intent: str) -> Hook:
        """A drain begins."""

    def on_drained(self, report: "DrainReport") -> Hook:
        """A drain is over; every connection is closed."""
