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
| other                 | not_introduced  | deliver      | not_introduced |

In Socket.IO's other namespaces every message is "other". To the core a connection that only watches
until it introduces itself (`socketio.watch_on_connect`) is unauthenticated.

introduce: find out whether it may, then it is this agent's connection; acknowledge: the ack again,
    if the id is the same; welcome_back: watchers hear of it, once; ignore: no request of its
    connection waits for this answer (§10), it is only logged; deliver: the policy's
    on_message; the rest are `error` codes.
"""

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from dscore.auth import Keyring
    from dscore.config import Config
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
    "deliver",
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
    ("agent", "other"): "deliver",

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


def wants_certificates(config: "Config") -> bool:
    """Whether an agent's id must be among the names of its client certificate."""
    return config.tls.client_auth == "required" and bool(config.tls.certificates)


def is_asked(config: "Config") -> bool:
    """Whether an agent must show a token or a certificate to be let in."""
    return config.auth.required or wants_certificates(config)


def with_grant(candidate: "Candidate", *, required: bool, keyring: "Keyring") -> "Candidate | None":
    """A candidate with what its token says; None: the configuration does not let it in."""
    if candidate.role == "operator":
        grant = keyring.reader(candidate.token)
    else:
        grant = keyring.agent(candidate.token, candidate.agent_id)
    if grant is None:
        return None if required else candidate
    return candidate._replace(token_name=grant.name, claims=grant.claims)
