//! The server's side of HTTP/1.1, module by module.
#![allow(
    clippy::unwrap_used,
    reason = "a test that panics has failed as it should"
)]

mod body;
mod head;
mod response;
