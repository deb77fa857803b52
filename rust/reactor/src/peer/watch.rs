//! Which poller watches a peer's socket, and what for: with as few calls of `epoll_ctl` as may be.
//!
//! A socket begins where a WebSocket stays, since most become one. HTTP that goes on moves to the control poller. Read interest
//! outlives the wish to read until input really comes: an introduction is mostly judged before its agent says more, and
//! reading on then costs no call at all.

use super::{Peer, Stage};
use crate::stream::Stream;
use crate::sys::Interest;
use crate::watch::{Watch, WatchedBy};

impl Peer {
    /// What epoll was last told of its socket, if anything.
    pub(crate) fn watch(&self) -> Option<Watch> {
        self.stream.as_ref().and_then(|stream| stream.watch)
    }

    /// Input may be left in its socket, though that was looked at.
    pub(crate) fn has_unread(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::has_unread)
    }

    /// Notes whether it may.
    pub(crate) fn set_unread(&mut self, has_unread: bool) {
        if let Some(stream) = &mut self.stream {
            stream.set_unread(has_unread);
        }
    }

    /// Whether input is wanted now.
    pub(crate) fn wants_read(&self) -> bool {
        match &self.stage {
            Stage::Http(http) => http.wants_read(!self.output.is_empty()),
            Stage::Conversation(conversation) => conversation.wants_read(),
            Stage::Probe(_) => true,
        }
    }

    /// What epoll should be told. A socket that is not watched yet, and may become either, is to begin with this watcher.
    pub(crate) fn plan_watch(&self, begin: WatchedBy) -> Watch {
        let output_waits = !self.output.is_empty();
        let is_told_to_read = self.watch().is_none_or(|watch| watch.interest.read);
        Watch {
            by: self.watcher(begin, output_waits),
            interest: Interest {
                // What waits there would be reported again and again.
                read: self.wants_read() || (is_told_to_read && !self.has_unread()),
                write: output_waits,
            },
        }
    }

    fn watcher(&self, begin: WatchedBy, output_waits: bool) -> WatchedBy {
        let now = self.watch().map_or(begin, |watch| watch.by);
        match &self.stage {
            Stage::Conversation(_) => WatchedBy::Peers,
            Stage::Http(http) if output_waits || http.goes_on() => WatchedBy::Control,
            Stage::Http(_) | Stage::Probe(_) => now,
        }
    }
}

#[cfg(test)]
mod tests;
