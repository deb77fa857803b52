//! The connection from outside: bytes in, events and bytes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed unwrap fails the test"
)]

mod closing;
mod messages;
mod pair;
mod splits;
mod violations;
