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

/// What acknowledges an introduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ack {
    /// An app_ready that is no reconnection's.
    AppReady,
    /// That of one that is.
    Reconnection {
        /// Whether its session goes on.
        is_restored: bool,
    },
    /// Of software of the Socket.IO contract, that knows no app_ready: the core answers its heartbeat by itself.
    Other,
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
        /// What its introduction is acknowledged with.
        ack: Ack,
    },
    /// It was taken over.
    TakeOver(ConnId),
}
