//! What is let in without a question, and what the reactors are to be told of it.

use std::sync::Arc;

use dscore_traffic::ConnId;

/// What is let in without a question. Changes with the settings, and with what the server does with new connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Admission {
    /// Whether anything is.
    pub is_open: bool,
    /// How long a session that was left may be taken up again, ms.
    pub session_ttl: i64,
}

/// What a reactor is to be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    /// The connection is that agent's.
    Accept {
        /// Which.
        conn: ConnId,
        /// Whose.
        agent_id: Arc<str>,
        /// Whether its app_ready was a reconnection's.
        reconnection: bool,
        /// Whether its session goes on.
        is_restored: bool,
    },
    /// It was taken over.
    TakeOver(ConnId),
}
