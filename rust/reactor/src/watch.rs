//! What epoll is told of a socket.

use crate::sys::Interest;

/// A poller of the reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchedBy {
    /// For conversations.
    Peers,
    /// For all else.
    Control,
}

/// What epoll was told of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    pub(crate) by: WatchedBy,
    pub(crate) interest: Interest,
}

/// What epoll is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchChange {
    /// One call: a socket that no poller watches.
    Add,
    /// One call.
    Modify,
    /// Two: it leaves this watcher.
    Move(WatchedBy),
}

impl Watch {
    /// What epoll is to be told for this; `None`: it knows.
    pub(crate) fn change_from(self, now: Option<Self>) -> Option<WatchChange> {
        match now {
            Some(now) if now == self => None,
            Some(now) if now.by == self.by => Some(WatchChange::Modify),
            Some(now) => Some(WatchChange::Move(now.by)),
            None => Some(WatchChange::Add),
        }
    }
}
