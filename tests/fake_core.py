"""`dscore._core` without sockets: the same names, so that a server can be run on it.

The fleet is the real one, and so are the events that it applies.

    class FakeServer(dscore.Server):
        _core = fake_core

The pool keeps every command, and gives the server whatever events a test pushes. It plays the
reactors' part only where a server could not go on without it: what is closed has ended.
"""

import json
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, UUID, uuid5

from dscore import _core

if TYPE_CHECKING:
    from dscore._core import Endpoint, Initiator
    from dscore.states import OutcomeName

__version__ = "0.0.0"
build_profile = "debug"


class CoreError(Exception):
    pass


class BindError(CoreError, OSError):
    pass


class PoolClosedError(CoreError):
    pass


class ForkedError(CoreError):
    pass


def Opened(
    conn: int,
    endpoint: "Endpoint" = "raw",
    path: str = "/deepstream/ws",
    peer: str = "10.0.0.1",
    bearer: str | None = None,
) -> _core.Opened:
    return _core.Opened(conn, endpoint, path, peer, bearer, "websocket")


Introduction = _core.Introduction


@dataclass
class Connected:
    conn: int
    namespace: str = "/"
    auth: bytes = b"{}"


@dataclass
class Left:
    conn: int
    namespace: str = "/"


@dataclass
class Message:
    conn: int
    kind: str
    data: bytes
    binary: bool = False
    namespace: str = ""
    ack: int | None = None
    attachments: list[bytes] = field(default_factory=list)


@dataclass
class Reply:
    conn: int
    id: int
    namespace: str
    data: bytes
    attachments: list[bytes] = field(default_factory=list)


@dataclass
class Beat:
    conn: int
    kind: str = "heartbeat"


@dataclass
class Missed:
    conn: int
    misses: int
    silent_ms: int = 30_000


@dataclass
class TerminationRefused:
    conn: int
    request_id: str
    status: str
    message: str = ""


@dataclass
class Progress:
    conn: int
    request_id: str
    stage: str
    granted_ms: int


def Outcome(
    conn: int,
    request_id: str,
    outcome: "OutcomeName",
    latency_ms: float = 1.0,
    message: str = "",
    *,
    drain: bool = True,
    incomplete: bool = False,
) -> _core.Outcome:
    rest = {"latency_ms": latency_ms, "message": message, "drain": drain, "incomplete": incomplete}
    request_id = str(request_named(request_id))
    return _core.Outcome(conn, request_id, outcome, **rest)  # type: ignore[arg-type]


def request_named(name: str) -> UUID:
    """The id of a request that a test calls by a name; an id is its own name."""
    try:
        return UUID(name)
    except ValueError:
        return uuid5(NAMESPACE_OID, name)


def Closed(
    conn: int,
    code: int = 1006,
    reason: str = "",
    initiator: "Initiator" = "network",
    cause: str = "",
    answer: int = 0,
    heartbeat_ms: int = 0,
    rtt_us: int = 0,
) -> _core.Closed:
    rest = {"answer": answer, "heartbeat_ms": heartbeat_ms, "rtt_us": rtt_us}
    return _core.Closed(conn, code, reason, initiator, cause, **rest)


@dataclass
class Drained:
    conn: int


@dataclass
class HttpRequest:
    conn: int
    method: str
    target: str
    version: str = "1.1"
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"host", b"localhost")])
    body: bytes = b""
    more: bool = False
    subprotocols: list[str] | None = None
    peer: str = "127.0.0.1"
    peer_port: int = 50_000
    proxy: str | None = None
    secure: bool = False
    certificate_names: list[str] = field(default_factory=list)


@dataclass
class BodyPart:
    conn: int
    data: bytes
    more: bool


@dataclass
class GuestMessage:
    conn: int
    data: bytes
    binary: bool = False
    is_last: bool = False


@dataclass
class GuestClosed:
    conn: int
    code: int = 1000
    reason: str = ""


@dataclass
class HttpGone:
    conn: int


LastSeen = _core.LastSeen


@dataclass
class Looked:
    number: int


@dataclass
class AddressRefused:
    limit: str
    address: str


@dataclass
class TlsRefused:
    ip: str
    port: int
    proxy: str | None
    reason: str
    cause: str
    left_out: int
    certificate: Any


@dataclass
class Gap:
    reactor: int
    began_ms: int
    length_ms: int


class CoreConfig:
    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.reactors = 1
        self.max_connections = 0


class Stats:
    def as_dict(self) -> dict[str, int]:
        return {"connections": 0, "accepted_total": 0}


