"""Who is let in, and what a message means coming from whom (PROTOCOL.md §2). Nothing here waits.

The table, a cell is what to do. Heartbeats of agents never get here: the core answers them.

| message               | unauthenticated | of an agent  | of a watcher   |
|-----------------------|-----------------|--------------|----------------|
| app_ready             | introduce       | acknowledge  | wrong_id       |
| heartbeat             | introduce       |              | wrong_id       |
| reconnection_success  | introduce       | welcome_back | wrong_id       |
| watch                 | watch           | watch        | watch          |
| unwatch               | not_introduced  | unwatch      | unwatch        |
| client_status_request | answer          | answer       | answer         |
| app_terminated        | not_introduced  | ignore       | not_introduced |
| termination_progress  | not_introduced  | ignore       | not_introduced |
| other                 | not_introduced  | hand_over    | not_introduced |

In Socket.IO's other namespaces every message is "other". To the core a connection that only watches
until it introduces itself (`socketio.watch_on_connect`) is unauthenticated.

introduce: find out whether it may, then it is this agent's connection; acknowledge: the ack again,
    if the id is the same; welcome_back: watchers hear of it, once; ignore: no request of its
    connection waits for this answer (§10), it is only logged; hand_over: the policy's
    on_message; the rest are `error` codes.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from dscore.store import Session, Store

if TYPE_CHECKING:
    from dscore.auth import Tokens
    from dscore.policy import Candidate

Sender: TypeAlias = Literal["unauthenticated", "agent", "watcher"]
Kind: TypeAlias = Literal[
    "app_ready",
    "heartbeat",
    "reconnection_success",
    "watch",
    "unwatch",
    "client_status_request",
    "app_terminated",
    "termination_progress",
    "other",
]
Reaction: TypeAlias = Literal[
    "introduce",
    "watch",
    "acknowledge",
    "welcome_back",
    "unwatch",
    "answer",
    "ignore",
    "hand_over",
    "not_introduced",
    "wrong_id",
]

# fmt: off
TABLE: Final[dict[tuple[Sender, Kind], Reaction]] = {
    ("unauthenticated", "app_ready"): "introduce",
    ("unauthenticated", "heartbeat"): "introduce",
    ("unauthenticated", "reconnection_success"): "introduce",
    ("unauthenticated", "watch"): "watch",
    ("unauthenticated", "unwatch"): "not_introduced",
    ("unauthenticated", "client_status_request"): "answer",
    ("unauthenticated", "app_terminated"): "not_introduced",
    ("unauthenticated", "termination_progress"): "not_introduced",
    ("unauthenticated", "other"): "not_introduced",

    ("agent", "app_ready"): "acknowledge",
    ("agent", "reconnection_success"): "welcome_back",
    ("agent", "watch"): "watch",
    ("agent", "unwatch"): "unwatch",
    ("agent", "client_status_request"): "answer",
    ("agent", "app_terminated"): "ignore",
    ("agent", "termination_progress"): "ignore",
    ("agent", "other"): "hand_over",

    ("watcher", "app_ready"): "wrong_id",
    ("watcher", "heartbeat"): "wrong_id",
    ("watcher", "reconnection_success"): "wrong_id",
    ("watcher", "watch"): "watch",
    ("watcher", "unwatch"): "unwatch",
    ("watcher", "client_status_request"): "answer",
    ("watcher", "app_terminated"): "not_introduced",
    ("watcher", "termination_progress"): "not_introduced",
    ("watcher", "other"): "not_introduced",
}
# fmt: on

OWN_NAMESPACES: Final = ("", "/")
"""Where a type means what the table says: the raw dialect, which has no namespaces, and Socket.IO's
first one."""
_KINDS: Final[dict[str, Kind]] = {kind: kind for _, kind in TABLE if kind != "other"}


def react(sender: Sender, kind: str, namespace: str = "") -> Reaction:
    """What a message of this `type` asks for, coming from there.

    Args:
        namespace: Socket.IO's; "" in the raw dialect.
    """
    known = _KINDS.get(kind, "other") if namespace in OWN_NAMESPACES else "other"
    reaction = TABLE.get((sender, known))
    if reaction is None:
        raise RuntimeError(f"admission: {kind} of an introduced agent is the core's to answer")
    return reaction


def has_token(
    candidate: "Candidate", *, required: bool, agents: "Tokens", operators: "Tokens"
) -> bool:
    """Whether the configuration's tokens let a candidate in."""
    if not required:
        return True
    tokens = operators if candidate.role == "operator" else agents
    return tokens.allows(candidate.token)


def open_session(
    store: Store,
    agent_id: str,
    *,
    reconnection: bool | None,
    age: Callable[[], float],
    ttl: float,
) -> bool:
    """Takes up the session of an agent that is being let in, or begins one.

    Args:
        age: the clock of `left_at`, in seconds; read only where a session has been left.
        reconnection: what its app_ready says. None: it was introduced by a message that cannot say,
            and keeps what it has.

    Returns:
        Whether an earlier session goes on, its outbox included.
    """
    kept = store.get(agent_id)
    session = None if reconnection is False else kept
    if session is not None and session.left_at is not None and session.left_at < age() - ttl:
        session = None
    restored = session is not None
    if session is None:
        if kept is not None:
            store.drop(agent_id)
        session = _idle(0, 0)
    elif session.outbox:
        session = session._replace(left_at=None)
    else:
        session = _idle(session.last_close, session.dropped)
    store.put(agent_id, session)
    return restored


def leave_session(store: Store, agent_id: str, *, close_code: int, now: float) -> None:
    """The agent was disconnected: from here on its session has `session.ttl` left."""
    session = store.get(agent_id)
    if session is not None:
        store.put(agent_id, session._replace(last_close=close_code, left_at=now))


@lru_cache(maxsize=64)
def _idle(last_close: int, dropped: int) -> Session:
    """The session of a connected agent for which nothing waits: one for all that are alike."""
    return Session(last_close, dropped=dropped)
