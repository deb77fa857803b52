"""The settings: names, defaults, bounds. Durations are seconds; all models are frozen.

`Config()` is every default and reads nothing: no file, no environment. `dscore.config.load` reads
those.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from dscore.config import legacy_names
from dscore.config.checks import (
    choice,
    duration,
    duration_or_none,
    flag,
    host_names,
    line,
    line_or_none,
    networks,
    origins,
    page_path,
    path_or_none,
    rate_or_none,
    tokens,
    whole,
    whole_or_auto,
    whole_or_none,
    words,
)
from dscore.config.durations import format_duration
from dscore.config.nearest import with_hints

Interval = Annotated[float, duration("10ms", "1d")]
"""How often, or how long at most: never zero, and a day at most, as in the core."""
Wait = Annotated[float, duration("0s", "7d")]
"""How long to wait; zero means not at all."""
Age = Annotated[float, duration("0s", "3650d")]
"""How long to keep something."""
Flag = Annotated[bool, flag()]
Words = Annotated[tuple[str, ...], words()]
OptionalLine = Annotated[str | None, line_or_none()]
OptionalPath = Annotated[Path | None, path_or_none()]

SECRETS = frozenset({"auth.tokens", "auth.operator_tokens"})
"""Settings whose values are never shown."""

_ONE_GIB = 1 << 30


_S = TypeVar("_S", bound="_Section")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _names_the_nearest(
        cls: type[_S], values: Any, handler: ModelWrapValidatorHandler[_S]
    ) -> _S:
        try:
            return handler(values)
        except ValidationError as error:
            raise with_hints(error, cls, Config) from None


class ListenConfig(_Section):
    """Where to listen, and with how many threads."""

    host: Annotated[str, line()] = "127.0.0.1"
    """Address or name. Beyond loopback only with tokens required, or with `--insecure`."""
    port: Annotated[int, whole(0, 65535)] = 8765
    """TCP port; 0 takes any free one."""
    backlog: Annotated[int, whole(1, 65_535)] = 4096
    """Connections the kernel keeps waiting to be accepted (it may cap this: net.core.somaxconn)."""
    reactors: Annotated[int | Literal["auto"], whole_or_auto(1, 255)] = "auto"
    """Threads that own the sockets; auto: one for each two processors."""
    names: Annotated[tuple[str, ...], host_names()] = ()
    """Names and addresses that this server is reached by: pages from there may reach it, at any
    port, where `socket.cors_origins` has "self"."""
    trusted_proxies: Annotated[tuple[str, ...], networks()] = ()
    """Proxies that are believed where their clients came from and how: addresses and ranges of
    them. What any other peer says of that counts for nothing."""
    proxy_protocol: Flag = False
    """Connections of `trusted_proxies` begin with a header of the PROXY protocol (1 or 2)."""
    page: Annotated[str, page_path()] = "/"
    """Path of the fleet page. A program's own app has "/": the page is then at "/dscore/"."""


