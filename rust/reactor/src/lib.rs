//! The reactors of dscore: threads that own every socket.
//!
//! A [`ReactorPool`] is a listening socket and N threads. What crosses threads is plain data of `dscore_traffic`:
//! commands go in, events come out. Inside, each thread runs the loop of `reactor.rs` over the peers in its table; a peer speaks
//! HTTP (`http/`) until it is a conversation (`conversation/`). That owns its transport, the dialect that is spoken
//! (`dialect/`) and the identity of the other end (`agent/`), which do not know each other. A session that polls is a
//! conversation too, without a socket (`conversation/transport.rs`, `reactor/polling.rs`).
//!
//! Linux only. Nothing here decides: what may come in, and what an ending means, is the business of the owner, which
//! takes the events.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the dscore server is for Linux only (epoll); the agent alone, dscore-agent, runs on macOS too"
);

mod acceptor;
mod addresses;
mod admission;
mod agent;
pub mod broadcast;
mod claim;
mod clock;
mod context;
mod conversation;
mod dialect;
mod door;
mod engineio_request;
pub mod form;
mod handle;
mod http;
pub mod outbox;
mod output;
mod pace;
mod pacer;
mod peer;
mod places;
mod pool;
mod porter;
mod probe;
mod queue;
mod reactor;
pub mod settings;
mod stamp;
mod stats;
mod stream;
mod sys;
pub mod table;
#[cfg(test)]
mod testing;
mod watch;
mod yielding;

pub use pool::ReactorPool;
pub use pool::opening::OpenError;
pub use queue::Stopped;
pub use stats::Stats;
pub use sys::{connections_allowed, descriptor_limit};
