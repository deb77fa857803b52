//! Up to when everything that came was read: timers run no further, so that silence is never only ours.
//!
//! A list that is full may leave sockets out. The kernel reports sockets in turn, so when as many were reported as there
//! are, all that was ready when that began was read. Beside that a peer whose input did not fit into one read, or had to
//! wait for its turn, is marked, and is read once more before it is judged.

use super::Reactor;
use crate::event::Event;
use crate::sys::ReadyList;
use crate::table::ConnId;

/// Reading all that came to the sockets of one poller, in one turn or several.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// When it began, if it is under way, and how many sockets were reported since.
    under_way: Option<(u64, usize)>,
    /// Everything that came until then was read.
    looked_us: u64,
}

impl Pass {
    /// Counts one list, found at `now_us`, of a poller that watches at most so many sockets. Up to when everything was
    /// read once these are.
    pub(super) fn count(&mut self, list: &ReadyList, now_us: u64, sockets: usize) -> u64 {
        let (began_us, before) = self.under_way.take().unwrap_or((now_us, 0));
        let reported = before + list.len();
        if !list.is_full() {
            self.looked_us = now_us;
        } else if reported >= sockets {
            self.looked_us = began_us;
        } else {
            self.under_way = Some((began_us, reported));
        }
        self.looked_us
    }
}

impl Reactor {
    /// Whether more of what came was read than a turn ago; tells so those who asked.
    pub(super) fn has_looked(&mut self, lobby: &ReadyList, ready: &ReadyList) -> bool {
        let (now_us, sockets) = (self.cx.now_us, self.table.len());
        let looked_us = self.pass.count(ready, now_us, sockets);
        let looked_us = looked_us.min(self.lobby_pass.count(lobby, now_us, sockets));
        // What sockets ask of sessions is read when it was done.
        if looked_us <= self.looked_us || !self.cx.requests.is_empty() {
            return false;
        }
        self.looked_us = looked_us;
        while let Some((_, number)) = self
            .looks
            .pop_front_if(|(asked_us, _)| *asked_us < looked_us)
        {
            self.cx.tell(Event::Looked(number));
        }
        true
    }

    /// Its socket was reported, and is not read in this turn.
    pub(super) fn leave_unread(&mut self, token: u64) {
        if let Some(peer) = self.table.get_mut(ConnId::from_u64(token)) {
            peer.has_unread = true;
        }
    }
}
