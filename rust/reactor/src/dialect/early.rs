//! Events that come before the introduction (PROTOCOL.md §2): kept in order, unanswered, until it is accepted.
//!
//! npm's client sends what it buffered while it was offline before the `connect` handler of its application runs, and so
//! before an introduction that is sent there. What is kept is bounded. Which events must wait is decided above.

use dscore_traffic::event::EventParts;

use super::heard::{Data, HeardEvent};

/// What an attachment costs beside its bytes.
pub(super) const ATTACHMENT_COST: usize = 64;

/// Events of one connection that wait.
const MAX_EVENTS: usize = 32;
/// Bytes of all of them together, attachments included.
const MAX_BYTES: usize = 64 * 1024;

/// What waits for the introduction of one connection.
#[derive(Debug, Default)]
pub(super) struct Early {
    events: Vec<HeardEvent<'static>>,
    bytes: usize,
    /// Heartbeats that came too early to introduce: each is answered, and none is an error that counts.
    beats: usize,
}

impl Early {
    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.bytes
    }

    /// Keeps an event if there is room for it; else gives its parts back.
    pub(super) fn keep(&mut self, data: &str, parts: EventParts) -> Result<(), EventParts> {
        let length = data.len() + parts.bytes() + parts.attachments.len() * ATTACHMENT_COST;
        if self.events.len() == MAX_EVENTS || self.bytes + length > MAX_BYTES {
            return Err(parts);
        }
        self.bytes += length;
        let data = Data::new(data.to_owned(), 0);
        self.events.push(HeardEvent { data, parts });
        Ok(())
    }

    /// Counts a heartbeat. True while it is to be forgiven.
    pub(super) fn count_beat(&mut self) -> bool {
        self.beats += 1;
        self.beats <= MAX_EVENTS
    }

    /// What waited, in the order it came.
    pub(super) fn into_events(self) -> Vec<HeardEvent<'static>> {
        self.events
    }
}
