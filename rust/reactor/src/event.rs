//! What crosses threads: commands into a reactor, events out of it. Plain data, no decisions.

use std::net::SocketAddr;
use std::sync::Arc;

use dscore_proto::agent::Kind;
use dscore_proto::close::CloseCode;
use uuid::Uuid;

use crate::settings::{Endpoint, Gate, Settings};
use crate::sys::Socket;
use crate::table::ConnId;

/// Who began the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// The peer's close frame came first.
    Peer,
    /// Ours did.
    Server,
    /// There was no close frame: the connection broke.
    Network,
}

/// How one terminate_app ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Answered `OK`.
    Acked,
    /// Answered something else and nothing better in time, or it could not be sent.
    Failed,
    /// No answer in time.
    TimedOut,
    /// The connection ended first.
    Vanished,
    /// Never said app_ready, and was only given notice.
    Notified,
}

/// A WebSocket was upgraded.
#[derive(Debug)]
pub struct Opened {
    /// Its name from here on.
    pub conn: ConnId,
    /// Who speaks there.
    pub endpoint: Endpoint,
    /// The path it asked for.
    pub path: String,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// The token of its `Authorization: Bearer`, if it sent one.
    pub bearer: Option<String>,
}

/// How one terminate_app ended, and when.
#[derive(Debug)]
pub struct Outcome {
    /// The agent's connection.
    pub conn: ConnId,
    /// The request that this settles.
    pub request: Uuid,
    /// How it ended.
    pub ending: Ending,
    /// From the sending to the answer or the giving up.
    pub latency_us: u64,
    /// The agent's last word, or why the send failed.
    pub message: String,
    /// Whether a drain asked, else a single request.
    pub drain: bool,
}

/// How a WebSocket ended.
#[derive(Debug)]
pub struct Ended {
    /// The close code that counts: 1005 for none given, 1006 for no close frame at all.
    pub code: u16,
    /// Its reason.
    pub reason: String,
    /// Who began.
    pub initiator: Initiator,
    /// A `reason_code` of PROTOCOL.md §4, or "".
    pub cause: String,
}

/// A complete HTTP request.
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
    /// All of it.
    pub body: Vec<u8>,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// When the connections of one reactor were last heard of: one entry each, in the same order.
#[derive(Debug, Default)]
pub struct LastSeen {
    /// Whose.
    pub conns: Vec<u64>,
    /// The last frame of any kind, ms.
    pub seen_ms: Vec<u64>,
    /// The last heartbeat, ms; 0 for none yet.
    pub heartbeat_ms: Vec<u64>,
}

/// What a reactor tells.
#[derive(Debug)]
pub enum Event {
    /// A WebSocket was upgraded.
    Opened(Box<Opened>),
    /// A stranger says who it is; it is not read again until that is answered.
    Introduction {
        /// Whose.
        conn: ConnId,
        /// app_ready, heartbeat, reconnection_success or watch.
        kind: Kind,
        /// The whole message.
        text: Box<[u8]>,
    },
    /// A message that the core does not act on.
    Message {
        /// Whose.
        conn: ConnId,
        /// Its `type`, empty on a plain endpoint.
        kind: Box<str>,
        /// The whole message.
        data: Box<[u8]>,
        /// Whether it was a binary message.
        binary: bool,
    },
    /// The sign of life that was asked for.
    Beat {
        /// Whose.
        conn: ConnId,
        /// heartbeat or connection_check_response.
        kind: Kind,
    },
    /// One more interval of silence.
    Missed {
        /// Whose.
        conn: ConnId,
        /// In a row.
        misses: u32,
        /// Since the last sign of life.
        silent_ms: u64,
    },
    /// An `app_terminated` that was not `OK`.
    Answer(Box<Answer>),
    /// A `termination_progress`.
    Progress(Box<Progress>),
    /// A terminate_app has ended.
    Outcome(Box<Outcome>),
    /// A WebSocket has ended.
    Closed(ConnId, Box<Ended>),
    /// An outbox fell to low water.
    Drained(ConnId),
    /// A request for the HTTP app.
    HttpRequest(Box<HttpRequest>),
    /// The client of a request has left.
    HttpGone(ConnId),
    /// The answer to [`Command::ReadLastSeen`].
    LastSeen(Box<LastSeen>),
}

/// An answer to terminate_app that does not end the wait.
#[derive(Debug)]
pub struct Answer {
    /// Whose.
    pub conn: ConnId,
    /// To which request.
    pub request: Uuid,
    /// As sent.
    pub status: String,
    /// As sent.
    pub message: String,
}

