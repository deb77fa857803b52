//! The reactors of dscore: threads that own every socket.
//!
//! A [`ReactorPool`] is a listening socket and N threads. What crosses threads is plain data in [`event`]: commands go
//! in, events come out. Inside, each thread runs the loop of `reactor.rs` over the peers in its table; a peer speaks
//! HTTP (`http_peer.rs`) until an upgrade makes it a WebSocket (`websocket_peer.rs`), on which somebody introduces
//! himself (`session.rs`, `raw.rs`).
//!
//! Linux only. Nothing here decides: what may come in, and what an ending means, is the business of whoever takes the
//! events.

#![forbid(unsafe_code)]

mod acceptor;
mod answer;
pub mod broadcast;
pub mod command;
mod context;
mod end;
pub mod event;
mod handle;
mod http_peer;
pub mod outbox;
mod output;
mod peer;
mod pool;
mod queue;
mod raw;
mod reactor;
mod session;
pub mod settings;
mod stats;
pub mod sys;
pub mod table;
mod termination;
#[cfg(test)]
mod testing;
mod websocket_peer;
pub mod wheel;

pub use pool::ReactorPool;
pub use queue::Stopped;
pub use stats::Stats;
