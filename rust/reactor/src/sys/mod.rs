//! System calls with clean edges: epoll, eventfd, sockets. Nothing clever, nothing that knows a protocol.
//!
//! Every descriptor is an owned type, closed by drop. Errors are `rustix::io::Errno`.

mod boot_time;
mod listener;
mod poller;
mod socket;
mod waker;

pub use boot_time::boot_time;
pub use listener::{Accepted, Listener};
pub use poller::{Interest, Poller, Readiness, ReadyList};
pub use socket::{Received, Sent, Socket};
pub use waker::Waker;

/// How many descriptors this process may open (the soft limit).
pub fn descriptor_limit() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}
