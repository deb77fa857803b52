//! Events out of the reactors; what goes into them is in `command.rs`.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use dscore_proto::agent::{IntroducedBy, Kind, PlainIntroduction};

use crate::close::CloseInfo;
use crate::conn_id::ConnId;
use crate::endpoint::Endpoint;
pub use crate::outcome::{Outcome, OutcomeKind, Progress, TerminationRefused};
pub use crate::refused::{AddressLimit, AddressRefused, RefusedCertificate, TlsRefused};

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Where it comes from: the client, where a proxy that is trusted says who that is.
    pub peer: SocketAddr,
    /// The address and port it came in on.
    pub local: SocketAddr,
    /// The proxy that said so.
    pub proxy: Option<IpAddr>,
    /// Whether the client speaks TLS, to us or to that proxy.
    pub is_secure: bool,
}

impl Ends {
    /// Of a connection without TLS or a proxy.
    pub const fn plain(peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            peer,
            local,
            proxy: None,
            is_secure: false,
        }
    }
}

/// What carries the messages of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportKind {
    /// A WebSocket.
    WebSocket,
    /// HTTP requests, one after the other; an upgrade makes it a WebSocket, without an event.
    Polling,
}

/// A WebSocket was upgraded, or an Engine.IO session began.
#[derive(Debug)]
pub struct Opened {
    /// Its name from here on.
    pub conn: ConnId,
    /// Who speaks there.
    pub endpoint: Endpoint,
    /// What its messages come by, so far.
    pub transport: TransportKind,
    /// The path it asked for.
    pub path: String,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The token of its `Authorization: Bearer`, if it sent one.
    pub bearer: Option<String>,
    /// Names in the certificate that its client has shown for the connection, if it showed one.
    pub certificate_names: Option<Arc<[String]>>,
}

/// The last that is heard of a WebSocket.
#[derive(Debug)]
pub struct Closed {
    /// Whose.
    pub conn: ConnId,
    /// How it ended.
    pub info: CloseInfo,
    /// The close code of the side that did not begin; 0 if it never sent one.
    pub answer: u16,
    /// Its last heartbeat, ms; 0 for none.
    pub heartbeat_ms: u64,
    /// The round trip of its last ping; 0 for none.
    pub rtt_us: u32,
}

/// A Socket.IO client has joined a namespace.
#[derive(Debug)]
pub struct Connected {
    /// Whose.
    pub conn: ConnId,
    /// "/", or one of those that are taken.
    pub namespace: Box<str>,
    /// What it gave for its authentication: a JSON object, or nothing.
    pub auth: Box<[u8]>,
}

/// A Socket.IO client has left a namespace.
#[derive(Debug)]
pub struct Left {
    /// Whose.
    pub conn: ConnId,
    /// Which.
    pub namespace: Box<str>,
}

/// An unauthenticated connection introduces itself.
#[derive(Debug)]
pub struct Introduction {
    /// Whose.
    pub conn: ConnId,
    /// app_ready, heartbeat, reconnection_success or watch.
    pub kind: Kind,
    /// The whole message.
    pub text: Box<[u8]>,
    /// What it says, where it introduces an agent with nothing unusual in it and that may be all that is asked.
    pub plain: Option<Box<PlainIntroduction>>,
}

/// A message that the core does not act on.
#[derive(Debug)]
pub struct Message {
    /// Whose.
    pub conn: ConnId,
    /// Its `type`, or the name of its event; empty for bare messages.
    pub kind: Box<str>,
    /// The whole message.
    pub data: Box<[u8]>,
    /// Whether it was a binary message.
    pub binary: bool,
    /// Of a Socket.IO event, the rest of it.
    pub parts: Option<Box<EventParts>>,
}

/// What only a Socket.IO event has.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EventParts {
    /// "/", or one of those that are taken.
    pub namespace: Cow<'static, str>,
    /// Its sender waits for an acknowledgement with this id.
    pub ack: Option<u64>,
    /// Binary data, in the order of the placeholders.
    pub attachments: Vec<Box<[u8]>>,
}

