//! What crosses between the reactors and their owner: events out, commands in, and the names in both.
//!
//! Plain data. Nothing here has a thread, a socket or a clock, so that a fleet can be fed without a reactor.

#![forbid(unsafe_code)]

pub mod close;
pub mod command;
mod conn_id;
mod endpoint;
pub mod event;
mod outcome;
mod refused;

pub use conn_id::ConnId;
pub use endpoint::Endpoint;
