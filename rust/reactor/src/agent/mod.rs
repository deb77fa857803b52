//! What an agent's messages mean, who is on a connection, and what its silence leads to.
//!
//! Nothing here knows how messages lie on the wire: texts come in, and what is said goes out through the
//! [`Context`](crate::context::Context) in the [`Form`](crate::form::Form) of the connection.

pub(crate) mod delivery;
mod errors;
pub(crate) mod identity;
pub(crate) mod line;
pub(crate) mod messages;
pub(crate) mod termination;