impl EventParts {
    /// Of all attachments.
    pub fn bytes(&self) -> usize {
        self.attachments.iter().map(|data| data.len()).sum()
    }
}

/// A Socket.IO client has acknowledged an event.
#[derive(Debug)]
pub struct Reply {
    /// Whose.
    pub conn: ConnId,
    /// Of the event.
    pub id: u64,
    /// What it says, a JSON array.
    pub data: Box<[u8]>,
    /// Of the event; binary data.
    pub parts: EventParts,
}

/// An HTTP request.
#[derive(Debug)]
pub struct HttpRequest {
    /// The connection to answer on.
    pub conn: ConnId,
    /// GET, POST, …
    pub method: String,
    /// As sent.
    pub target: String,
    /// The minor version: 0 or 1.
    pub version: u8,
    /// Names in lower case, in the order sent.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// All of it; nothing, where more comes.
    pub body: Vec<u8>,
    /// Where it asks for a WebSocket: the subprotocols that the client speaks. It is answered by
    /// [`Command::AcceptUpgrade`](crate::command::Command::AcceptUpgrade), or as any other request is.
    pub upgrade: Option<Vec<String>>,
    /// The body comes in parts, each asked for by [`Command::ReadBody`](crate::command::Command::ReadBody).
    pub more: bool,
    /// The connection's.
    pub ends: Ends,
    /// Names in the certificate that was shown for the connection, if one was.
    pub certificate_names: Option<Arc<[String]>>,
}

/// A part of a request's body.
#[derive(Debug)]
pub struct BodyPart {
    /// The connection of the request.
    pub conn: ConnId,
    /// Never empty, but for the last.
    pub data: Box<[u8]>,
    /// Whether another follows.
    pub more: bool,
}

/// A message on a WebSocket of a guest.
#[derive(Debug)]
pub struct GuestMessage {
    /// Whose.
    pub conn: ConnId,
    /// The whole message.
    pub data: Box<[u8]>,
    /// Whether it was a binary message.
    pub binary: bool,
    /// Nothing more is read before [`Command::ReadOn`](crate::command::Command::ReadOn).
    pub is_last: bool,
}

/// When the connections of one reactor were last heard of: one entry each, in the same order.
#[derive(Debug)]
pub struct LastSeen {
    /// That of the command.
    pub number: u64,
    /// Whose.
    pub conns: Vec<u64>,
    /// The last frame of any kind, ms.
    pub seen_ms: Vec<u64>,
    /// The last heartbeat, ms; 0 for none yet.
    pub heartbeat_ms: Vec<u64>,
    /// The round trip of the last ping; 0 for none yet.
    pub rtt_us: Vec<u32>,
}

impl LastSeen {
    /// With room for so many connections.
    pub fn with_capacity(number: u64, connections: usize) -> Self {
        Self {
            number,
            conns: Vec::with_capacity(connections),
            seen_ms: Vec::with_capacity(connections),
            heartbeat_ms: Vec::with_capacity(connections),
            rtt_us: Vec::with_capacity(connections),
        }
    }
}

