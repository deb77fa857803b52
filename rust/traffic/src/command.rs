//! Commands into the reactors; what comes out of them is in `event.rs`.

use std::sync::Arc;

use dscore_proto::socketio::Kind;
use uuid::Uuid;

use crate::close::CloseFrame;
use crate::conn_id::ConnId;

/// What is to be done with one connection. For one that has gone it is dropped, silently: its end was told.
#[derive(Debug)]
pub enum Command {
    /// The introduction is accepted: this connection is that agent's.
    Accept {
        /// The agent's id.
        agent_id: Arc<str>,
        /// Frames to send before anything else.
        replies: Vec<Arc<[u8]>>,
        /// It never sent app_ready.
        notice_only: bool,
    },
    /// The watch is accepted.
    AcceptWatcher {
        /// Frames to send before anything else.
        replies: Vec<Arc<[u8]>>,
    },
    /// It may stay unauthenticated for as long as it likes.
    LiftDeadline,
    /// Send `error`, count it, read on.
    Refuse {
        /// The `error` frame.
        frame: Arc<[u8]>,
    },
    /// Send one message.
    Send(Outgoing),
    /// Send one Socket.IO packet; dropped where that is not spoken.
    SendPacket(Box<OutgoingPacket>),
    /// Begin the closing handshake.
    Close(Box<CloseFrame>),
    /// Report the next heartbeat or connection_check_response; at once, if one came after the last miss.
    HearNextBeat,
    /// terminate_app for one agent.
    Terminate {
        /// The request's id.
        request: Uuid,
        /// For an answer.
        timeout_ms: u64,
        /// The most that termination_progress may add to it.
        max_extension_ms: u64,
        /// The `reason` in the message.
        reason: Box<str>,
    },
    /// Begin an HTTP response.
    Respond(Box<Response>),
    /// Go on with it.
    RespondMore(ResponsePart),
    /// Make a WebSocket of the connection whose request asks for one.
    AcceptUpgrade(Box<AcceptUpgrade>),
    /// Read on, after the last message of a guest that was to come.
    ReadOn,
    /// Give the next part of a request's body, once there is one.
    ReadBody,
    /// Cut the connection.
    Abort,
}

/// What is to be done by a reactor as a whole.
#[derive(Debug)]
pub enum ReactorCommand {
    /// Begin the closing handshake with every WebSocket, evenly over `spread_ms`; idle HTTP connections end at once.
    CloseAll {
        /// What to say.
        close_frame: Box<CloseFrame>,
        /// Over how long.
        spread_ms: u64,
        /// Whether connections that only watch stay.
        spare_watchers: bool,
    },
    /// terminate_app for every agent.
    TerminateAll(Box<TerminateAll>),
    /// What new connections get from here on.
    SetServingState(ServingState),
    /// Report when connections were last heard of.
    ReadLastSeen {
        /// Comes back with the report.
        number: u64,
        /// Those of any reactor; `None`: all.
        conns: Option<Arc<[ConnId]>>,
    },
    /// Report when all that lies in the sockets by then was read.
    Look(u64),
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

/// A message to send, framed already: the same bytes for each receiver.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// One whole frame.
    pub frame: Arc<[u8]>,
    /// When [`Event::Drained`](crate::event::Event::Drained) shall follow.
    pub notify: Notify,
}

/// When a [`Event::Drained`](crate::event::Event::Drained) shall follow what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Never.
    No,
    /// When what waits is down to low water: more may be sent.
    LowWater,
    /// When nothing waits: the socket has it.
    Empty,
}

/// A Socket.IO event or acknowledgement to send.
#[derive(Clone, Debug)]
pub struct OutgoingPacket {
    /// [`Kind::Event`] or [`Kind::Ack`].
    pub kind: Kind,
    /// "/", or one that the client has joined.
    pub namespace: Box<str>,
    /// Of an event: the client is asked for an acknowledgement. Of an acknowledgement: the event's.
    pub id: Option<u64>,
    /// A JSON array.
    pub data: Box<str>,
    /// Binary data, in the order of the placeholders.
    pub attachments: Vec<Box<[u8]>>,
    /// Whether [`Event::Drained`](crate::event::Event::Drained) shall follow.
    pub notify: bool,
}

/// The answer to an upgrade that is accepted.
#[derive(Debug)]
pub struct AcceptUpgrade {
    /// One of those that were offered.
    pub subprotocol: Option<String>,
    /// Fields beside those of the handshake.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
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
    /// Whether [`Event::Drained`](crate::event::Event::Drained) shall follow.
    pub notify: bool,
}

/// The next part of a response's body.
#[derive(Debug)]
pub struct ResponsePart {
    /// The bytes.
    pub body: Vec<u8>,
    /// Whether more follows.
    pub more: bool,
    /// Whether [`Event::Drained`](crate::event::Event::Drained) shall follow.
    pub notify: bool,
}

/// What new connections get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServingState {
    /// Let in.
    #[default]
    Open,
    /// Upgraded, then closed 1013 `Server shutting down`.
    Draining,
    /// Closed 1013 `Server temporarily unavailable`, once it is clear that they are no watchers: at once where there are
    /// none, else by what they say first.
    Maintenance,
}
