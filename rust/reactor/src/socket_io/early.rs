//! Events that come before the introduction (PROTOCOL.md §2): kept in order, unanswered, and handled after it.
//!
//! npm's client sends what it buffered while it was offline before the `connect` handler of its application runs, and so
//! before an introduction that is sent there. What is kept is bounded; what comes past that is refused as over the raw
//! dialect.

use dscore_proto::agent::Kind;
use dscore_traffic::ConnId;
use dscore_traffic::event::EventParts;

use super::state::SocketIo;
use super::{ATTACHMENT_COST, on_event_data, socket_io};
use crate::agents;
use crate::context::Context;
use crate::session::{Session, Verdict, Who};

/// Events of one connection that wait.
const MAX_EVENTS: usize = 32;
/// Bytes of all of them together, attachments included.
const MAX_BYTES: usize = 64 * 1024;

/// What waits for the introduction of one connection.
#[derive(Debug, Default)]
pub(crate) struct Early {
    events: Vec<EarlyEvent>,
    bytes: usize,
    /// Heartbeats that came too early to introduce: each is answered, and none is an error that counts.
    beats: usize,
}

/// An event, as it came.
#[derive(Debug)]
pub(crate) struct EarlyEvent {
    data: Box<str>,
    parts: EventParts,
}

impl Early {
    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.bytes
    }
}

impl SocketIo {
    /// Keeps an event if there is room for it; else gives its parts back.
    fn keep(&mut self, data: &str, parts: EventParts) -> Result<(), EventParts> {
        let length = data.len() + parts.bytes() + parts.attachments.len() * ATTACHMENT_COST;
        let early = self.early.get_or_insert_default();
        if early.events.len() == MAX_EVENTS || early.bytes + length > MAX_BYTES {
            return Err(parts);
        }
        early.bytes += length;
        early.events.push(EarlyEvent {
            data: data.into(),
            parts,
        });
        Ok(())
    }
}

/// Keeps an event that must wait; gives the parts of any other back, to be handled now.
pub(super) fn keep(
    session: &mut Session,
    kind: Kind,
    data: &str,
    parts: EventParts,
    cx: &Context,
) -> Result<(), EventParts> {
    if !session.is_stranger() || agents::may_come_first(session, kind, cx) {
        return Err(parts);
    }
    let Some(socket_io) = socket_io(session) else {
        return Err(parts);
    };
    if !matches!(kind, Kind::Heartbeat | Kind::ReconnectionSuccess) {
        return socket_io.keep(data, parts);
    }
    // Where tokens are required these introduce only with one. They are old news once there is an introduction: they are
    // refused at once, but a client that buffered them has done nothing wrong.
    let early = socket_io.early.get_or_insert_default();
    early.beats += 1;
    if early.beats <= MAX_EVENTS {
        session.forgive(1);
    }
    Err(parts)
}

/// Takes what waited, once the connection is introduced. A watcher has no say in most of it: that counts for no error,
/// since it could not have known what would come first.
pub(crate) fn take(session: &mut Session) -> Vec<EarlyEvent> {
    let early = socket_io(session).and_then(|socket_io| socket_io.early.take());
    let events = early.map_or(Vec::new(), |early| early.events);
    if session.who == Who::Watcher {
        session.forgive(events.len());
    }
    events
}

/// Handles an event that waited.
pub(crate) fn handle(
    session: &mut Session,
    conn: ConnId,
    event: EarlyEvent,
    cx: &mut Context,
) -> Verdict {
    let mut parts = event.parts;
    // What it has left since hears no answers.
    if !socket_io(session).is_some_and(|socket_io| socket_io.has_joined(&parts.namespace)) {
        parts.ack = None;
    }
    on_event_data(session, conn, &event.data, parts, cx)
}
