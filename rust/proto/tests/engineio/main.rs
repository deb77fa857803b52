//! The codec of Engine.IO, module by module.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed as it should"
)]

mod open;
mod packet;
mod payload;
mod query;
