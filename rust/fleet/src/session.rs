//! One session.

use crate::outbox::Outbox;

/// What outlives the connection of one agent; its config is kept with the agent.
#[derive(Debug, Default)]
pub struct Session {
    /// The close code of its last connection; 0: none has ended yet.
    pub last_close: u16,
    /// When it was disconnected, on the age clock; `None` while it is connected.
    pub left_at: Option<i64>,
    /// Messages that its outbox had no room for, ever.
    pub dropped: u64,
    /// `None` instead of empty.
    pub(crate) outbox: Option<Box<Outbox>>,
}

impl Session {
    /// Messages that wait, those on their way not among them.
    pub fn waiting(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }
}
