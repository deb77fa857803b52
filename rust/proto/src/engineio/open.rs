//! The two answers to a handshake (Engine.IO protocol, section "Handshake").

use std::io::Write;

use thiserror::Error;

use crate::agent::encode_string;
use crate::origin::OriginRefusal;

/// What the server tells a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open<'a> {
    /// The session's id.
    pub sid: &'a str,
    /// Whether the session may move to a WebSocket.
    pub upgrades: bool,
    /// In ms.
    pub ping_interval: u64,
    /// In ms.
    pub ping_timeout: u64,
    /// Bytes that the body of one POST may have.
    pub max_payload: u64,
}

impl Open<'_> {
    /// Appends the open packet, type digit included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"0{"sid":"#);
        encode_string(self.sid, out);
        let upgrades = if self.upgrades { r#""websocket""# } else { "" };
        // Writing to a Vec has no way to fail.
        let _ = write!(
            out,
            r#","upgrades":[{upgrades}],"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            self.ping_interval, self.ping_timeout, self.max_payload,
        );
    }
}

/// Why a request was refused, in the words of the reference server: clients show them.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Hash)]
pub enum HandshakeError {
    /// `transport` is missing, none that exists, or none that is allowed.
    #[error("Transport unknown")]
    UnknownTransport,
    /// No session has this `sid`, or has it any more.
    #[error("Session ID unknown")]
    UnknownSid,
    /// A session begins with a GET.
    #[error("Bad handshake method")]
    BadMethod,
    /// A request that the session has no use for.
    #[error("Bad request")]
    BadRequest,
    /// This page is not let in.
    #[error("Forbidden: {0}")]
    Forbidden(OriginRefusal),
    /// `EIO` is missing, none that is spoken here, or none that is allowed.
    #[error("Unsupported protocol version")]
    UnsupportedVersion,
}

impl HandshakeError {
    /// The status to answer with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Forbidden(_) => 403,
            _ => 400,
        }
    }

    /// Appends the body of the answer, JSON.
    pub fn encode(self, out: &mut Vec<u8>) {
        // Writing to a Vec has no way to fail.
        let _ = write!(out, r#"{{"code":{},"message":"#, self.code());
        encode_string(&self.to_string(), out);
        out.push(b'}');
    }

    const fn code(self) -> u8 {
        match self {
            Self::UnknownTransport => 0,
            Self::UnknownSid => 1,
            Self::BadMethod => 2,
            Self::BadRequest => 3,
            Self::Forbidden(_) => 4,
            Self::UnsupportedVersion => 5,
        }
    }
}