class TlsConfig(_Section):
    """TLS 1.3 (wss and https). Off while there are no certificates."""

    certificates: Words = ()
    """PEM files, each of a certificate with its chain behind it. A client gets the first that is
    for the name it asks for, exactly or by a wildcard of one label; else the first of all. SIGHUP
    reads all files of this section again."""
    keys: Words = ()
    """PEM files of their private keys, in the same order; none: each lies with its certificate."""
    port: Annotated[int | None, whole_or_none(0, 65535)] = None
    """A listener for TLS alone; 0 takes any free port. `listen.port` is then plain HTTP for this
    machine, as long as `required` is on and no proxy is trusted. None: as `same_port` says."""
    same_port: Flag = True
    """Speak TLS on `listen.port`, told from plain HTTP by the first byte. Off only with `port`."""
    required: Flag = True
    """Ask for TLS beyond loopback: of the server at its start, then of all but trusted proxies."""
    client_ca: OptionalPath = None
    """PEM file of the authorities that sign clients' certificates."""
    client_auth: Annotated[
        Literal["none", "optional", "required"], choice("none", "optional", "required")
    ] = "none"
    """Ask clients for certificates. required: an agent's id must be a name of its own."""
    client_crl: Words = ()
    """PEM files of certificates that are revoked."""
    ticket_keys: OptionalPath = None
    """File of keys for session tickets, one a line (`openssl rand -base64 32`): the first seals,
    all open. With it a restart keeps resumption; none: a key of this process."""
    record_layer: Annotated[Literal["rustls", "own"], choice("rustls", "own")] = "rustls"
    """What opens and seals records after a handshake: rustls, 8 KB an agent; own, 0.5 KB."""
    handshakes: Annotated[int, whole(1, 65_536)] = 1024
    """Handshakes under way at once; those past it wait to be accepted."""
    hsts: Annotated[float, duration("0s", "730d")] = 86_400.0
    """How long browsers are to ask this host for https alone (RFC 6797), where the TLS is ours. It
    holds for every port of the host, and is not taken back by leaving it out: 0s takes it back."""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each certificate's file with its key's.

        Raises:
            ValueError: there are more of the ones than of the others.
        """
        keys = self.keys or self.certificates
        if len(keys) != len(self.certificates):
            raise ValueError(
                f"tls.keys names {len(keys)} files and tls.certificates {len(self.certificates)}: "
                "give each certificate its key, in the same order"
            )
        return list(zip(self.certificates, keys, strict=True))


class MonitoringConfig(_Section):
    """Liveness of agents (the Socket.IO contract's `monitoring`)."""

    health_check_interval: Interval = 30.0
    """How often agents are told to send a heartbeat (`nextHeartbeatIn`)."""
    offline_timeout: Interval = 300.0
    """Heartbeats stopped for this long: the connection is closed 1011 `heartbeat timeout`."""
    connection_check_interval: Interval = 30.0
    """No heartbeat for this long is a miss, answered by a `connection_check`."""
    process_check_interval: Interval = 20.0
    """How often it is read when agents were last heard of, and what is too old is dropped."""
    max_missed_heartbeats: Annotated[int, whole(1, 10_000)] = 3
    """So many misses, plus the grace period, make an agent offline."""
    heartbeat_grace_period: Wait = 60.0
    """Time given after the last allowed miss, and after the last heartbeat of one that has gone."""
    reconnection_grace_period: Wait = 120.0
    """How long an agent without a connection stays online for watchers."""
    broadcast_to_agents: Flag = False
    """Send status changes to every agent, as the Socket.IO contract does, not only to watchers."""

    @model_validator(mode="before")
    @classmethod
    def _legacy_names(cls, values: Any) -> Any:
        return legacy_names.translate("monitoring", values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _timeout_is_longest(self) -> MonitoringConfig:
        for name in ("health_check_interval", "connection_check_interval"):
            interval: float = getattr(self, name)
            if self.offline_timeout <= interval:
                raise ValueError(
                    f"monitoring.offline_timeout ({format_duration(self.offline_timeout)}) must be "
                    f"longer than monitoring.{name} ({format_duration(interval)}), or healthy "
                    "agents would be disconnected: raise the first or lower the second"
                )
        return self


class SocketConfig(_Section):
    """Transport of both dialects (the Socket.IO contract's `socket`)."""

    ping_interval: Interval = 30.0
    """How often a connection is pinged. A Socket.IO session keeps the two times that it was told
    when it began."""
    ping_timeout: Interval = 120.0
    """Nothing at all from a peer for ping_interval + ping_timeout: close 1011 `ping timeout`."""
    connect_timeout: Interval = 60.0
    """A Socket.IO session that has not joined a namespace by then is closed."""
    max_message_size: Annotated[int, whole(128, _ONE_GIB)] = 1_000_000
    """Bytes of one message from a peer; past it close 1009."""
    transports: Annotated[tuple[str, ...], words("websocket", "polling", at_least=1)] = (
        "websocket",
        "polling",
    )
    """Transports of the socketio dialect."""
    allow_eio3: Flag = True
    """Take clients of Engine.IO 3 (Socket.IO 2) too."""
    cors_origins: Annotated[tuple[str, ...], origins()] = ("self",)
    """Values of `Origin` let in. "self": loopback names, where the connection came in, and
    `listen.names`; "*" lets in all."""
    cors_methods: Words = ("GET", "POST")
    """Methods a page of another origin may use."""
    subprotocols: Annotated[tuple[str, ...], tokens()] = ()
    """WebSocket subprotocols spoken, the most wanted first; none: the first one offered is."""

    @model_validator(mode="before")
    @classmethod
    def _legacy_names(cls, values: Any) -> Any:
        return legacy_names.translate("socket", values) if isinstance(values, dict) else values


class ShutdownConfig(_Section):
    """The drain."""

    intent: Annotated[Literal["terminate", "restart"], choice("terminate", "restart")] = "terminate"
    """What SIGTERM and SIGINT mean: stop the agents' applications, or let them come back."""
    deadline: Annotated[float | None, duration_or_none("0s", "1d")] = None
    """How long the whole shutdown may take, the end of the process included: what stops the server
    gives as much before SIGKILL. What does not fit is cut, answers last; none: it takes its time.
    """
    timeout: Wait = 10.0
    """How long an agent has to answer `terminate_app`."""
    max_extension: Wait = 20.0
    """How much more it can get with `termination_progress`."""
    close_timeout: Annotated[float, duration("0s", "1d")] = 2.0
    """How long closing handshakes may take at the end."""
    notice: Wait = 2.0
    """How long agents have to read `server_shutdown` before they are closed."""
    spread: Wait = 0.0
    """Over how long a restart drain spreads its closes."""
    reconnect_window: Annotated[float | None, duration_or_none("0s", "7d")] = None
    """Over how long a fleet is asked to come back; none: 1 s per 1,000 agents, at least 5 s."""
    request_timeout: Wait = 10.0
    """How long HTTP requests and an app's background tasks, and async hooks, may go on after the
    shutdown has begun, and a second after its end at least; what is cut then is named in the log.
    """
    lifespan_timeout: Wait = 10.0
    """How long an app's lifespan has to shut down, after that."""
    report: OptionalPath = None
    """File the drain report is written to, as JSON."""


class SessionConfig(_Section):
    """What is kept for an agent that is away."""

    ttl: Age = 3600.0
    """How long a session outlives its connection."""
    outbox_limit: Annotated[int, whole(0, 1_000_000)] = 100
    """Undelivered messages kept for each agent; past it the oldest is dropped."""


class AuthConfig(_Section):
    """Who may come in."""

    required: Flag = False
    """Demand a token of agents, watchers and operators."""
    token_file: OptionalPath = None
    """Tokens of agents, one a line; blank lines and lines that begin with # are skipped."""
    operator_token_file: OptionalPath = None
    """Tokens of operators and watchers, in the same form."""
    jwt_keys: OptionalPath = None
    """Public keys of an issuer of JSON Web Tokens, as PEM or as a JWK Set; a token says its role
    (agent, watcher, operator) and its agent."""
    jwt_issuer: OptionalLine = None
    """The `iss` that they must have."""
    jwt_audience: OptionalLine = None
    """What must be in their `aud`."""
    jwt_role_claim: Annotated[str, line()] = "role"
    """The claim that names the role, or a list of them; where it is missing: agent. With dots, a
    path: realm_access.roles."""
    jwt_agent_claim: OptionalLine = "sub"
    """The claim with the agent id, or a list of ids and patterns with `*`, that an agent may use.
    None: any id."""
    jwt_leeway: Annotated[float, duration("0s", "5m")] = 30.0
    """By how much the issuer's clock may differ from ours."""
    tokens: Words = Field(default=(), repr=False)
    """More tokens of agents; meant for the environment. Never shown."""
    operator_tokens: Words = Field(default=(), repr=False)
    """More tokens of operators. Never shown."""
    timeout: Interval = 10.0
    """How long a connection may stay without introducing itself."""
    local_operators: Annotated[Literal["token", "open"], choice("token", "open")] = "token"
    """open: where no operator token is set, loopback may POST and DELETE without the one that the
    server makes."""


class LimitsConfig(_Section):
    """Bounds on what peers may cost."""

    connections: Annotated[int | None, whole_or_none(1, 10_000_000)] = None
    """Connections at once; none: what the descriptor limit allows."""
    accept_rate: Annotated[float | None, rate_or_none(0.1, 10_000_000)] = None
    """Upgrades and Engine.IO openings a second; those past it wait in order, up to a minute; other
    HTTP never does. None: no limit."""
    connections_per_address: Annotated[int | None, whole_or_none(1, 10_000_000)] = None
    """WebSockets and sessions that poll, of one address at once; past it 1013 or 429. An address of
    IPv6 is its /64; loopback and trusted proxies have no limit. None: no limit."""
    introductions_per_address: Annotated[int | None, whole_or_none(1, 1_000_000)] = None
    """Introductions of one address in a minute, those that are refused included; past it 1013."""
    handshake_timeout: Interval = 10.0
    """How long a request head may take."""
    max_errors: Annotated[int, whole(1, 255)] = 10
    """Refused messages within a minute before a connection is closed 1008."""
    header_size: Annotated[int, whole(256, 1 << 20)] = 16_384
    """Bytes of a request head; past it 431."""
    body_size: Annotated[int, whole(0, _ONE_GIB)] = 1_000_000
    """Bytes of a request body; past it 413."""
    upload_size: Annotated[int, whole(0, 1 << 40)] = 1 << 30
    """Bytes of a request body for a program's own app, which is given it as it comes; past it 413.
    """
    outbox_bytes: Annotated[int, whole(1024, _ONE_GIB)] = 1_048_576
    """Bytes queued for a peer that does not read; past it close 1013 `slow consumer`."""
    output_bytes: Annotated[int, whole(1 << 20, 1 << 40)] = 268_435_456
    """Memory of what is queued for all peers together; past it the greediest and slowest are closed
    1013 `slow consumer`."""
    input_bytes: Annotated[int, whole(1 << 20, 1 << 40)] = 268_435_456
    """Bytes of messages that have not come whole and of requests that are not answered, of all
    connections together; the one that exceeds it is turned away, 1013 or 503."""
    absent_bytes: Annotated[int, whole(1 << 20, 1 << 40)] = 268_435_456
    """Bytes of the messages that wait for agents that are away, of all of them together, and as
    much again for their configs; past it the oldest are dropped."""
    history_bytes: Annotated[int, whole(1 << 20, 1 << 40)] = 536_870_912
    """Bytes of all timelines together, in the file or in memory; past it the oldest are dropped."""
    fragments: Annotated[int, whole(1, 1 << 20)] = 4096
    """Fragments of one message; past it close 1008."""


class StoreConfig(_Section):
    """What outlives the process."""

    path: Annotated[str, line()] = "dscore.db"
    """SQLite file, made when missing; ":memory:" keeps nothing."""
    retention: Age = 30 * 86400.0
    """How long the history of agents is kept; time in which no server runs does not count."""


class HealthConfig(_Section):
    """`GET /deepstream/health`."""

    status_code_when_draining: Annotated[int, whole(200, 599)] = 503
    """HTTP status of the health document while the server shuts down."""


class LogConfig(_Section):
    """What the server says, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], choice("debug", "info", "warning", "error")
    ] = "info"
    """The least level that is written."""
    format: Annotated[Literal["auto", "text", "json"], choice("auto", "text", "json")] = "auto"
    """auto: text on a terminal, JSON lines otherwise."""
    language: Annotated[Literal["en", "ko"], choice("en", "ko")] = "en"
    """Of the messages sent to agents and watchers; log lines are always English."""
    redact: Words = ()
    """Parts of keys whose values in agents' configs the API and the page show as •••, besides the
    usual ones (password, token, secret, …)."""


class CompatConfig(_Section):
    """Where dscore does more than the documents say."""

    app_ready_ack: Flag = True
    """Answer an `app_ready` that is no reconnection with `app_ready_ack`."""


class SocketioConfig(_Section):
    """The socketio dialect."""

    watch_on_connect: Flag = False
    """Every Socket.IO connection is a watcher until it introduces itself, as pages never do."""


class Config(_Section):
    """All settings."""

    listen: ListenConfig = ListenConfig()
    tls: TlsConfig = TlsConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    socket: SocketConfig = SocketConfig()
    shutdown: ShutdownConfig = ShutdownConfig()
    session: SessionConfig = SessionConfig()
    auth: AuthConfig = AuthConfig()
    limits: LimitsConfig = LimitsConfig()
    store: StoreConfig = StoreConfig()
    health: HealthConfig = HealthConfig()
    log: LogConfig = LogConfig()
    compat: CompatConfig = CompatConfig()
    socketio: SocketioConfig = SocketioConfig()
