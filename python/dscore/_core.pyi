"""The boundary: reactors in Rust on one side, decisions in Python on the other.

A `ReactorPool` owns every socket and N threads that never take the GIL. It hands Python *events* in
batches (`take`, woken through `fileno`) and takes *commands*, each of which returns at once: it has
been queued, in order per connection, and what came of it is an event. A command for a connection
that has gone is dropped silently; its `Closed` event is on its way or has been seen.

A connection is named by a `conn` number (index, generation and reactor in one int), never reused
within a process. Times are milliseconds of the monotonic clock of `now_ms` unless a name says
otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, final

from dscore.filters import Filter
from dscore.labels import Labels
from dscore.messages import Dialect, ReasonCode, Status
from dscore.states import Grace, Input, OutcomeName, State

T = TypeVar("T")

__version__: str
MAX_TEXT: int
"""Characters kept of what an agent says about itself."""
build_profile: Literal["debug", "release"]

class CoreError(Exception):
    """Base of every error the core raises on purpose."""

class BindError(CoreError, OSError):
    """The listening address cannot be had; `errno` says why."""

class PoolClosedError(CoreError):
    """The pool was closed, or its reactors have stopped."""

class ForkedError(CoreError):
    """The pool was made in another process: reactor threads do not survive a fork. Make a pool of
    your own."""

Endpoint: TypeAlias = Literal["raw", "plain", "socketio", "plain-engineio", "plain-socketio"]
Transport: TypeAlias = Literal["websocket", "polling"]
ServingState: TypeAlias = Literal["open", "draining", "maintenance"]
ClientAuth: TypeAlias = Literal["none", "optional", "required"]
RecordLayer: TypeAlias = Literal["rustls", "own"]
Initiator: TypeAlias = Literal["peer", "server", "network"]
CountedFacets: TypeAlias = tuple[
    list[tuple[State, int]],
    list[tuple[ReasonCode, int]],
    list[tuple[str, list[tuple[str, list[int]]], int]],
]
Settled: TypeAlias = tuple[int, str, OutcomeName, float, str, bool]
"""How a single terminate_app ended: connection, request id, outcome, latency in ms, the agent's
last word, whether a stream did not reach its end."""

@final
class CoreConfig:
    """Everything the reactors need to know, checked once. Raises `ValueError` naming the field that
    is out of bounds.

    Durations are milliseconds, sizes bytes.
    """

    def __new__(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        passed_socket: bool = False,
        tls_host: str = "",
        tls_port: int = 0,
        tls_handshakes: int = 1024,
        is_plain_for_all: bool = True,
        proxy_protocol: bool = False,
        backlog: int = 4096,
        reactors: int = 0,
        endpoints: Mapping[str, Endpoint] | None = None,
        origins: Sequence[str] = ...,
        names: Sequence[str] = ...,
        trusted_proxies: Sequence[str] = ...,
        check_host: bool = False,
        subprotocols: Sequence[str] = ...,
        max_message_size: int = 1_000_000,
        max_fragments: int = 4096,
        max_header_size: int = 16_384,
        max_body_size: int = 1_000_000,
        max_upload_size: int = 1_073_741_824,
        guest: bool = False,
        whole_bodies: Sequence[str] = ...,
        max_connections: int = 0,
        accept_rate: float = 0.0,
        connections_per_address: int = 0,
        introductions_per_address: int = 0,
        max_errors: int = 10,
        outbox_bytes: int = 1_048_576,
        output_bytes: int = 268_435_456,
        input_bytes: int = 268_435_456,
        transports: Sequence[Transport] = ...,
        allow_eio3: bool = True,
        cors_methods: Sequence[str] = ...,
        hsts: int = 0,
        namespaces: Sequence[str] = ...,
        handshake_timeout: int = 10_000,
        auth_timeout: int = 10_000,
        connect_timeout: int = 60_000,
        keep_alive_timeout: int = 75_000,
        ping_interval: int = 30_000,
        ping_timeout: int = 120_000,
        close_timeout: int = 2_000,
        next_heartbeat_in: int = 30_000,
        connection_check_interval: int = 30_000,
        offline_timeout: int = 300_000,
        heartbeat_message: str = "heartbeat received",
        introduce_by_heartbeat: bool = True,
        introductions_are_judged: bool = False,
        event_queue: int = 16_384,
    ) -> CoreConfig:
        """Checks and keeps the settings.

        Args:
            passed_socket: take the listening socket that the service manager has passed on
                (sd_listen_fds(3)) instead of binding one; `host` and `port` are then its own.
            tls_host: with `tls_port`, a listener of its own for TLS; "": TLS is told by its first
                byte on the same one. Without the pool's `tls` neither.
            tls_handshakes: TLS handshakes and PROXY headers that may be under way.
            is_plain_for_all: with TLS, take HTTP without it from any address; False: from loopback
                and `trusted_proxies` alone.
            proxy_protocol: connections of `trusted_proxies` begin with a header of the PROXY
                protocol, version 1 or 2.
            reactors: threads; 0 means one for each two processors, at least one.
            endpoints: exact path -> what speaks there. "raw": agents (PROTOCOL.md, dialect raw).
                "plain": bare WebSocket messages, each handed over as a `Message` event. Default:
                `{"/deepstream/ws": "raw"}`. The others speak Engine.IO, over polling and WebSocket,
                and are written with their trailing slash. "socketio": agents (PROTOCOL.md, dialect
                socketio). "plain-engineio": bare Engine.IO messages, "plain-socketio": bare
                Socket.IO events, each a `Message` too.
            origins: values of `Origin` let in; "*" (the default) lets in all, "self" loopback
                names, the address and port a connection came in on, and `names`.
            names: host names and addresses of this server.
            trusted_proxies: addresses, and ranges of them by CIDR, of proxies that are believed who
                their clients are (`X-Forwarded-For`, `X-Forwarded-Proto`, `Forwarded`): `peer` of
                `Opened` and `HttpRequest` is then the client. Default none.
            check_host: on a loopback listener, Host must be a name of this server too, unless its
                Origin is let in by name, or `origins` has "*": a page whose name was rebound to
                this machine is refused.
            subprotocols: WebSocket subprotocols spoken, the most wanted first; none (the default):
                a client's first offer is taken, since browsers end a WebSocket that answers none.
            transports: what Engine.IO may go over; default both. With "polling" alone no session is
                upgraded.
            allow_eio3: take Engine.IO 3, so Socket.IO 2, too.
            cors_methods: what a page of another origin may use for polling; default GET and POST.
            hsts: for how many seconds browsers are told to come by TLS alone (RFC 6797), in every
                answer where the TLS is the server's own.
            namespaces: Socket.IO namespaces taken beside "/", each beginning with "/"; default
                none. A CONNECT to any other is answered `Invalid namespace`.
            guest: there is a program's own app: a request that is no endpoint's is handed over
                before its body has come (`HttpRequest.more`), and so is an upgrade
                (`HttpRequest.subprotocols`), whatever its Origin.
            whole_bodies: paths whose requests come whole all the same; a segment in braces stands
                for any.
            max_upload_size: of a body that comes in parts; `max_body_size` is for whole ones.
            max_connections: 0 means what the descriptor limit allows, less an eighth (16 to 128).
            accept_rate: upgrades and Engine.IO openings a second; 0 means no limit. Those past it
                wait in the order they came, up to a minute; where it would be longer: 503 with
                Retry-After.
            connections_per_address: WebSockets and sessions that poll, of one address (of IPv6: one
                /64) at once; 0 means no limit. Past it 1013 or 429, and an `AddressRefused`.
                Loopback and `trusted_proxies` have no limit.
            introductions_per_address: introductions of one address in a minute; 0 means no limit.
                Past it 1013, and an `AddressRefused`.
            output_bytes: memory that all that waits for peers may cost together; past it those who
                have kept most waiting for longest are closed 1013 `slow consumer`.
            input_bytes: messages that have not come whole, and requests that are not answered, of
                all connections together; the connection that exceeds it is turned away, 1013 or
                503. A quarter as much besides may be ahead of `take`: past it nothing is read.
            auth_timeout: how long a connection may be unauthenticated. On a socketio endpoint it
                counts only where `introduce_by_heartbeat` is off (pages of the Socket.IO contract
                never say who they are).
            connect_timeout: how long an Engine.IO session may be without a Socket.IO namespace.
            heartbeat_message: the `message` of `heartbeat_response`.
            introduce_by_heartbeat: False refuses `heartbeat` and `reconnection_success` of
                unauthenticated connections `not_introduced` (where `auth.required` is on, only
                app_ready and watch can carry a token), unless the `auth` of a socketio CONNECT
                has a string `token`.
            introductions_are_judged: the owner reads each introduction; False has what a plain one
                says read on the way, for `Fleet.step` to let it in.
            event_queue: events a reactor may be ahead of Python before it stops reading from its
                sockets.
        """

    reactors: int
    max_connections: int

@final
class TlsConfig:
    """What TLS handshakes are done by: TLS 1.3 alone, with certificates from PEM files."""

    def __new__(
        cls,
        certificates: Sequence[tuple[str, str]],
        *,
        client_ca: str | None = None,
        client_auth: ClientAuth = "none",
        client_crl: Sequence[str] = ...,
        ticket_keys: str | None = None,
        record_layer: RecordLayer = "rustls",
        previous: TlsConfig | None = None,
    ) -> TlsConfig:
        """Reads and checks every file: keys fit, chains are in order, all is in force.

        Args:
            certificates: files of a certificate with its chain, and of its key. A client gets the
                first that is for the name it asks for, exactly or by a wildcard of one label; else
                the first of all.
            client_ca: who signs clients' certificates.
            client_auth: whether clients are asked for one.
            client_crl: revoked ones. A certificate whose authority has no list is refused then.
            ticket_keys: where keys of tickets lie, one a line, 32 bytes as base64; the first seals,
                all open. None: a key of this process.
            record_layer: what opens and seals records once a handshake is done.
            previous: what this one replaces; tickets of it stay good.

        Raises:
            ValueError: a file is not fit; names it, and what would help.
        """

    @property
    def certificates(self) -> list[tuple[str, int]]:
        """The files, and when the first certificate in each ends, in Unix seconds."""

    @property
    def warnings(self) -> list[str]:
        """What is not wrong yet, in sentences."""

@final
class OriginRules:
    """Which pages may reach the server: the reactors' own rule (PROTOCOL.md §2, "Origins")."""

    def __new__(cls, origins: Sequence[str], names: Sequence[str] = ...) -> OriginRules:
        """Rules of these settings, as in `CoreConfig`.

        Raises:
            ValueError: an origin or a name cannot be one.
        """

    def judge(
        self,
        origins: Sequence[bytes],
        host: bytes | None,
        local: tuple[str, int],
        *,
        check_host: bool,
    ) -> tuple[bytes | None, str | None]:
        """Whether a request may come in.

        Args:
            origins: the values of all its Origin fields.
            host: its Host.
            local: the address and port it came in on.
            check_host: nothing but its Host tells a page from a program.

        Returns:
            What `Access-Control-Allow-Origin` says, None where no other origin asks; and why it is
            refused, None where it is not.

        Raises:
            ValueError: `local` is no address.
        """