/// What a reactor tells. Small, for a queue has room for thousands and, once used, keeps it.
#[derive(Debug)]
pub enum Event {
    /// A WebSocket was upgraded, or an Engine.IO session began.
    Opened(Box<Opened>),
    /// A Socket.IO client has joined a namespace, and was told so.
    Connected(Box<Connected>),
    /// A Socket.IO client has left a namespace, and is in another one. Of a plain endpoint: any.
    Left(Box<Left>),
    /// A Socket.IO client has acknowledged an event.
    Reply(Box<Reply>),
    /// An unauthenticated connection introduces itself; it is not read again until that is answered.
    Introduction(Box<Introduction>),
    /// A message that the core does not act on.
    Message(Box<Message>),
    /// The sign of life that was asked for.
    Beat {
        /// Whose.
        conn: ConnId,
        /// heartbeat or connection_check_response.
        kind: Kind,
    },
    /// One more interval of silence.
    Missed(Box<Missed>),
    /// An `app_terminated` that was not `OK`.
    TerminationRefused(Box<TerminationRefused>),
    /// A `termination_progress`.
    Progress(Box<Progress>),
    /// A terminate_app has ended.
    Outcome(Box<Outcome>),
    /// A WebSocket has ended.
    Closed(Box<Closed>),
    /// An outbox fell to low water.
    Drained(ConnId),
    /// A request for the HTTP app.
    HttpRequest(Box<HttpRequest>),
    /// A message on a WebSocket of a guest.
    GuestMessage(Box<GuestMessage>),
    /// A WebSocket of a guest has ended.
    GuestClosed(Box<GuestClosed>),
    /// The part of a request's body that was asked for.
    BodyPart(Box<BodyPart>),
    /// The client of a request has left, or the rest of its body will not come.
    HttpGone(ConnId),
    /// The answer to [`ReactorCommand::ReadLastSeen`](crate::command::ReactorCommand::ReadLastSeen).
    LastSeen(Box<LastSeen>),
    /// The answer to [`ReactorCommand::Look`](crate::command::ReactorCommand::Look): the events before this one hold
    /// everything that had come when it was asked.
    Looked(u64),
    /// A reactor did not look.
    Gap(Box<Gap>),
    /// An address was refused something.
    AddressRefused(Box<AddressRefused>),
    /// A socket became no connection.
    TlsRefused(Box<TlsRefused>),
}

/// One more interval of silence.
#[derive(Debug)]
pub struct Missed {
    /// Whose.
    pub conn: ConnId,
    /// In a row.
    pub misses: u32,
    /// Since the last sign of life.
    pub silent_ms: u64,
}

/// A WebSocket of a guest has ended.
#[derive(Debug)]
pub struct GuestClosed {
    /// Whose.
    pub conn: ConnId,
    /// How.
    pub info: CloseInfo,
}

/// A time in which a reactor did not look: the process was stopped, or the machine. It counts for no deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Which.
    pub reactor: u8,
    /// When it had last looked, ms.
    pub began_ms: u64,
    /// Until it looked again, ms.
    pub length_ms: u64,
}

impl Event {
    /// Bytes of a peer's that wait with this event for the owner. Those of a request are counted by its connection
    /// until it is answered.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Message(message) => {
                let parts = message.parts.as_ref();
                message.data.len() + message.kind.len() + parts.map_or(0, |parts| parts.bytes())
            }
            Self::Reply(reply) => reply.data.len() + reply.parts.bytes(),
            Self::Introduction(introduction) => {
                let config = match introduction.plain.as_ref().map(|plain| &plain.by) {
                    Some(IntroducedBy::AppReady { config, .. }) => config.as_ref(),
                    _ => None,
                };
                introduction.text.len() + config.map_or(0, |config| config.len())
            }
            Self::Connected(connected) => connected.auth.len(),
            Self::BodyPart(part) => part.data.len(),
            Self::GuestMessage(message) => message.data.len(),
            Self::TerminationRefused(refused) => refused.status.len() + refused.message.len(),
            Self::Progress(progress) => progress.stage.len(),
            Self::Outcome(outcome) => outcome.message.len(),
            Self::Opened(_)
            | Self::Left(_)
            | Self::Beat { .. }
            | Self::Missed(_)
            | Self::Closed(_)
            | Self::GuestClosed(_)
            | Self::Drained(_)
            | Self::HttpRequest(_)
            | Self::HttpGone(_)
            | Self::Looked(_)
            | Self::Gap(_)
            | Self::AddressRefused(_)
            | Self::TlsRefused(_)
            | Self::LastSeen(_) => 0,
        }
    }
}
