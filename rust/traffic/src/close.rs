//! How a connection is closed, and how one was.

use std::borrow::Cow;
use std::fmt::Display;

use dscore_proto::close::CloseCode;

/// Who began the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    /// The peer's close frame came first.
    Peer,
    /// Ours did.
    Server,
    /// There was no close frame: the connection broke.
    Network,
}

impl Initiator {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Peer, Self::Server, Self::Network];

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// Its name outside.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Server => "server",
            Self::Network => "network",
        }
    }
}

/// A close frame to send, and the cause to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code.
    pub code: CloseCode,
    /// The reason, in the frame.
    pub reason: Cow<'static, str>,
    /// The `reason_code`, in the event.
    pub cause: Cow<'static, str>,
}

impl CloseFrame {
    /// A frame; "" for a cause that has no `reason_code`.
    pub fn new(
        code: CloseCode,
        reason: impl Into<Cow<'static, str>>,
        cause: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            code,
            reason: reason.into(),
            cause: cause.into(),
        }
    }

    /// The peer broke the rules of its dialect.
    pub fn violation(what: &(impl Display + ?Sized)) -> Self {
        Self::new(
            CloseCode::PROTOCOL_ERROR,
            what.to_string(),
            "protocol_error",
        )
    }

    /// Binary data came where text is due.
    pub fn text_only() -> Self {
        Self::new(
            CloseCode::UNSUPPORTED,
            "text messages only",
            "protocol_error",
        )
    }

    /// Whether the peer broke the rules of its dialect.
    pub fn is_violation(&self) -> bool {
        self.code == CloseCode::PROTOCOL_ERROR
    }

    /// Whether a client is not to come back by itself after it (PROTOCOL.md §6). Of the many reasons for 1008 only these
    /// two: the others are over when the client begins anew.
    pub fn is_for_good(&self) -> bool {
        match self.code {
            CloseCode::NORMAL | CloseCode::TAKEN_OVER => true,
            CloseCode::POLICY => matches!(
                &*self.reason,
                "authentication failed" | "removed by an operator"
            ),
            _ => false,
        }
    }

    /// For all but watchers, in maintenance (PROTOCOL.md §6).
    pub fn unavailable() -> Self {
        Self::new(
            CloseCode::TRY_AGAIN_LATER,
            "Server temporarily unavailable",
            "",
        )
    }
}

/// How a WebSocket ended.
#[derive(Debug, PartialEq, Eq)]
pub struct CloseInfo {
    /// The close code that counts: 1005 for none given, 1006 for no close frame at all.
    pub code: u16,
    /// Its reason.
    pub reason: Cow<'static, str>,
    /// Who began.
    pub initiator: Initiator,
    /// A `reason_code` of PROTOCOL.md §4, or "".
    pub cause: Cow<'static, str>,
}

impl CloseInfo {
    /// Our close frame was the first.
    pub fn by_us(frame: &CloseFrame) -> Self {
        Self {
            code: frame.code.value(),
            reason: frame.reason.clone(),
            initiator: Initiator::Server,
            cause: frame.cause.clone(),
        }
    }

    /// The peer's was.
    pub fn by_peer(code: Option<CloseCode>, reason: &str) -> Self {
        Self {
            code: code.map_or(1005, CloseCode::value),
            reason: reason.to_owned().into(),
            initiator: Initiator::Peer,
            cause: "".into(),
        }
    }

    /// There was none, and there will be none.
    pub fn without_close(initiator: Initiator, cause: &'static str) -> Self {
        Self {
            code: 1006,
            reason: "".into(),
            initiator,
            cause: cause.into(),
        }
    }
}