@final
class Opened:
    """A conversation has begun: a WebSocket was upgraded, or an Engine.IO session was opened by
    either transport. It keeps its number when a session goes from polling to WebSocket."""

    def __new__(
        cls,
        conn: int,
        endpoint: Endpoint,
        path: str,
        peer: str,
        bearer: str | None,
        transport: Transport,
        certificate_names: list[str] = ...,
    ) -> Opened:
        """For tests: events are the core's to make."""

    conn: int
    endpoint: Endpoint
    path: str
    peer: str
    """The peer's address, IPv4-mapped IPv6 written as IPv4."""
    bearer: str | None
    """The token of `Authorization: Bearer` on the upgrade, or on the first request of a session."""
    transport: Transport
    """What it began with."""
    certificate_names: list[str]
    """Names of the certificate that the client has shown for the connection: the alternative ones,
    then the common name. Empty: it has shown none."""

@final
class Connected:
    """A Socket.IO client has joined a namespace, and was told so. Nothing is sent in a namespace
    before that."""

    conn: int
    namespace: str
    auth: bytes
    """The JSON object of its CONNECT; `{}` if it sent none."""

@final
class Left:
    """A Socket.IO client has left a namespace, and keeps its other ones: on an agents' endpoint
    leaving the last one ends the connection. One that has left "/" cannot be told to terminate:
    what waits for its answer has the outcome `vanished`, what comes later `failed`."""

    conn: int
    namespace: str

@final
class Introduction:
    """An unauthenticated connection says who it is. It is not read again until Python answers
    with `accept`, `accept_watcher`, `refuse` or `close_connection`."""

    conn: int
    kind: Literal["app_ready", "heartbeat", "reconnection_success", "watch"]
    text: bytes
    """The message, one JSON object (checked to be one, with a string `type`), in either dialect."""

    def __new__(
        cls,
        conn: int,
        kind: Literal["app_ready", "heartbeat", "reconnection_success", "watch"],
        text: bytes,
    ) -> Introduction: ...

@final
class Message:
    """A message of a type the core leaves to policy, or any message of a `plain…` endpoint."""

    conn: int
    kind: str
    """Its `type`; the event's name on Socket.IO endpoints; "" on plain and plain-engineio ones."""
    data: bytes
    """The message. socketio: one JSON object with its `type`, as in the raw dialect, whatever the
    namespace; plain-socketio: the whole JSON array, the name first. Both with placeholders
    `{"_placeholder": true, "num": n}`, unchecked, where attachments belong."""
    binary: bool
    """Whether `data` is binary: plain and plain-engineio endpoints only."""
    namespace: str
    """"/" or one of the `namespaces`; "" where there are none. The types of PROTOCOL.md §2 mean
    something in "/" only."""
    ack: int | None
    """The id under which the client waits for `send_ack`. None where it does not, or where the core
    has answered already: the types of PROTOCOL.md §2 in "/" are acked at once with `[]`."""
    attachments: list[bytes]