/// An agent that is still draining asks for time.
#[derive(Debug)]
pub struct Progress {
    /// Whose.
    pub conn: ConnId,
    /// For which request.
    pub request: Uuid,
    /// What it is doing.
    pub stage: String,
    /// What it got, from now; 0 when none was left.
    pub granted_ms: u64,
}

/// A close frame to send, and the cause to report.
#[derive(Clone, Debug)]
pub struct Farewell {
    /// The code.
    pub code: CloseCode,
    /// The reason, in the frame.
    pub reason: String,
    /// The `reason_code`, in the event.
    pub cause: String,
}

/// terminate_app for every agent.
#[derive(Clone, Debug)]
pub struct TerminateAll {
    /// For an answer.
    pub timeout_ms: u64,
    /// For agents that never sent app_ready.
    pub notice_ms: u64,
    /// The most that termination_progress may add to `timeout_ms`.
    pub max_extension_ms: u64,
    /// The `reason` in the message.
    pub reason: String,
}

/// A message to send, framed already: the same bytes for whoever gets it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// One whole frame.
    pub frame: Arc<[u8]>,
    /// Whether [`Event::Drained`] shall follow.
    pub notify: bool,
}

/// What a reactor is told.
#[derive(Debug)]
pub enum Command {
    /// Take over a socket that another reactor accepted; over the connection limit it is only turned away.
    Adopt {
        /// The newcomer.
        socket: Socket,
        /// Where it comes from.
        peer: SocketAddr,
        /// Whether the connection limit was reached.
        over_limit: bool,
    },
    /// The introduction is accepted: this connection is that agent's.
    Accept {
        /// Whose.
        conn: ConnId,
        /// The agent's id.
        agent_id: Box<str>,
        /// Frames to send before anything else.
        replies: Vec<Arc<[u8]>>,
        /// It never sent app_ready.
        notice_only: bool,
    },
    /// The watch is accepted.
    AcceptWatcher {
        /// Whose.
        conn: ConnId,
        /// Frames to send before anything else.
        replies: Vec<Arc<[u8]>>,
    },
    /// Send `error`, count it, read on.
    Refuse {
        /// Whose.
        conn: ConnId,
        /// The `error` frame.
        frame: Arc<[u8]>,
    },
    /// Send one message.
    Send(ConnId, Outgoing),
    /// Send one message to many.
    SendMany(Vec<ConnId>, Arc<[u8]>),
    /// The owner has had its turn at what this connection said before it broke the protocol: see
    /// [`ReactorPool::take`](crate::pool::ReactorPool::take).
    Settled(ConnId),
    /// Begin the closing handshake.
    Close(ConnId, Box<Farewell>),
    /// Begin it with every WebSocket, evenly over `spread_ms`.
    CloseAll {
        /// What to say.
        farewell: Box<Farewell>,
        /// Over how long.
        spread_ms: u64,
    },
    /// Report the next heartbeat or connection_check_response.
    HearNextBeat(ConnId),
    /// terminate_app for one agent.
    Terminate {
        /// Whose.
        conn: ConnId,
        /// The request's id.
        request: Uuid,
        /// For an answer.
        timeout_ms: u64,
        /// The `reason` in the message.
        reason: Box<str>,
    },
    /// terminate_app for every agent.
    TerminateAll(Box<TerminateAll>),
    /// What newcomers get from here on.
    SetGate(Gate),
    /// Bytes of an HTTP response.
    Respond {
        /// The request's connection.
        conn: ConnId,
        /// The answer.
        response: Box<Response>,
    },
    /// The next part of a response's body.
    RespondMore {
        /// The request's connection.
        conn: ConnId,
        /// The part.
        body: Vec<u8>,
        /// Whether more follows.
        more: bool,
        /// Whether [`Event::Drained`] shall follow.
        notify: bool,
    },
    /// Cut a connection.
    Abort(ConnId),
    /// Report when each connection was last heard of.
    ReadLastSeen,
    /// New limits and times.
    Configure(Arc<Settings>),
    /// End the thread.
    Stop,
}

/// The beginning of an HTTP response.
#[derive(Debug)]
pub struct Response {
    /// 200, …
    pub status: u16,
    /// As the app gave them.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, or its first part.
    pub body: Vec<u8>,
    /// Whether more follows.
    pub more: bool,
    /// Whether [`Event::Drained`] shall follow.
    pub notify: bool,
}
