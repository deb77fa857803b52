//! What a reactor needs to know from outside: limits and times, checked where they are made.
//!
//! Durations are milliseconds, sizes bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use dscore_proto::connection::Limits;
use dscore_proto::engineio::{HandshakeError, Query, Revision};
use dscore_proto::forwarded::TrustedProxies;
use dscore_proto::origin::OriginRules;
use dscore_tls::TlsConfig;
use dscore_traffic::Endpoint;

/// Where to listen, and with how many threads: what cannot change while the pool runs.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// The address to bind.
    pub address: SocketAddr,
    /// Takes the listening socket that the service manager has passed on instead of binding one.
    pub passed_socket: bool,
    /// Connections the kernel may hold that were not accepted yet.
    pub backlog: u32,
    /// Reactor threads, at least one.
    pub reactors: usize,
    /// Events a reactor may be ahead of its reader before it stops reading from its sockets.
    pub event_queue: usize,
    /// TLS, where it is spoken.
    pub tls: Option<TlsListen>,
    /// Whether connections of trusted proxies begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
}

/// Where TLS is spoken, and how.
#[derive(Clone, Debug)]
pub struct TlsListen {
    /// A listener of its own; none: on the same as all else, told by the first byte.
    pub address: Option<SocketAddr>,
    /// What handshakes are done by, until another one is given.
    pub config: Arc<TlsConfig>,
    /// Handshakes that may be under way.
    pub handshakes: usize,
    /// Whether HTTP without TLS is taken from all addresses, not only from loopback and trusted proxies.
    pub is_plain_for_all: bool,
}

/// Limits and times; replaced as a whole when the configuration is reloaded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Exact path -> who speaks there.
    pub endpoints: Vec<(String, Endpoint)>,
    /// Pages let in, and told so where they poll.
    pub origins: OriginRules,
    /// Nothing but its Host tells a page from a program: no tokens are required, and the listener is loopback's.
    pub check_host: bool,
    /// Proxies that are believed what they say of their clients.
    pub trusted_proxies: TrustedProxies,
    /// Subprotocols offered, the preferred first.
    pub subprotocols: Vec<String>,
    /// Of a WebSocket message.
    pub messages: Limits,
    /// Of a request head.
    pub max_header_size: usize,
    /// Of a request body.
    pub max_body_size: usize,
    /// A program's own app.
    pub guest: GuestSettings,
    /// Sockets of all reactors together; those past it are turned away.
    pub max_connections: usize,
    /// Upgrades and Engine.IO openings let go on in a second; 0 is no limit.
    pub accept_rate: f64,
    /// WebSockets and sessions that poll, of one address; 0 is no limit.
    pub connections_per_address: u64,
    /// Introductions of one address within a minute; 0 is no limit.
    pub introductions_per_address: u64,
    /// Refused messages within a minute before a connection is closed.
    pub max_errors: u8,
    /// Bytes that may wait for a socket.
    pub outbox_bytes: usize,
    /// Memory that all that waits for the sockets of a reactor may cost together.
    pub output_bytes: u64,
    /// Bytes of messages and requests that have not come whole, of all peers of a reactor together: each may send a
    /// part of a large one and stop.
    pub input_bytes: u64,
    /// For the head of the first request.
    pub handshake_timeout: u64,
    /// From the upgrade to an accepted introduction.
    pub auth_timeout: u64,
    /// An HTTP connection may idle that long between two requests, and a request's body take that long to come.
    pub keep_alive_timeout: u64,
    /// Between two transport pings.
    pub ping_interval: u64,
    /// How much longer than `ping_interval` a peer may be silent.
    pub ping_timeout: u64,
    /// From the Engine.IO handshake to the first Socket.IO CONNECT.
    pub connect_timeout: u64,
    /// Whether Engine.IO is spoken over polling.
    pub polling: bool,
    /// Whether Engine.IO is spoken over WebSocket, and polling is upgraded to it.
    pub websocket: bool,
    /// Whether clients of Engine.IO's third revision are let in.
    pub allow_eio3: bool,
    /// For how long browsers are told to come by TLS alone, seconds.
    pub hsts_s: u64,
    /// Methods that pages of other origins may use to poll.
    pub cors_methods: Vec<String>,
    /// Socket.IO namespaces that are taken beside "/".
    pub namespaces: Vec<String>,
    /// For the peer's half of a closing handshake.
    pub close_timeout: u64,
    /// `nextHeartbeatIn` of a heartbeat_response.
    pub next_heartbeat_in: u64,
    /// Silence of an agent that counts as a miss.
    pub connection_check_interval: u64,
    /// Silence of an agent that ends its connection.
    pub offline_timeout: u64,
    /// The `message` of a heartbeat_response, as plain text.
    pub heartbeat_message: String,
    /// Whether a heartbeat or reconnection_success introduces a connection. Where it does not, it does so all the same for
    /// one who gave a token with its Socket.IO CONNECT; and only there a Socket.IO connection must introduce itself in
    /// time.
    pub introduce_by_heartbeat: bool,
    /// Whether the owner judges each introduction, and so reads it by itself.
    pub introductions_are_judged: bool,
}

/// A program's own app, which has every path that is no endpoint and no page of ours.
#[derive(Clone, Debug, Default)]
pub struct GuestSettings {
    /// Whether there is one.
    pub is_there: bool,
    /// Paths of ours whose requests are handed over when they are whole; a segment in braces stands for any.
    pub whole_bodies: Vec<String>,
    /// Of a request body that the app is given as it comes.
    pub max_upload_size: usize,
}

impl Settings {
    /// What is spoken on `path`, if anything.
    pub fn endpoint(&self, path: &str) -> Option<Endpoint> {
        self.endpoints
            .iter()
            .find(|(known, _)| known == path)
            .map(|&(_, endpoint)| endpoint)
    }

    /// Whether the body of a request for this path, which is no endpoint, is handed over as it comes.
    pub(crate) fn is_streamed(&self, path: &str) -> bool {
        self.guest.is_there
            && !self
                .guest
                .whole_bodies
                .iter()
                .any(|known| is_at(known, path))
    }

    /// The revision of Engine.IO that a request asks for.
    ///
    /// # Errors
    /// It is none that is spoken here.
    pub fn revision(&self, query: &Query<'_>) -> Result<Revision, HandshakeError> {
        match query.revision() {
            Some(Revision::V3) if !self.allow_eio3 => None,
            revision => revision,
        }
        .ok_or(HandshakeError::UnsupportedVersion)
    }

    /// How a conversation is kept alive.
    pub(crate) fn ping_times(&self) -> PingTimes {
        PingTimes {
            interval: self.ping_interval,
            timeout: self.ping_timeout,
        }
    }
}

/// Whether a path is one of those that are known by this name.
fn is_at(known: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    known.split('/').all(|wanted| match segments.next() {
        Some(segment) if wanted.starts_with('{') => !segment.is_empty(),
        segment => segment == Some(wanted),
    }) && segments.next().is_none()
}

/// How a conversation is kept alive, ms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PingTimes {
    /// Between two transport pings.
    pub(crate) interval: u64,
    /// How much longer than that the peer may be silent.
    pub(crate) timeout: u64,
}

impl PingTimes {
    /// How long a peer may be silent before it counts as dead (PROTOCOL.md §5 rule 3).
    pub(crate) fn silence_limit(self) -> u64 {
        self.interval + self.timeout
    }
}