@final
class Reply:
    """A client has acked a `send_event` with an id. The id is what the client says: it may be
    unknown, or used up."""

    conn: int
    id: int
    namespace: str
    data: bytes
    """A JSON array, with placeholders as in `Message`."""
    attachments: list[bytes]

@final
class Beat:
    """A heartbeat or connection_check_response of an introduced agent that Python asked to hear of
    with `hear_next_beat` (a late agent that came back): otherwise heartbeats are never events."""

    conn: int
    kind: Literal["heartbeat", "connection_check_response"]

@final
class Missed:
    """An agent that has sent heartbeats was silent for one more connection_check_interval; it was
    sent a `connection_check`."""

    conn: int
    misses: int
    silent_ms: int

@final
class TerminationRefused:
    """An `app_terminated` that was not `OK`: the agent is still waited for."""

    conn: int
    request_id: str
    status: str
    message: str

@final
class Progress:
    """A `termination_progress`: the agent asked for more time and got `granted_ms` from now (0:
    none was left)."""

    conn: int
    request_id: str
    stage: str
    granted_ms: int

@final
class Outcome:
    """How one terminate_app ended: exactly one for each agent told, before the `Closed` of its
    connection."""

    def __new__(
        cls,
        conn: int,
        request_id: str,
        outcome: OutcomeName,
        *,
        incomplete: bool,
        latency_ms: float,
        message: str,
        drain: bool,
    ) -> Outcome:
        """For tests: events are the core's to make."""

    conn: int
    request_id: str
    outcome: OutcomeName
    incomplete: bool
    """Acked, but a stream did not reach its end (`complete` false)."""
    latency_ms: float
    """From the sending of terminate_app to its answer, or to the giving up."""
    message: str
    """The agent's last word (its `message`), or why the send failed; else ""."""
    drain: bool
    """Whether it answers `terminate_all`, else `terminate`."""

@final
class Closed:
    """A conversation has ended and its descriptor, if it has one, is closed: exactly one for each
    `Opened`."""

    def __new__(
        cls,
        conn: int,
        code: int,
        reason: str,
        initiator: Initiator,
        cause: str,
        *,
        answer: int,
        heartbeat_ms: int,
        rtt_us: int,
    ) -> Closed:
        """For tests: events are the core's to make."""

    conn: int
    code: int
    """The close code that counts: the first sent or received; 1005 none given, 1006 no close frame
    at all."""
    reason: str
    initiator: Initiator
    cause: str
    """A `reason_code` of PROTOCOL.md §4 where one fits (ping_timeout, heartbeat_timeout,
    protocol_error, slow_consumer, taken_over, shutdown, …), else ""."""
    answer: int
    """The close code of the side that did not begin; 0 if it never sent one."""
    heartbeat_ms: int
    """Its last heartbeat, on the pool's clock; 0: none."""
    rtt_us: int
    """The round trip of its last ping; 0: none."""

@final
class Drained:
    """The outbox of a connection fell to low water after a command with `notify`."""

    conn: int

@final
class HttpRequest:
    """An HTTP request that is no WebSocket upgrade, and none for Engine.IO. Answer it with
    `respond`; the next one of this connection is read after that. It is complete, but where there
    is a `guest`."""

    conn: int
    method: str
    target: str
    version: str
    """"1.0" or "1.1"."""
    headers: list[tuple[bytes, bytes]]
    """Names in lower case, in the order sent."""
    body: bytes
    more: bool
    """The body is still coming: ask for it with `read_body`."""
    subprotocols: list[str] | None
    """With a `guest`, of an upgrade on a path that is no endpoint: those that the client speaks.
    `accept_upgrade` makes a WebSocket of it, within `handshake_timeout`; any response refuses it.
    None: it is a request."""
    peer: str
    peer_port: int
    local: str
    """The address that it came in on."""
    local_port: int
    proxy: str | None
    """The trusted proxy that says that the client is `peer`; None: it is the connection's."""
    secure: bool
    """The client speaks TLS, to us or to that proxy."""
    certificate_names: list[str]
    """As in `Opened`."""

@final
class BodyPart:
    """The answer to `read_body`."""

    conn: int
    data: bytes
    """Empty only where the body ends without more."""
    more: bool
    """Whether there is another part to ask for."""

@final
class GuestMessage:
    """A message on a WebSocket that `accept_upgrade` has made."""

    conn: int
    data: bytes
    """UTF-8, unless it is `binary`."""
    binary: bool
    is_last: bool
    """No more is read before `read_on`: some 64 KiB have come since, or 128 messages."""

@final
class GuestClosed:
    """A WebSocket that `accept_upgrade` has made has ended."""

    conn: int
    code: int
    """1005: the client gave none; 1006: there was no close frame."""
    reason: str

@final
class HttpGone:
    """The client of a request that is not answered yet has left, or the rest of its body will not
    come. It hears no answer any more."""

    conn: int

@final
class LastSeen:
    """The answer to `read_last_seen`, for `Fleet.hear_some`: one for each reactor."""

    def __new__(
        cls,
        conns: list[int],
        seen_ms: list[int],
        heartbeat_ms: list[int],
        rtt_us: list[int],
        *,
        number: int = 0,
    ) -> LastSeen:
        """Lists of equal length.

        Args:
            seen_ms: the last frame of any kind.
            heartbeat_ms: the last heartbeat; 0: none yet.
            rtt_us: the round trip of the last ping; 0: none yet.
        """

    @property
    def number(self) -> int:
        """That of the call."""
    @property
    def conns(self) -> list[int]:
        """Whose."""

@final
class Looked:
    """The answer to `look`: one for each reactor."""

    number: int

@final
class AddressRefused:
    """An address has as much as one may have, and was refused more. Of many within a second only
    some are told of; the counters have all."""

    limit: Literal["connections_per_address", "introductions_per_address"]
    """Which setting it has reached."""
    address: str

@final
class RefusedCertificate:
    """What a client certificate says of itself that was found not good: none of it is proved. Long
    texts are cut."""

    names: list[str]
    """The alternative names, then the common name; eight at most."""
    issuer: str
    serial: str
    """Hexadecimal."""
    not_before: int
    """Unix seconds."""
    not_after: int

@final
class TlsRefused:
    """A socket became no connection: its TLS handshake was refused, or what came in place of one.
    Of many of one cause within a second only some are told of; the counters have all."""

    ip: str
    port: int
    proxy: str | None
    """The trusted proxy that named the address."""
    reason: str
    """That of `dscore_tls_refused_total`, or "proxy_header"."""
    cause: str
    """The same, finer."""
    left_out: int
    """Refusals of this cause that were not told of, since the last one that was."""
    certificate: RefusedCertificate | None
    """The client's, where it was not good."""

