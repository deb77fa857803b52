"""Every exception a caller of dscore may meet.

    DscoreError
    ├── ConfigError (also ValueError)       a setting is wrong; says which, and the remedy
    ├── PolicyError (also TypeError)        a hook of the policy is none, or cannot be called so
    ├── LifespanError                       the app said that it cannot start
    ├── DrainingError                       the server is stopping and takes no new work
    ├── StoreError                          what was kept cannot be read; says why, and the remedy
    │   └── NotKeptError                    the store takes nothing now: a message was not kept
    └── AgentError                          about one agent, named by `agent_id`
        ├── UnknownAgentError (also LookupError)
        ├── AdmissionError                  of `dscore.testing`: the policy did not let it in
        ├── NotConnectedError               known, but it has no connection now
        └── RequestError                    it was asked, and what it said cannot be read
            ├── NoAcksError                 it speaks the raw dialect, which has no acks
            ├── TooManyRequestsError        too many wait for its acks already
            ├── RequestTimeoutError (also TimeoutError)
            └── ConnectionLostError (also NotConnectedError, ConnectionError)
    CoreError                               raised by the core, `dscore._core`
    ├── BindError (also OSError)            the listening address cannot be had
    ├── PoolClosedError                     the pool was closed, or its reactors have stopped
    └── ForkedError                         the pool was made in another process

A peer that misbehaves is never an exception for a caller: what it sent is refused on the wire
(`dscore.messages.Refusal`) or ends its connection.

The core's exceptions are looked up when first asked for, so that configuration can be read and
checked without the extension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dscore._core import BindError, CoreError, ForkedError, PoolClosedError

__all__ = [
    "AdmissionError",
    "AgentError",
    "BindError",
    "ConfigError",
    "ConnectionLostError",
    "CoreError",
    "DrainingError",
    "DscoreError",
    "ForkedError",
    "LifespanError",
    "NoAcksError",
    "NotConnectedError",
    "NotKeptError",
    "PolicyError",
    "PoolClosedError",
    "RequestError",
    "RequestTimeoutError",
    "StoreError",
    "TooManyRequestsError",
    "UnknownAgentError",
]

_FROM_CORE = frozenset({"BindError", "CoreError", "ForkedError", "PoolClosedError"})


class DscoreError(Exception):
    """Base of the errors raised by the Python side."""


class ConfigError(DscoreError, ValueError):
    """A setting is wrong.

    Attributes:
        problems: every problem found, one line each; the message is the first.
    """

    def __init__(self, *problems: str) -> None:
        more = len(problems) - 1
        plural = "s" if more > 1 else ""
        super().__init__(problems[0] + (f" (and {more} more problem{plural})" if more else ""))
        self.problems = problems


class PolicyError(DscoreError, TypeError):
    """A method of the policy looks like a hook and is none, or takes other arguments."""


class LifespanError(DscoreError):
    """The app said that it cannot start."""


class DrainingError(DscoreError):
    """The server is draining: it takes no new work."""


class StoreError(DscoreError):
    """The store cannot be opened, or what is in it cannot be read."""


class NotKeptError(StoreError):
    """The store takes no writes now, so a message for an agent that is away was not kept."""


class AgentError(DscoreError):
    """Something is wrong with one agent."""

    _sentence = "agent {!r}"

    def __init__(self, agent_id: str) -> None:
        super().__init__(self._sentence.format(agent_id))
        self.agent_id = agent_id


class UnknownAgentError(AgentError, LookupError):
    """No agent of that id has ever been introduced, or it was removed."""

    _sentence = "no agent {!r} is known"


class AdmissionError(AgentError):
    """The policy did not let an agent in; only `dscore.testing` raises it."""

    _sentence = "agent {!r} was not let in"


class NotConnectedError(AgentError):
    """The agent is known, but has no connection now."""

    _sentence = "agent {!r} is not connected"


class RequestError(AgentError):
    """A request to an agent came to nothing. By itself: its ack cannot be read."""

    _sentence = "the ack of agent {!r} cannot be read"


class NoAcksError(RequestError):
    """The agent is connected over the raw dialect, which has no acks."""

    _sentence = "agent {!r} speaks the raw dialect, which has no acks: send it a message"


class TooManyRequestsError(RequestError):
    """As many requests as may wait for acks of the agent wait already."""

    _sentence = "too many requests wait for acks of agent {!r}: ask again when some are over"


class RequestTimeoutError(RequestError, TimeoutError):
    """The agent has not acked in time. What it says later is dropped."""

    _sentence = "agent {!r} has not acked in time"


class ConnectionLostError(RequestError, NotConnectedError, ConnectionError):
    """The connection ended before the agent acked: whether it got the request is unknown."""

    _sentence = "the connection of agent {!r} ended before it acked"


def __getattr__(name: str) -> Any:
    if name not in _FROM_CORE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dscore import _core

    value = getattr(_core, name)
    globals()[name] = value
    return value
