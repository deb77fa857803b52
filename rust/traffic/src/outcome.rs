//! How a terminate_app ends, and what is heard of it before.

use uuid::Uuid;

use crate::conn_id::ConnId;

/// How one terminate_app ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// Answered `OK`.
    Acked,
    /// Answered something else and nothing better in time, or it could not be sent.
    Failed,
    /// No answer in time.
    TimedOut,
    /// The connection ended first.
    Vanished,
    /// Never said app_ready, and was only given notice.
    Notified,
}

impl OutcomeKind {
    /// Every one of them.
    pub const ALL: [Self; 5] = [
        Self::Acked,
        Self::Failed,
        Self::TimedOut,
        Self::Vanished,
        Self::Notified,
    ];

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Vanished => "vanished",
            Self::Notified => "notified",
        }
    }
}

/// How one terminate_app ended, and when.
#[derive(Debug)]
pub struct Outcome {
    /// The agent's connection.
    pub conn: ConnId,
    /// The request that this settles.
    pub request: Uuid,
    /// How it ended.
    pub kind: OutcomeKind,
    /// Answered `OK`, but a stream did not reach its end.
    pub incomplete: bool,
    /// From the sending to the answer or the giving up.
    pub latency_us: u64,
    /// The agent's last word, or why the send failed.
    pub message: String,
    /// Whether a drain asked, else a single request.
    pub drain: bool,
}

impl Outcome {
    /// From the sending to the answer or the giving up.
    pub fn latency_ms(&self) -> f64 {
        self.latency_us as f64 / 1_000.0
    }
}

/// An answer to terminate_app that does not end the wait.
#[derive(Debug)]
pub struct TerminationRefused {
    /// Whose.
    pub conn: ConnId,
    /// To which request.
    pub request: Uuid,
    /// As sent.
    pub status: String,
    /// As sent.
    pub message: String,
}

/// An agent that is still draining asks for time.
#[derive(Debug)]
pub struct Progress {
    /// Whose.
    pub conn: ConnId,
    /// For which request.
    pub request: Uuid,
    /// What it is doing.
    pub stage: String,
    /// What it got, from now; 0 when none was left.
    pub granted_ms: u64,
}