@final
class Gap:
    """A reactor did not look at anything: the process was stopped, or the machine. This time counts
    for none of its deadlines."""

    reactor: int
    began_ms: int
    length_ms: int

Event: TypeAlias = (
    Opened
    | Connected
    | Left
    | Introduction
    | Message
    | Reply
    | Beat
    | Missed
    | TerminationRefused
    | Progress
    | Outcome
    | Closed
    | Drained
    | HttpRequest
    | BodyPart
    | HttpGone
    | LastSeen
    | Looked
    | AddressRefused
    | TlsRefused
    | Gap
    | GuestClosed
    | GuestMessage
)

@final
class Stats:
    """Counters since the start, and gauges, summed over all reactors; each reactor's own part is
    read in one go."""

    def as_dict(self) -> dict[str, int]:
        """Name -> value. Names ending in `_total` are counters, all others gauges.

        Among them: connections, connections_unauthenticated, http_connections, accepted_total,
        refused_total, handshake_failures_total, messages_received_total, messages_sent_total,
        bytes_received_total, bytes_sent_total, heartbeats_total, errors_total,
        unmatched_acks_total, slow_consumers_total, ping_timeouts_total, accept_errors_total,
        engineio_refused_<what the client was told>_total, events_queued, events_queued_bytes,
        reading_paused_total, outbox_bytes, output_bytes, input_bytes, turns_total.
        """

@final
class ReactorPool:
    """N reactor threads and one listening socket."""

    def __new__(cls, config: CoreConfig, tls: TlsConfig | None = None) -> ReactorPool:
        """Binds and listens, starts nothing. With `tls` it speaks TLS.

        Raises:
            BindError: the address cannot be had.
        """

    def start(self) -> None:
        """Starts the threads; connections are accepted from here on."""

    def fileno(self) -> int:
        """A descriptor that is readable while events wait; for `loop.add_reader`. Owned by the
        pool, which closes it with `close`, or after that with the last event that is taken: watch a
        duplicate (`os.dup`) if yours may last longer.

        Raises:
            PoolClosedError: it was closed.
        """

    def address(self) -> tuple[str, int]:
        """The bound address."""

    def tls_address(self) -> tuple[str, int] | None:
        """That of the listener for TLS, where it has one of its own."""

    def certify(self, tls: TlsConfig) -> None:
        """Does handshakes by this from now on; connections that are there stay."""

    def take(self, limit: int = 1024) -> list[Event]:
        """The next events, in order for each connection, at most `limit`, and none after 4 MiB of
        what peers said; an empty list means that `fileno` will become readable when there are more.
        Never blocks."""

    def taken_bytes(self) -> int:
        """Bytes of what peers said in the list that `take` returned last, those of HTTP requests
        left out."""

    def now_ms(self) -> int:
        """The clock of every time in an event: since the pool was made, suspends included."""

    def accept(
        self, conn: int, agent_id: str, replies: Sequence[bytes] = (), *, notice_only: bool = False
    ) -> None:
        """Lets an introduction through: from here on the connection is this
        agent's; `replies` are sent, in order, before anything else. If a heartbeat was the
        introduction, its answer goes before them.

        Args:
            notice_only: the agent never sent app_ready (one of the Socket.IO contract):
                `terminate_all` gives it the notice time only.
        """

    def accept_watcher(self, conn: int, replies: Sequence[bytes] = ()) -> None:
        """Lets a watcher through: introduced, with no agent id, never told to terminate."""

    def lift_deadline(self, conn: int) -> None:
        """`auth_timeout` does not count for this connection: it may stay unauthenticated and
        introduce itself at any time. Nothing else changes, also if it is asking now."""

    def refuse(self, conn: int, code: str, message: str, request_type: str | None = None) -> None:
        """Sends `error`, counts it against limits.max_errors, and lets the connection be read
        again."""

    def send(self, conn: int, text: bytes, *, notify: bool = False, flushed: bool = False) -> None:
        """Sends one text message. The bytes must be valid UTF-8 (checked, `ValueError`).

        To a socketio connection it goes as an event of "/" named by its `type`, with the rest as
        the one argument, so it must be one JSON object with a string `type`; it is not checked to
        be one.

        Args:
            flushed: `Drained` follows when nothing waits for this connection any more: its socket
                has it all. If it ends before, none does.
        """

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
        """Sends one Socket.IO event; dropped on a connection that does not speak it, or that has
        not joined the namespace.

        Args:
            data: a JSON array that begins with the event's name, with placeholders
                `{"_placeholder": true, "num": n}` where attachments belong.
            id: what the client's ack is to come back with, as a `Reply`.
        """

    def send_ack(
        self,
        conn: int,
        id: int,
        data: bytes,
        *,
        namespace: str = "/",
        attachments: Sequence[bytes] = (),
    ) -> None:
        """Answers a `Message` that has an `ack`, with a JSON array of the ack's arguments."""

    def send_binary(self, conn: int, data: bytes, *, notify: bool = False) -> None:
        """Sends one binary message (plain and plain-engineio endpoints)."""

    def send_many(self, conns: Sequence[int], *texts: bytes) -> None:
        """Sends the same text message, or several, to many connections: framed once, and brought to
        each socket in one write as far as it takes them."""

    def close_connection(self, conn: int, code: int, reason: str, cause: str = "") -> None:
        """Begins the closing handshake; `cause` comes back in `Closed`. A code that may not be sent
        is a `ValueError`.

        Over Engine.IO the transport ends: a WebSocket with the code, polling with a close packet.
        1000, 1008 and 4409 send a Socket.IO DISCONNECT first, which keeps client libraries from
        coming back by themselves.
        """

    def close_all(
        self,
        code: int,
        reason: str,
        cause: str = "",
        *,
        spread_ms: int = 0,
        spare_watchers: bool = False,
    ) -> None:
        """Closes every WebSocket that is not closing yet, evenly over `spread_ms`; idle HTTP
        connections end at once.

        Args:
            spare_watchers: connections that watch and are no agents stay.
        """

    def hear_next_beat(self, conn: int) -> None:
        """The next heartbeat or connection_check_response of this agent becomes one `Beat`
        event; at once, if one came after its last `Missed`."""

    def terminate(
        self, conn: int, timeout_ms: int, reason: str = ..., *, max_extension_ms: int = ...
    ) -> str:
        """Sends terminate_app to one agent and returns its request id; one `Outcome` follows. The
        connection stays unless the agent answers `OK` (close 1000). `max_extension_ms` is the most
        that termination_progress may add to `timeout_ms`: nothing, unless said."""

    def terminate_all(
        self, timeout_ms: int, notice_ms: int, max_extension_ms: int, reason: str = ...
    ) -> None:
        """Sends terminate_app to every introduced agent, each with an id of its own, at full speed.
        `OK` closes 1000 `Client terminated`; each agent's deadline closes 1001 `Server shutdown
        timeout` (`notice_only` agents: 1001 `Server shutting down gracefully`, outcome `notified`).
        One `Outcome` (drain=True) for each agent told."""

    def set_serving_state(self, serving: ServingState) -> None:
        """What new connections get: in; upgraded and closed 1013 `Server shutting down`; the same
        with `Server temporarily unavailable`, unless they ask to watch first, for which they have
        3 s. A session that would begin with polling gets 503 with Retry-After, but in maintenance
        where it may turn out to watch; requests of one that is open go on. Other HTTP is let
        through: what it may do is policy's."""

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
        """Answers the request of `conn`. With `more` the body goes on in `respond_more`: chunked,
        unless the headers give a content-length."""

    def respond_more(self, conn: int, body: bytes, *, more: bool, notify: bool = False) -> None:
        """The next part of a body; `more=False` ends it."""

    def read_body(self, conn: int) -> None:
        """Asks for the next part of the request's body: one `BodyPart` follows, when there is one,
        or `HttpGone`. What is not asked for is not read, but for some 64 KiB and one read."""

    def accept_upgrade(
        self,
        conn: int,
        *,
        subprotocol: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = ...,
    ) -> None:
        """Makes a WebSocket of the request of `conn`, which asked for one. `GuestMessage` events
        follow, `send`, `send_binary` and `close_connection` are for it, and `GuestClosed` is its
        end.

        Args:
            subprotocol: one of those that the client speaks.
            headers: what the answer says besides. With one that cannot be sent, or is the
                handshake's own, it is answered 500, and there is an `HttpGone`.
        """

    def read_on(self, conn: int) -> None:
        """What came up to a `GuestMessage` that was the last is dealt with."""

    def abort(self, conn: int) -> None:
        """Cuts a connection without a closing handshake (a response that failed in the middle)."""

    def read_last_seen(self, number: int = 0, conns: Sequence[int] | None = None) -> None:
        """Asks each reactor for one `LastSeen` event.

        Args:
            number: comes back with it.
            conns: those of any reactor; None: all.
        """

    def look(self, number: int) -> int:
        """Asks each reactor for one `Looked` event, when it has read everything that lies in its
        sockets now: what comes before that event is all that peers had said by then.

        Returns:
            How many reactors there are.
        """

    def configure(self, config: CoreConfig) -> None:
        """Takes over limits and times for what comes from here on; address, backlog, reactors,
        endpoints and namespaces stay. An Engine.IO session keeps the ping times that its handshake
        told it."""

    def stats(self) -> Stats: ...
    def close(self) -> None:
        """Stops the reactors, joins their threads and closes every descriptor, but for `fileno`
        while there are events that were not taken. Idempotent."""

