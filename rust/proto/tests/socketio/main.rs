//! The codec of Socket.IO, module by module.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed as it should"
)]

mod event;
mod packet;
