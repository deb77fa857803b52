//! Deadlines of agents. A heap is enough: a connection has few of them, and a stale one only misses.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The introduction must be done.
    Introduction,
    /// The answer to terminate_app is due.
    Answer,
    /// The server must have ended the connection.
    End,
    /// Time to connect again.
    Return,
}

/// A timer of connection number `attempt` of the agent in `slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub(crate) at: u64,
    pub(crate) slot: usize,
    pub(crate) attempt: u32,
    pub(crate) timer: Timer,
}

#[derive(Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<Due>>);

impl Timers {
    pub(crate) fn arm(&mut self, due: Due) {
        self.0.push(Reverse(due));
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.0.peek().map(|due| due.0.at)
    }

    /// The earliest timer whose time has come.
    pub(crate) fn pop(&mut self, now: u64) -> Option<Due> {
        let first = self.0.peek_mut()?;
        (first.0.at <= now).then(|| PeekMut::pop(first).0)
    }
}