@final
class Wheel(Generic[T]):
    """A hierarchical timing wheel in milliseconds, for what has no connection (grace periods)."""

    def __new__(cls, now_ms: int) -> Wheel[T]: ...
    def arm(self, deadline_ms: int, value: T) -> int:
        """Returns a key; keys are never reused."""

    def cancel(self, key: int) -> T | None:
        """The value, or None if it has fired or was cancelled."""

    def next_expiration(self) -> int | None:
        """When `advance` is next worth calling; never later than the earliest deadline."""

    def advance(self, now_ms: int) -> list[T]:
        """Everything whose deadline is `now_ms` or earlier, earliest tick first."""

    def __len__(self) -> int: ...

@final
class AgentRow:
    """One agent of a `Fleet`, read where it stands: what it says is of now. As long as there is a
    handle, it says what was known last, of an agent that is forgotten too. Two of the same agent
    are equal. Times are milliseconds of the pool's clock."""

    @property
    def agent_id(self) -> str: ...
    @property
    def number(self) -> int:
        """Names it in the store: never used again."""

    @property
    def conn(self) -> int:
        """Its connection; 0: it has none. It owns this one, and no other."""

    @property
    def generation(self) -> int:
        """Counts the connections it has had, across processes."""

    @property
    def state(self) -> State: ...
    @property
    def status(self) -> Status:
        """What watchers are told."""

    @property
    def reason_code(self) -> ReasonCode | None:
        """Why it is offline; None while online and before the first introduction."""

    @property
    def ip(self) -> str: ...
    @property
    def dialect(self) -> Dialect:
        """Of its connection, or of the last one."""

    @property
    def introduced_by(self) -> str:
        """The `type` of the message that introduced it."""

    @property
    def last_heartbeat(self) -> int | None:
        """As last read in bulk."""

    @property
    def connected_at(self) -> int: ...
    @property
    def changed_at(self) -> int:
        """When its state became what it is."""

    @property
    def rtt_us(self) -> int:
        """The round trip of the last ping that was answered, as last read in bulk; 0: none yet."""

    @property
    def has_grace(self) -> bool:
        """Whether a grace period of it runs, or has run out and waits for its turn."""

    @property
    def is_known(self) -> bool:
        """Whether it is found by its id."""

    @property
    def config(self) -> bytes | None:
        """The `config` of its app_ready, JSON; None when it was empty or never sent."""

    @property
    def labels(self) -> Labels:
        """What its config calls it (`dscore.labels`): `name=value` each, sorted."""

@final
class Introduced:
    """What an introduction has changed."""

    @property
    def agent(self) -> AgentRow: ...
    @property
    def previous(self) -> int:
        """The connection that was taken over; 0: there was none."""

    @property
    def was_away(self) -> bool:
        """Whether it has come back while it was given time to."""

    @property
    def changed(self) -> bool:
        """Whether its status has."""

@final
class Unauthenticated:
    """What a connection has shown that may still introduce itself."""

    @property
    def ip(self) -> str: ...
    @property
    def dialect(self) -> Dialect: ...
    @property
    def token(self) -> str | None:
        """The bearer of its upgrade, or the token of its Socket.IO CONNECT."""

    @property
    def is_token_wrong(self) -> bool:
        """Whether that of its CONNECT was counted as a wrong one."""

    @property
    def auth(self) -> bytes | None:
        """The JSON object of its Socket.IO CONNECT, if it was kept."""

    @property
    def certificate_names(self) -> list[str]:
        """As in `Opened`."""

@final
class PageScan:
    """The agents of a page, looked for in steps of well under a millisecond each, however many
    agents there are. Between two of them the table may change."""

    def step(self) -> bool:
        """Goes on; true when it is done."""

    def take(self) -> tuple[list[AgentRow], bool, int]:
        """Those that were found, in order, less those forgotten since; whether there are more; how
        many fit in all. Once, when it is done."""

@final
class FacetsScan:
    """Counts, taken in steps as those of a `PageScan`."""

    def step(self) -> bool:
        """Goes on; true when it is done."""

    def take(self) -> CountedFacets:
        """By state; by reason, the most frequent first; by label: its name, its values with their
        counts in the order of the states, how many values are not told. Once, when it is done."""

@final
class ConnectedScan:
    """Ids of agents that have a connection, looked for in steps as those of a `PageScan`."""

    def step(self) -> list[str] | None:
        """The next ones; None when there are none left."""

