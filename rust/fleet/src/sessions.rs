//! What the sessions of all agents add up to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::agent::AgentKey;
use crate::outbox::Message;

/// What may wait.
#[derive(Clone, Copy, Debug)]
pub struct OutboxBounds {
    /// Messages for one agent.
    pub messages: usize,
    /// Bytes for one agent. A single message may be larger.
    pub bytes: usize,
    /// Bytes for all of them.
    pub all_bytes: usize,
}

impl Default for OutboxBounds {
    fn default() -> Self {
        Self {
            messages: usize::MAX,
            bytes: usize::MAX,
            all_bytes: usize::MAX,
        }
    }
}

/// What the sessions of all agents add up to.
#[derive(Debug, Default)]
pub struct Sessions {
    /// Changes on a reload.
    pub bounds: OutboxBounds,
    pub(crate) count: usize,
    /// The number of the message that was queued last.
    pub(crate) last_message: u64,
    /// Every message that waits or is lent, oldest first: whose, and its bytes.
    pub(crate) messages: BTreeMap<u64, (AgentKey, usize)>,
    pub(crate) bytes: usize,
    pub(crate) drops: HashMap<Arc<str>, u64>,
}

impl Sessions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Messages in all outboxes, and lent.
    pub fn undelivered(&self) -> usize {
        self.messages.len()
    }

    /// The same in bytes.
    pub fn undelivered_bytes(&self) -> usize {
        self.bytes
    }

    /// Messages that outboxes had no room for since this was asked last, by agent.
    pub fn take_drops(&mut self) -> HashMap<Arc<str>, u64> {
        std::mem::take(&mut self.drops)
    }

    pub(crate) fn join(&mut self, key: AgentKey, message: &Message) {
        self.messages
            .insert(message.number, (key, message.text.len()));
        self.bytes += message.text.len();
    }

    pub(crate) fn leave(&mut self, number: u64) {
        if let Some((_, size)) = self.messages.remove(&number) {
            self.bytes -= size;
        }
    }
}
