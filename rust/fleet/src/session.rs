//! One session.

use crate::outbox::Outbox;

/// What outlives the connection of one agent; its config is kept with the agent.
#[derive(Debug, Default)]
pub struct Session {
    /// The close code of its last connection; 0: none has ended yet.
    pub last_close: u16,
    /// Whether it was disconnected, and when, on the age clock. Not one `MaybeMs`: where an agent has no session, a value
    /// that no bool has says so, and else a word of its own would.
    is_left: bool,
    left_at: i64,
    /// Messages that its outbox had no room for, ever.
    pub dropped: u32,
    /// `None` instead of empty.
    pub(crate) outbox: Option<Box<Outbox>>,
}

/// A session as it is kept: last close code, when it was left (on the age clock), messages dropped.
pub type KeptSession = (u16, Option<i64>, u64);

impl Session {
    pub(crate) fn restored((last_close, left_at, dropped): KeptSession) -> Self {
        let mut session = Self {
            last_close,
            dropped: u32::try_from(dropped).unwrap_or(u32::MAX),
            ..Self::default()
        };
        session.set_left_at(left_at);
        session
    }

    pub(crate) fn kept(&self) -> KeptSession {
        (self.last_close, self.left_at(), self.dropped.into())
    }

    /// When it was disconnected, on the age clock; `None` while it is connected.
    pub fn left_at(&self) -> Option<i64> {
        self.is_left.then_some(self.left_at)
    }

    pub(crate) fn set_left_at(&mut self, age: Option<i64>) {
        self.is_left = age.is_some();
        self.left_at = age.unwrap_or(0);
    }

    /// Messages that wait, those on their way not among them.
    pub fn waiting(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }
}
