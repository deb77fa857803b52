//! System calls with clean edges: epoll, eventfd, sockets. Nothing clever, nothing that knows a protocol.
//!
//! Every descriptor is an owned type, closed by drop. Errors are `rustix::io::Errno`.

mod boot_time;
mod descriptors;
mod listener;
mod poller;
mod socket;
mod waker;

pub use boot_time::boot_time;
pub use descriptors::{Descriptors, connections_allowed, descriptor_limit, reserved_descriptors};
pub use listener::{Accepted, Listener};
pub use poller::{Interest, Poller, Readiness, ReadyList};
pub use socket::{Received, Sent, Socket};
pub use waker::Waker;
