//! The way to the porter: sockets that were accepted, and what it is to know.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_queue::ArrayQueue;
use dscore_tls::TlsConfig;
use dscore_traffic::command::ServingState;
use dscore_traffic::event::Ends;

use crate::queue::Sleeper;
use crate::settings::Settings;
use crate::stats::Stats;
use crate::sys::Socket;

/// What is not an arrival: settings, orders.
const BESIDE: usize = 64;

/// A socket of which more is to be known before it can be a peer.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: Socket,
    pub(crate) ends: Ends,
    pub(crate) expects: Expects,
    /// Few descriptors are left.
    pub(crate) is_short: bool,
}

/// What comes first on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expects {
    /// A header of the PROXY protocol.
    pub(crate) header: bool,
    pub(crate) speech: Speech,
}

/// What is spoken behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Plain,
    Tls,
    /// As its first byte tells.
    Either {
        may_be_plain: bool,
    },
}

/// What the porter takes.
#[derive(Debug)]
pub(crate) enum Task {
    Arrived(Arrival),
    Configure(Arc<Settings>),
    Certify(Arc<TlsConfig>),
    Serve(ServingState),
    Stop,
}

/// So many times the bound may be inside from a port that speaks plainly too: those that wait for their turn, which may be
/// long, have one part, so that a probe finds a place among the others.
const WIDE: usize = 2;

/// The porter as other threads see it.
#[derive(Debug)]
pub(crate) struct Door {
    queue: ArrayQueue<Task>,
    pub(crate) sleeper: Sleeper,
    /// Sockets that are with the porter, or on their way to it.
    inside: AtomicUsize,
    most: usize,
    stats: Mutex<Stats>,
    /// The thread has ended: nothing is taken any more.
    is_closed: AtomicBool,
}

impl Door {
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn new(most: usize) -> std::io::Result<Self> {
        Ok(Self {
            queue: ArrayQueue::new(WIDE * most + BESIDE),
            sleeper: Sleeper::new(false)?,
            inside: AtomicUsize::new(0),
            most,
            stats: Mutex::default(),
            is_closed: AtomicBool::new(false),
        })
    }

    /// Sockets that may be inside.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// How many sockets more fit in, of a port for TLS alone.
    pub(crate) fn room(&self) -> usize {
        self.most
            .saturating_sub(self.inside.load(Ordering::Relaxed))
    }

    /// The same of a port that speaks plainly too.
    pub(crate) fn wide_room(&self) -> usize {
        (WIDE * self.most).saturating_sub(self.inside.load(Ordering::Relaxed))
    }

    /// Gives a socket to the porter; false, and the socket closed, where there is no room for it.
    pub(crate) fn enter(&self, arrival: Arrival) -> bool {
        self.inside.fetch_add(1, Ordering::Relaxed);
        let is_in = self.queue.push(Task::Arrived(arrival)).is_ok();
        if !is_in {
            self.leave();
        }
        self.sleeper.wake();
        is_in
    }

    /// A socket has left the porter.
    pub(crate) fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::Relaxed);
    }

    /// Gives the porter something else to do. It never waits for others, so there is room soon.
    pub(crate) fn order(&self, mut task: Task) {
        while let Err(back) = self.queue.push(task) {
            if self.is_closed.load(Ordering::Acquire) {
                return;
            }
            task = back;
            self.sleeper.wake();
            std::thread::yield_now();
        }
        self.sleeper.wake();
    }

    /// Nothing will be taken any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    pub(crate) fn take(&self) -> Option<Task> {
        self.queue.pop()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn publish(&self, stats: &Stats) {
        self.stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(stats);
    }
}
