//! One reactor as other threads see it.

use std::sync::atomic::{AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::addresses::AddressCounts;
use crate::admission::Admission;
use crate::door::Door;
use crate::pace::Pace;
use crate::queue::CommandQueue;
use crate::stats::Stats;
use crate::sys::boot_time;

/// What the reactors of one pool, and their owner, share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) handles: Vec<Arc<Handle>>,
    /// Where sockets go on which more comes first than HTTP; none where nothing can.
    pub(crate) door: Option<Arc<Door>>,
    /// What is to come first on which.
    pub(crate) admission: Admission,
    /// Of upgrades and Engine.IO openings, in all reactors together.
    pub(crate) pace: Arc<Pace>,
    /// What each address has, in all reactors together.
    pub(crate) addresses: Arc<AddressCounts>,
    /// The zero of the pool's clock, on that of the machine.
    pub(crate) start: Duration,
}

impl Shared {
    /// The pool's clock: µs since it was made, those in which the machine was suspended included.
    pub(crate) fn now_us(&self) -> u64 {
        let elapsed = boot_time().saturating_sub(self.start);
        u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Where one reactor is given commands, and what it lets others know.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) commands: CommandQueue,
    /// Sockets it has, and sessions that poll, those on their way to it included: an accepted socket goes to the reactor with the fewest.
    load: AtomicUsize,
    /// Those among them that are sessions which poll, and have no socket.
    polling: AtomicUsize,
    /// Connections that came when all places were taken.
    pub(crate) extra: Count,
    /// Connections that would yield their place, less claims on their way.
    pub(crate) yields: Count,
    /// The same of those that are extra.
    pub(crate) yields_extra: Count,
    idle_since_ms: AtomicU64,
    extra_since_ms: AtomicU64,
    stats: Mutex<Stats>,
}

/// A count that several threads keep: for a moment it may be behind, even below zero.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicIsize);

impl Count {
    pub(crate) fn get(&self) -> isize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn any(&self) -> bool {
        self.get() > 0
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handle {
    pub(crate) fn new(commands: CommandQueue) -> Self {
        Self {
            commands,
            load: AtomicUsize::new(0),
            polling: AtomicUsize::new(0),
            extra: Count::default(),
            yields: Count::default(),
            yields_extra: Count::default(),
            idle_since_ms: AtomicU64::new(u64::MAX),
            extra_since_ms: AtomicU64::new(u64::MAX),
            stats: Mutex::default(),
        }
    }

    /// Since when its longest idle HTTP connection idles; `u64::MAX` if none does.
    pub(crate) fn idle_since(&self) -> u64 {
        self.idle_since_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_idle_since(&self, since_ms: u64) {
        self.idle_since_ms.store(since_ms, Ordering::Relaxed);
    }

    /// Since when its first extra connection would yield its descriptor; `u64::MAX` if none does.
    pub(crate) fn extra_since(&self) -> u64 {
        self.extra_since_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_extra_since(&self, since_ms: u64) {
        self.extra_since_ms.store(since_ms, Ordering::Relaxed);
    }

    pub(crate) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    pub(crate) fn add_load(&self) {
        self.load.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_load(&self) {
        let before = self.load.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a socket left that never came");
    }

    pub(crate) fn polling(&self) -> usize {
        self.polling.load(Ordering::Relaxed)
    }

    pub(crate) fn add_polling(&self) {
        self.add_load();
        self.polling.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_polling(&self) {
        self.drop_load();
        self.polling.fetch_sub(1, Ordering::Relaxed);
    }

    /// The figures of the last turn.
    pub(crate) fn stats(&self) -> Stats {
        self.stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Publishes figures, unless they are being read just now: a reactor never waits. False if that was so.
    pub(crate) fn try_publish(&self, stats: &Stats) -> bool {
        let published = self.stats.try_lock();
        published.is_ok_and(|mut published| {
            published.clone_from(stats);
            true
        })
    }

    /// Publishes the last figures.
    pub(crate) fn publish(&self, stats: &Stats) {
        self.stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(stats);
    }
}