@final
class StatusScan:
    """What watchers are told of agents, taken down in steps as those of a `PageScan`: id, status,
    reason_code, last heartbeat."""

    def step(self) -> list[tuple[str, Status, ReasonCode | None, int | None]] | None:
        """The next ones, as they are now; None when there are none left."""

@final
class Notes:
    """What is to be done about a batch that a `Fleet` has applied, in this order."""

    @property
    def arrivals(self) -> list[tuple[AgentRow, int, bool, bool, bool]]:
        """Agents that were let in and are news to something, after all else: the connection that
        was taken over or 0, whether its session goes on, whether its status has changed, whether it
        has come back within its grace period."""

    @property
    def restored(self) -> int:
        """How many that were let in go on with their session."""

    @property
    def closed(self) -> list[int]:
        """Connections that have closed."""

    @property
    def disconnected(self) -> list[tuple[AgentRow, int, str]]:
        """Agents whose connection has ended, with close code and reason, if that is wanted."""

    @property
    def changed(self) -> list[AgentRow]:
        """Agents whose status has changed, if that is wanted or a connection is told of it."""

    @property
    def settled(self) -> list[Settled]:
        """Of requests that no drain has made: a drain's are in its account."""

    @property
    def watchers(self) -> list[int]:
        """Those of the closed that were told of changes."""

    @property
    def faults(self) -> list[str]:
        """What the table has no cell for."""

    def lines(self, timestamp: str, level: Literal["info", "warning"]) -> bytes:
        """What the log is told of agents that have lost their connection or are offline, and of
        terminate_apps that have ended: a JSON object of each, a newline behind it.

        Args:
            level: of this one at least.
        """

class EventSource(Protocol):
    """What an inbox takes from where that is no pool: a test's."""

    def take(self, limit: int, /) -> Sequence[object]:
        """Events, at most so many, in order."""

    def taken_bytes(self) -> int:
        """Of what peers said in the last batch."""

@final
class Inbox:
    """Events that were taken from the reactors and wait for their turn, in order. What the fleet
    applies by itself never becomes an object of Python's."""

    def __new__(cls, source: ReactorPool | EventSource, urgent: list[type]) -> Inbox:
        """
        Args:
            urgent: types of events that overtake all others.
        """

    def take(self, limit: int) -> tuple[int, list[Event]]:
        """Takes as `ReactorPool.take` does.

        Returns:
            How many it has taken, and those of them that are urgent and do not wait.

        Raises:
            CoreError: as `ReactorPool.take`.
            ValueError: a word or an address in an event that a test has made is none.
        """

    def clear(self) -> None: ...
    @property
    def bytes(self) -> int:
        """Of what peers said, in what was taken since nothing waited."""

    def __len__(self) -> int:
        """Events that wait."""

@final
class Changes:
    """What is to be written: the last word on each thing, however often it changed. Values of rows
    from `start` up to `stop` come flat, one row behind another, as sqlite3 binds them fastest: a
    BLOB is a bytearray, NULL a NaN."""

    def __len__(self) -> int:
        """Things that have changed."""

    @property
    def version(self) -> int:
        """For `Fleet.saved`."""

    @property
    def age(self) -> int:
        """Where the age clock stands."""

    @property
    def forgotten(self) -> list[int]:
        """Agents that are known no longer, by number: all they had goes."""

    def rows(self, start: int, stop: int) -> list[Any]:
        """Agents, new or changed: `dscore.store.StoredAgent`."""

    def states(
        self,
    ) -> list[tuple[State, ReasonCode | None, int | None, int | None, int, int | None, str]]:
        """What has become of many agents at once: state, reason_code, last_close, left_at, dropped,
        seen_at of the last of them if something came from them, and in SQL which agents those
        are."""

    def seen(self, start: int, stop: int) -> list[int | float]:
        """Agents that were heard of: number, seen_at, heartbeat_at; NULL: no news of that."""

    def entries(self, start: int, stop: int) -> list[int | bytearray]:
        """Of timelines: number of the newest, number of the agent (0: the server), how many, and
        JSON: an array of arrays of number, Unix milliseconds, kind, data."""

    def messages(self, start: int, stop: int) -> list[int | str | bytearray]:
        """That joined an outbox: number, agent's id, JSON."""

    @property
    def delivered(self) -> list[int]:
        """Messages that may have been written before, and have left their outbox."""

