//! How far a connection may be ahead of the owner before it is not read: some hundred short messages, or a long one.
//!
//! What waits for the owner is then bounded for each connection, and one that floods delays only itself. While much waits
//! of all together, a single message is far enough.

use dscore_traffic::ConnId;

use crate::context::Context;

/// The most that may be ahead, in bytes.
const MAX_AHEAD: u32 = 64 * 1024;
/// What a message costs the owner beside its bytes, in bytes.
const MESSAGE_COST: u32 = 512;

/// What was delivered since the owner was last known to be done with it all: bytes and [`MESSAGE_COST`]s.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    ahead: u32,
}

impl Delivery {
    /// Counts a message of `length` bytes that was delivered. A connection that gets too far ahead is read again when the
    /// owner is done with it all.
    pub(crate) fn count(&mut self, conn: ConnId, length: usize, cx: &mut Context) {
        let was_ahead = self.is_ahead();
        if self.add(length, cx) && !was_ahead {
            cx.ask_to_settle(conn);
        }
    }

    /// Counts a message that is about to be delivered to an app which says itself when it has received all. True if that is
    /// waited for from here on.
    pub(crate) fn count_for_app(&mut self, length: usize, cx: &Context) -> bool {
        self.add(length, cx)
    }

    /// Whether this is far enough ahead.
    fn add(&mut self, length: usize, cx: &Context) -> bool {
        // No message or body may be that long.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.ahead = self
            .ahead
            .saturating_add(length.saturating_add(MESSAGE_COST));
        if cx.events.is_crowded() {
            self.ahead = self.ahead.max(MAX_AHEAD);
        }
        self.is_ahead()
    }

    pub(crate) fn is_ahead(&self) -> bool {
        self.ahead >= MAX_AHEAD
    }

    /// Bytes that wait for an app to receive them: known only of one that is far enough ahead.
    pub(crate) fn held_for_app(&self) -> usize {
        if self.is_ahead() {
            self.ahead as usize
        } else {
            0
        }
    }

    /// The owner is done with what it was told up to the request to settle.
    pub(crate) fn caught_up(&mut self) {
        self.ahead = 0;
    }
}
