//! What is not saved, and how it is written.

use std::sync::Arc;

use crate::agent::AgentKey;

/// A session as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Whose.
    pub agent_id: Arc<str>,
    /// The close code of its last connection.
    pub last_close: u16,
    /// When it was disconnected, on the age clock.
    pub left_at: Option<i64>,
    /// Messages that were dropped.
    pub dropped: u64,
}

/// What is to be written.
#[derive(Debug, Default)]
pub struct Changes {
    /// For [`Fleet::saved`].
    pub version: u64,
    /// New or changed.
    pub sessions: Vec<SessionRow>,
    /// Agents that have none any more.
    pub ended: Vec<Arc<str>>,
    /// Messages that joined an outbox: number, agent, text.
    pub messages: Vec<(u64, Arc<str>, Arc<[u8]>)>,
    /// Messages that may have been written before, and have left their outbox.
    pub delivered: Vec<u64>,
}

/// What is not saved.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    /// Whether there is a store that writes anything down.
    pub(crate) is_wanted: bool,
    pub(crate) version: u64,
    /// Each once, and counted as a reference to it.
    pub(crate) agents: Vec<AgentKey>,
    /// Messages that have left their outbox, each with the version of that.
    pub(crate) left: Vec<(u64, u64)>,
    /// The newest message that the store was given, and the version of that.
    pub(crate) given: (u64, u64),
    /// The newest message that the store has.
    pub(crate) last_saved: u64,
}

impl Unsaved {
    /// A message is in no outbox any more. One that was never given to the store never will be.
    pub(crate) fn leave(&mut self, number: u64) {
        if self.is_wanted && number <= self.given.1 {
            self.version += 1;
            self.left.push((self.version, number));
        }
    }

    /// Up to this number the store has all messages.
    pub(crate) fn adopt(&mut self, last_message: u64) {
        self.given.1 = last_message;
        self.last_saved = last_message;
    }
}