@final
class Fleet:
    """The table of agents: who is known, on which connection, in which state. It decides nothing:
    states follow one another as the table says that it is made with, and a cell that is missing
    raises a RuntimeError and is counted. Every connection is either unauthenticated or introduced:
    an agent's or a watcher's. `now` is milliseconds of the pool's clock."""

    def __new__(
        cls,
        table: Sequence[tuple[State, Input, State, Grace, ReasonCode | None]],
        *,
        max_disconnected: int,
        now_ms: int = 0,
    ) -> Fleet:
        """
        Args:
            table: state, input, next state, what happens to the grace period, reason of going
                offline (`dscore.policy.liveness`).
            max_disconnected: agents that are remembered without a connection.

        Raises:
            ValueError: a word of the table is none, or a cell is there twice.
        """

    def configure(
        self,
        *,
        max_missed: int,
        heartbeat_grace_ms: int,
        reconnection_grace_ms: int,
        offline_timeout_ms: int,
    ) -> None:
        """Sets what counts from here on; grace periods that run keep their deadline."""

    def open(
        self, conn: int, ip: str, bearer: str | None = None, *, dialect: Dialect = "raw"
    ) -> None:
        """A connection was opened: it is unauthenticated."""

    def show_token(self, conn: int, token: str, *, is_wrong: bool = False) -> None:
        """An unauthenticated connection has shown a token."""

    def show_auth(self, conn: int, auth: bytes) -> None:
        """Keeps the `auth` of its Socket.IO CONNECT."""

    def unauthenticated(self, conn: int) -> Unauthenticated | None:
        """What it has shown; None: it may not introduce itself any more, or has gone."""

    def may_introduce(self, conn: int) -> bool:
        """Whether it may: it is unauthenticated, or watches only until it is introduced."""

    def leave_main(self, conn: int) -> None:
        """Its Socket.IO client has left "/": what is on its way to its agent waits again."""

    def join_main(self, conn: int) -> AgentRow | None:
        """Its Socket.IO client has joined "/"; the agent if it had left, whom `deliver` is for."""

    def is_deaf(self, agent: AgentRow) -> bool:
        """Whether it is connected by a client that has left "/"."""

    def is_open(self, conn: int) -> bool: ...
    def is_introduced(self, conn: int) -> bool:
        """Whether it is an agent's or a watcher's."""

    def ip(self, conn: int) -> str:
        """Where it comes from; "" for one that has gone."""

    def watch(self, conn: int, *, until_introduced: bool = False) -> None:
        """It is told of changes from here on; an unauthenticated one is a watcher.

        Args:
            until_introduced: it has not asked for that, and may still become an agent's.
        """

    def unwatch(self, conn: int) -> None: ...
    def close(self, conn: int) -> bool:
        """Forgets a connection, not its agent; whether it was told of changes."""

    def counts(self) -> tuple[int, int, int]:
        """Connections, in one reading: all, introduced, unauthenticated."""

    def is_empty(self) -> bool:
        """Whether no connection is open."""

    def conns(self) -> list[int]:
        """Every open connection, like all lists of them in the order of their numbers."""

    def only_watching(self) -> list[int]:
        """Those that watch and are no agent's."""

    def audience(self, *, unauthenticated: bool) -> list[int]:
        """Every introduced connection.

        Args:
            unauthenticated: Socket.IO ones that are not introduced too: the pages of that contract
                only listen.
        """

    def listeners(self) -> list[int]:
        """Those to which server_shutdown means something even if agents are to stop: watchers, and
        all that speak Socket.IO, which know nothing else."""

    def dialects(self) -> list[tuple[Dialect, int]]:
        """How many agents are connected over each."""

    def agent(self, agent_id: str) -> AgentRow | None: ...
    def agents(self) -> list[AgentRow]: ...
    def connected(self) -> list[AgentRow]:
        """Agents that have a connection now."""

    def scan_connected(self) -> ConnectedScan:
        """Begins to look for the ids of agents that have a connection."""

    def scan_statuses(self) -> StatusScan:
        """Begins to take down what watchers are told of all that are known."""

    def states(self) -> list[tuple[State, int]]:
        """How many agents are known in each state, zeros included."""

    def scan_page(
        self,
        filter: Filter,
        *,
        sort: str,
        limit: int,
        after: tuple[str | float, str] | None,
        offset: int,
        times: tuple[int, int, int],
    ) -> PageScan:
        """Begins to look for the agents of a page: see `dscore.Server.fleet`.

        Args:
            times: `dscore.clock.WallClock.offsets`.

        Raises:
            ValueError: a word is none.
        """

    def scan_facets(self, filter: Filter) -> FacetsScan:
        """Begins to count how many agents there are of each kind: see `dscore.Server.facets`.

        Raises:
            ValueError: a word is none.
        """

    def owner(self, conn: int) -> AgentRow | None:
        """The agent that owns this connection now."""

    def named_by(self, conn: int) -> AgentRow | None:
        """The same, or the agent that it was taken over from: until it has closed."""

    def __len__(self) -> int:
        """Agents that are known."""

    def introduce(
        self, conn: int, agent_id: str, kind: str, now: int, *, ip: str | None = None
    ) -> Introduced | None:
        """Makes a connection an agent's, with the input "introduced".

        Args:
            kind: the `type` of the message; a heartbeat is one.
            ip: the address that the agent says of itself.

        Returns:
            None: the connection has gone, or may not introduce itself any more.

        Raises:
            ValueError: no message of this `type` introduces an agent.
        """

    def set_introduced_by(self, agent: AgentRow, kind: str) -> None:
        """Another message has introduced it once more.

        Raises:
            ValueError: no message of this `type` introduces an agent.
        """

    def set_config(self, agent: AgentRow, config: bytes | None) -> None: ...
    def heard(
        self,
        agent: AgentRow,
        *,
        heartbeat_ms: int = 0,
        rtt_us: int = 0,
        seen_ms: int = 0,
        is_kept: bool = True,
    ) -> None:
        """When something, and when a heartbeat came from it, and the round trip of its last ping;
        0: no news of it.

        Args:
            is_kept: it is written down.
        """

    def hear_some(self, seen: LastSeen, at: int, *, is_kept: bool = True) -> int | None:
        """As `heard`, of the agents that own the next connections, unless something newer is known.

        Args:
            at: where they begin: 0, then what the call before has returned.

        Returns:
            Where it goes on; None: that was all.
        """

    def report_back(self, agent: AgentRow) -> bool:
        """Whether watchers are still to be told that it came back over this connection."""

    def release(self, agent: AgentRow, now: int) -> None:
        """It has no connection any more; the connection is counted until it is closed."""

    def forget(self, agent: AgentRow) -> None: ...
    def forget_absent(self, left_before: int) -> None:
        """Forgets offline agents that left before a time, and the longest gone past
        `max_disconnected`."""

    def drop_configs(self, max_bytes: int) -> list[AgentRow]:
        """Takes the configs of those that have been away longest, until all that those without a
        connection have fit; returns whose."""

    def is_full(self, agent_id: str) -> bool:
        """Whether an agent of this id is one too many, unless another one is forgotten for it."""

    def longest_absent(self) -> AgentRow | None:
        """The one that lost its connection first, of those that have none."""

    def restore(
        self,
        rows: Sequence[tuple[Any, ...]],
        *,
        last_entry: int,
        age: int,
        now: int,
        times: tuple[int, int, int],
    ) -> None:
        """Takes up the agents of an earlier process, each with the input "restored".

        Args:
            rows: `dscore.store.StoredAgent`, in the order of their last change.
            last_entry: the number of the newest entry of a timeline.
            age: where the age clock stands.
            times: `dscore.clock.WallClock.offsets`.

        Raises:
            ValueError: a word of one is none.
        """

    def feed(self, agent: AgentRow, input: Input, now: int) -> bool:
        """Walks the table; whether its status has changed by it."""

    def missed(self, agent: AgentRow, misses: int, now: int) -> bool:
        """The input "missed_limit" with enough misses in a row, else "missed"."""

    def begin_drain(self, now: int, *, asked: bool, spared: list[int]) -> None:
        """A drain begins: one outcome is counted for each agent that is connected now, and for an
        agent whose connection ends without one, that it vanished.

        Args:
            asked: each was sent terminate_app, the input "terminate_sent"; else no agent is named
                in the report for want of an answer.
            spared: connections of agents that are not waited for.
        """

    def notified(self, conns: list[int]) -> None:
        """The agents of these have the outcome "notified", unless they have one."""

    def give_up_drain(self) -> None:
        """An agent without an outcome has timed out."""

    def drain_pending(self) -> int:
        """Agents without an outcome."""

    def drain_counts(self) -> dict[str, int]:
        """How many agents were there at its start, how many have each outcome, and of how many
        acked a stream did not reach its end: total, acked, …, incomplete."""

    def drain_left(self, limit: int) -> list[tuple[int, AgentRow]]:
        """Agents without an outcome, at most so many, with their connections."""

    def drain_report(self) -> dict[str, Any]:
        """The counts, besides latency_ms: p50, p99 and max of the acks, and not_acked: ids of
        those that were asked and did not say OK."""

    def expire_now(self, agent: AgentRow, now: int) -> bool:
        """Ends its grace period before its time, if it has one; whether its status has changed."""

    def expire(self, now: int, limit: int) -> None:
        """Ends the grace periods that are due, at most so many; what comes of it is in the notes.
        `next_deadline` says at once when there are more."""

    def want(
        self,
        *,
        connects: bool,
        arrivals: bool,
        disconnects: bool,
        statuses: bool,
        changes: bool,
        times: tuple[int, int, int],
        age: int,
    ) -> None:
        """Says what the notes are to hold from here on.

        Args:
            connects: every arrival at once, for a hook.
            arrivals: every arrival.
            disconnects: agents whose connection has ended, each at once, for a hook.
            statuses: `changed` at once, for a hook.
            changes: `changed`, though no connection is told of changes.
            times: `dscore.clock.WallClock.offsets`.
            age: where the age clock stands, in milliseconds.
        """

    def admit(
        self,
        *,
        is_open: bool,
        session_ttl_ms: int,
        app_ready: bytes | None,
        reconnection: tuple[bytes, bytes],
    ) -> None:
        """Says what `step` lets in by itself from here on.

        Args:
            is_open: an introduction with nothing unusual in it. Nothing else ever is.
            session_ttl_ms: how long a session that was left may be taken up again.
            app_ready: the ack of an app_ready that is no reconnection; None: it has none.
            reconnection: that of one that is: with a new session, with its former one.
        """

    def step(self, inbox: Inbox, limit: int, now: int) -> tuple[int, Event | None]:
        """Takes events of an inbox, at most `limit`, and applies them in order as far as they need
        no decision: `Opened`, `Outcome`, `Closed`, and what `admit` says of `Introduction`. The
        reactors are told what follows for them.

        Returns:
            How many it has taken, and the last of them if it is for Python. The notes of the others
            are to be taken before anything else happens.
        """

    def end(
        self,
        agent: AgentRow,
        input: Literal["terminated", "removed"],
        code: int,
        reason: str,
        now: int,
    ) -> None:
        """It is offline at once, its session over, its connection let go: in the notes."""

    def notes(self) -> Notes | None:
        """What was noted since they were taken last; None: nothing."""

    def resume(self, now: int) -> bool:
        """Does the rest of an end that the notes have told of in its middle; whether there was
        one."""

    def bound_outboxes(self, messages: int, max_bytes: int, all_bytes: int) -> None:
        """Bounds the outbox of each agent, in messages and bytes, and the bytes of all of them. A
        single message may be larger."""

    def open_session(
        self, agent: AgentRow, *, reconnection: bool | None, age: int, ttl: int
    ) -> bool:
        """Takes up the session of an agent that is being let in, or begins one.

        Args:
            reconnection: what its app_ready says. None: it was introduced by a message that cannot
                say, and keeps what it has.
            age: milliseconds of the age clock.
            ttl: milliseconds after which a session that was left is over.

        Returns:
            Whether an earlier session goes on, its outbox included.
        """

    def leave_session(self, agent: AgentRow, close_code: int, age: int) -> None:
        """The agent was disconnected: from here on its session, if it has one, has its time to live
        left. What `step` finds closed is left already."""

    def has_session(self, agent: AgentRow) -> bool: ...
    def outbox(self, agent: AgentRow) -> tuple[int, int]:
        """Messages that wait for it, and those that were dropped."""

    def expire_sessions(self, left_before: int) -> int:
        """Ends the sessions of agents that left before a time on the age clock; returns how
        many."""

    def resume_sessions(self, age: int) -> None:
        """All sessions that there are have their time to live from here on: no agent could come
        back while there was no server."""

    def restore_message(self, number: int, agent_id: str, text: bytes) -> bool:
        """Takes up a message of an earlier process, oldest first; whether there is a session for
        it."""

    def queue(self, agent: AgentRow, text: bytes) -> int | None:
        """Puts a message into its outbox, and drops the oldest past the bounds: see `take_drops`.

        Returns:
            The number of the message; None: it has no session.
        """

    def withdraw(self, agent: AgentRow, number: int) -> bool:
        """Takes a message out of its outbox; whether it was still there."""

    def deliver(self, agent: AgentRow, max_bytes: int) -> list[bytes]:
        """An agent has been let in: the first portion of what waits for it, to be sent over its
        connection. It is kept until `delivered`, and waits again if the connection ends first.

        Args:
            max_bytes: of a portion; a single message may be larger.
        """

    def delivered(self, conn: int, max_bytes: int) -> list[bytes]:
        """A connection has taken what it was sent: the next portion."""

    def is_behind(self, agent: AgentRow) -> bool:
        """Whether what is sent now must wait: something waits while more is on its way, or its
        client has left "/"."""

    def take_drops(self) -> list[tuple[str, int]]:
        """Messages that outboxes had no room for since this was asked last, by agent."""

    def sessions(self) -> tuple[int, int, int]:
        """How many there are; messages in all outboxes or on their way; the same in bytes."""

    def record(self, agent: AgentRow | None, at: int, kind: str, data: bytes) -> None:
        """Adds an entry to the timeline of an agent; None: to the server's.

        Args:
            at: Unix milliseconds, for people.
            data: a JSON object.
        """

    def timeline(
        self, agent: AgentRow | None, *, limit: int, before: int | None = None
    ) -> list[tuple[int, int, str, bytes]]:
        """The newest entries that are here, newest first: those that are not saved; without a store
        all that there are. Number, Unix milliseconds, kind, data.

        Args:
            before: only entries with a lower number.
        """

    @property
    def last_entry(self) -> int:
        """The number of the newest entry."""

    @property
    def lost_entries_total(self) -> int:
        """Entries that were dropped because all timelines took too much, ever."""

    def bound_timelines(self, max_bytes: int) -> None:
        """Bounds what the timelines take that are here: those that have not grown for longest go,
        but never the server's."""

    def prune_timelines(self, to: int) -> None:
        """Entries up to this number are too old."""

    def keep_changes(self, is_wanted: bool) -> None:
        """Whether a store writes down what changes from here on."""

    def has_unsaved(self) -> bool:
        """Whether anything has changed that is not saved: cheap, however much it is."""

    def unsaved_total(self) -> int:
        """Things that have changed and are not saved."""

    def unsaved(self, age: int, times: tuple[int, int, int]) -> Changes:
        """All of them, as they are now: again and again, until they are `saved`.

        Args:
            age: where the age clock stands.
            times: `dscore.clock.WallClock.offsets`.
        """

    def saved(self, version: int) -> None:
        """The store has all that it was given as this version."""

    def disconnects(self) -> list[tuple[tuple[str, str, str], int]]:
        """How often connections of agents have ended: reason, close code, initiator."""

    def next_deadline(self) -> int | None:
        """When `expire` is next worth calling, on the pool's clock; None: nothing runs."""

    def stop_clock(self, now: int) -> None:
        """From here on every grace period stands still (maintenance, drain)."""

    def start_clock(self, now: int) -> None: ...
    def skip(self, now: int, length: int) -> None:
        """Nothing was looked at in the last `length` milliseconds: they count for no grace period,
        and for no age of a heartbeat."""

    @property
    def missing_cells_total(self) -> int:
        """Inputs that met a state with which the table has no cell."""
