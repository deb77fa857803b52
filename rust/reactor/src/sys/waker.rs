//! An eventfd: one thread writes, the loop of another wakes up.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

/// A descriptor that becomes readable when `wake` is called and stays so until `clear`.
#[derive(Debug)]
pub(crate) struct Waker {
    /// None once it was closed. Every use but that is a system call, beside which the lock costs nothing.
    eventfd: RwLock<Option<OwnedFd>>,
}

impl Waker {
    /// A waker that is not awake.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn new() -> Result<Self, Errno> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            eventfd: RwLock::new(Some(eventfd)),
        })
    }

    /// Makes the descriptor readable. A counter that is full is readable already, so no error matters here.
    pub(crate) fn wake(&self) {
        if let Some(eventfd) = &*self.open() {
            let _full_already = rustix::io::write(eventfd, &1u64.to_ne_bytes());
        }
    }

    /// Makes it unreadable again.
    pub(crate) fn clear(&self) {
        if let Some(eventfd) = &*self.open() {
            let _clear_already = rustix::io::read(eventfd, &mut [0u8; 8]);
        }
    }

    /// Gives the descriptor back, though others may still hold the waker: for them it wakes nothing any more.
    pub(crate) fn close(&self) {
        *self.eventfd.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// For an event loop outside of this crate; None once it was closed.
    pub(crate) fn as_raw_fd(&self) -> Option<RawFd> {
        self.open().as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Lends the descriptor.
    ///
    /// # Errors
    /// It was closed.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(BorrowedFd<'_>) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.open()
            .as_ref()
            .map_or(Err(Errno::BADF), |eventfd| work(eventfd.as_fd()))
    }

    fn open(&self) -> RwLockReadGuard<'_, Option<OwnedFd>> {
        self.eventfd.read().unwrap_or_else(PoisonError::into_inner)
    }
}
