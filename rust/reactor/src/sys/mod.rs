//! System calls with clean edges: epoll, eventfd, timerfd, sockets. Nothing clever, nothing that knows a protocol.
//!
//! Every descriptor is an owned type, closed by drop. Errors are `rustix::io::Errno`.

mod alarm;
mod boot_time;
mod descriptors;
mod listener;
mod poller;
mod socket;
mod waker;

pub(crate) use alarm::Alarm;
pub(crate) use boot_time::boot_time;
pub(crate) use descriptors::Descriptors;
pub use descriptors::{connections_allowed, descriptor_limit};
pub(crate) use listener::{Accepted, Listener};
pub(crate) use poller::{Interest, Poller, Readiness, ReadyList};
pub(crate) use socket::{Received, Sent, Socket};
pub(crate) use waker::Waker;
