//! The pace at which upgrades and Engine.IO openings may go on, one for all reactors of a pool: see [`crate::pacer`].

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Turns that may be saved up in a quiet time: a second's worth, and no more than one turn of the loop serves.
pub(crate) const MAX_BURST: f64 = 64.0;
/// The pace that all reactors of a pool keep together.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the next turn is due if none is saved up, µs (the theoretical arrival time of GCRA, ITU-T I.371).
    due_us: AtomicU64,
    waiting: AtomicUsize,
    /// Since when the first connection of each reactor waits, ms; `u64::MAX` for none.
    first_since_ms: Vec<AtomicU64>,
}

impl Pace {
    pub(crate) fn new(reactors: usize) -> Self {
        Self {
            due_us: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            first_since_ms: (0..reactors).map(|_| AtomicU64::new(u64::MAX)).collect(),
        }
    }

    /// Takes a turn, if one is due or saved up.
    pub(crate) fn take(&self, now_us: u64, rate: f64) -> bool {
        let order = Ordering::Relaxed;
        let mut due_us = self.due_us.load(order);
        loop {
            // A pace that was slower may have left the next turn far ahead.
            let soon_us = due_us.min(now_us + saved_us(rate) + interval_us(rate));
            let is_due = earliest_us(soon_us, rate) <= now_us;
            let next_us = if is_due {
                soon_us.max(now_us) + interval_us(rate)
            } else {
                soon_us
            };
            match self
                .due_us
                .compare_exchange_weak(due_us, next_us, order, order)
            {
                Ok(_) => return is_due,
                Err(found_us) => due_us = found_us,
            }
        }
    }

    /// How many wait for their turn, in all reactors.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn add_waiting(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_waiting(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    /// Lets the other reactors know since when the first connection of this one waits; `u64::MAX` for none.
    pub(crate) fn publish_first(&self, reactor: usize, since_ms: u64) {
        if let Some(published) = self.first_since_ms.get(reactor) {
            published.store(since_ms, Ordering::Relaxed);
        }
    }

    /// When a turn can be taken next, ms.
    pub(crate) fn ready_ms(&self, rate: f64) -> u64 {
        earliest_us(self.due_us.load(Ordering::Relaxed), rate).div_ceil(1_000)
    }

    /// Whether no connection of another reactor has waited longer.
    pub(crate) fn is_first(&self, reactor: usize, since_ms: u64) -> bool {
        let firsts = self.first_since_ms.iter().enumerate();
        let mut others = firsts.filter(|(other, _)| *other != reactor);
        others.all(|(other, first)| (since_ms, reactor) < (first.load(Ordering::Relaxed), other))
    }
}

fn interval_us(rate: f64) -> u64 {
    (1_000_000.0 / rate).ceil() as u64
}

/// How far ahead of its time a turn may be taken, where turns were saved up.
fn saved_us(rate: f64) -> u64 {
    let turns = rate.clamp(1.0, MAX_BURST) - 1.0;
    (turns * 1_000_000.0 / rate) as u64
}

fn earliest_us(due_us: u64, rate: f64) -> u64 {
    due_us.saturating_sub(saved_us(rate))
}
