//! One side of a queue that may be parked, and its waker.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::Waker;

/// Whether one side sleeps, and how to end that.
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(super) asleep: AtomicBool,
    pub(crate) waker: Waker,
}

impl Sleeper {
    pub(crate) fn new(asleep: bool) -> std::io::Result<Self> {
        Ok(Self {
            asleep: AtomicBool::new(asleep),
            waker: Waker::new()?,
        })
    }

    /// Announces sleep; the caller looks at its queue once more before it waits.
    pub(crate) fn park(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    pub(crate) fn unpark(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Called after a push.
    pub(crate) fn wake(&self) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }
}
