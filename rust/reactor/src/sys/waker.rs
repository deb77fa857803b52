//! An eventfd: one thread writes, the loop of another wakes up.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

/// A descriptor that becomes readable when `wake` is called and stays so until `clear`.
#[derive(Debug)]
pub struct Waker {
    eventfd: OwnedFd,
}

impl Waker {
    /// A waker nobody has woken yet.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub fn new() -> Result<Self, Errno> {
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { eventfd })
    }

    /// Makes the descriptor readable. A counter that is full is readable already, so no error matters here.
    pub fn wake(&self) {
        let _full_already = rustix::io::write(&self.eventfd, &1u64.to_ne_bytes());
    }

    /// Makes it unreadable again.
    pub fn clear(&self) {
        let _clear_already = rustix::io::read(&self.eventfd, &mut [0u8; 8]);
    }

    /// For an event loop outside of this crate.
    pub fn as_raw_fd(&self) -> RawFd {
        self.eventfd.as_raw_fd()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }
}