class ReactorPool:
    """Keeps commands as (name, *arguments) in `commands`."""

    def __init__(self, config: CoreConfig, tls: object = None) -> None:
        self.config = config
        self.commands: list[tuple[Any, ...]] = []
        self.open: set[int] = set()
        self.watching: set[int] = set()
        """WebSockets, by the events that were pushed."""
        self.deaf: set[int] = set()
        """Connections that do not read: nothing they are sent is ever drained."""
        self.closed = False
        self.clock_skip = 0
        """Milliseconds its clock is ahead of the real one."""
        self._events: deque[object] = deque()
        self.taken_last = 0
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._requests = count(1)

    # For tests.

    def push(self, *events: object) -> None:
        """Things that happen, in order."""
        for event in events:
            if isinstance(event, _core.Opened):
                self.open.add(event.conn)
            elif isinstance(event, _core.Closed):
                self.open.discard(event.conn)
            self._events.append(event)
        os.write(self._write, b".")

    @property
    def is_idle(self) -> bool:
        """Whether every event was taken."""
        return not self._events

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every command of this name."""
        return [command[1:] for command in self.commands if command[0] == name]

    def told(self, conn: int) -> list[dict[str, Any]]:
        """Every message that was sent to a connection, in order."""
        texts: list[bytes] = []
        for name, *arguments in self.commands:
            if name in ("accept", "accept_watcher") and arguments[0] == conn:
                texts += arguments[-1]
            elif name in ("send", "send_many"):
                conns, text = arguments
                if conn == conns or (name == "send_many" and conn in conns):
                    texts.append(text)
        return [json.loads(text) for text in texts]

    def closes(self, conn: int) -> list[tuple[int, str]]:
        """Codes and reasons a connection was asked to close with."""
        return [(code, why) for c, code, why, _ in self.named("close_connection") if c == conn]

    # The interface of the real one.

    def start(self) -> None:
        self.commands.append(("start",))

    def fileno(self) -> int:
        return self._read

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", 8765

    def take(self, limit: int = 1024) -> list[object]:
        batch = [self._events.popleft() for _ in range(min(limit, len(self._events)))]
        self.taken_last = sum(
            len(event.data or b"") for event in batch if isinstance(event, Message)
        )
        if not batch and not self.closed:
            with suppress(BlockingIOError):
                os.read(self._read, 65_536)
        return batch

    def taken_bytes(self) -> int:
        return self.taken_last

    def now_ms(self) -> int:
        return round(time.monotonic() * 1000) + self.clock_skip

    def accept(
        self,
        conn: int,
        agent_id: str,
        replies: Sequence[bytes] = (),
        *,
        notice_only: bool = False,
    ) -> None:
        self.commands.append(("accept", conn, agent_id, notice_only, list(replies)))

    def accept_watcher(self, conn: int, replies: Sequence[bytes] = ()) -> None:
        self.commands.append(("accept_watcher", conn, list(replies)))
        self.watching.add(conn)

    def refuse(self, conn: int, code: str, message: str, request_type: str | None = None) -> None:
        self.commands.append(("refuse", conn, code, message, request_type))

    def send(self, conn: int, text: bytes, *, notify: bool = False, flushed: bool = False) -> None:
        self.commands.append(("send", conn, text))
        if (notify or flushed) and conn not in self.deaf:
            self.push(Drained(conn))

    def send_event(
        self,
        conn: int,
        data: bytes,
        *,
        namespace: str = "/",
        id: int | None = None,
        attachments: Sequence[bytes] = (),
        notify: bool = False,
    ) -> None:
        self.commands.append(("send_event", conn, json.loads(data), namespace, id, attachments))

    def send_ack(
        self,
        conn: int,
        id: int,
        data: bytes,
        *,
        namespace: str = "/",
        attachments: Sequence[bytes] = (),
    ) -> None:
        self.commands.append(("send_ack", conn, id, json.loads(data), namespace, attachments))

    def lift_deadline(self, conn: int) -> None:
        self.commands.append(("lift_deadline", conn))
        self.watching.add(conn)

    def send_many(self, conns: Sequence[int], *texts: bytes) -> None:
        self.commands.extend(("send_many", list(conns), text) for text in texts)

    def close_connection(self, conn: int, code: int, reason: str, cause: str = "") -> None:
        self.commands.append(("close_connection", conn, code, reason, cause))
        if conn in self.open:
            self.push(Closed(conn, code, reason, "server", cause))

    def close_all(
        self,
        code: int,
        reason: str,
        cause: str = "",
        *,
        spread_ms: int = 0,
        spare_watchers: bool = False,
    ) -> None:
        self.commands.append(("close_all", code, reason, cause, spread_ms))
        spared = self.watching if spare_watchers else set()
        closed = sorted(self.open - spared)
        self.push(*(Closed(conn, code, reason, "server", cause) for conn in closed))

    def hear_next_beat(self, conn: int) -> None:
        self.commands.append(("hear_next_beat", conn))

    def terminate(
        self,
        conn: int,
        timeout_ms: int,
        reason: str = "Server shutting down",
        *,
        max_extension_ms: int = 0,
    ) -> str:
        request_id = str(request_named(f"request-{next(self._requests)}"))
        self.commands.append(("terminate", conn, timeout_ms, max_extension_ms, request_id))
        return request_id

    def terminate_all(
        self,
        timeout_ms: int,
        notice_ms: int,
        max_extension_ms: int,
        reason: str = "Server shutting down",
    ) -> None:
        self.commands.append(("terminate_all", timeout_ms, notice_ms, max_extension_ms))

    def set_serving_state(self, serving: str) -> None:
        self.commands.append(("set_serving_state", serving))

    def respond(
        self,
        conn: int,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        *,
        more: bool = False,
        notify: bool = False,
    ) -> None:
        self.commands.append(("respond", conn, status, body))

    def respond_more(self, conn: int, body: bytes, *, more: bool, notify: bool = False) -> None:
        self.commands.append(("respond_more", conn, body))

    def abort(self, conn: int) -> None:
        self.commands.append(("abort", conn))

    def read_last_seen(self, number: int = 0, conns: Sequence[int] | None = None) -> None:
        self.commands.append(("read_last_seen", conns))
        self.push(LastSeen([], [], [], [], number=number))

    def look(self, number: int) -> int:
        self.push(Looked(number))
        return 1

    def configure(self, config: CoreConfig) -> None:
        self.commands.append(("configure", config.settings))

    def stats(self) -> Stats:
        return Stats()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._read)
            os.close(self._write)


def introduction(conn: int, kind: str, **fields: object) -> Introduction:
    return Introduction(conn, kind, _text(kind, fields))


def message(conn: int, kind: str, **fields: object) -> Message:
    return Message(conn, kind, _text(kind, fields))


def _text(kind: str, fields: Mapping[str, object]) -> bytes:
    return json.dumps({"type": kind, **fields}).encode()
