//! What can go wrong with frames and messages: [`ProtocolError`] is the peer's fault,
//! [`UsageError`] is ours.
//!
//! The errors of the HTTP side live beside their parsers: [`HttpError`](crate::http::HttpError) and
//! [`HandshakeError`](crate::handshake::HandshakeError).

use crate::close::CloseCode;

/// The peer broke RFC 6455 or a limit. The sentence is also the reason in the close frame it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// RFC 6455 §5.2: no extension was negotiated that gives RSV1-3 a meaning.
    #[error("reserved bits are set")]
    ReservedBits,
    /// RFC 6455 §5.2: opcodes 3-7 and 11-15.
    #[error("opcode {0} is reserved")]
    ReservedOpcode(u8),
    /// RFC 6455 §5.5.
    #[error("a control frame must not be fragmented")]
    FragmentedControl,
    /// RFC 6455 §5.5.
    #[error("a control frame holds at most 125 bytes")]
    ControlTooLong,
    /// RFC 6455 §5.2: the minimal number of bytes must be used.
    #[error("a payload length must be written in as few bytes as possible")]
    NonMinimalLength,
    /// RFC 6455 §5.2: the most significant bit of a 64-bit length must be 0.
    #[error("a payload length must be below 2^63")]
    LengthOutOfRange,
    /// RFC 6455 §5.1: frames of a client are masked.
    #[error("a frame from a client must be masked")]
    UnmaskedFrame,
    /// RFC 6455 §5.1: frames of a server are not.
    #[error("a frame from a server must not be masked")]
    MaskedFrame,
    /// RFC 6455 §5.4.
    #[error("there is no message to continue")]
    UnexpectedContinuation,
    /// RFC 6455 §5.4: fragments of two messages must not be interleaved.
    #[error("the previous message is not finished")]
    ExpectedContinuation,
    /// RFC 6455 §5.5.1: the body of a close frame is empty or begins with two bytes of code.
    #[error("a close code has two bytes")]
    TruncatedCloseCode,
    /// RFC 6455 §7.4: this code must not be sent.
    #[error("close code {0} must not be sent")]
    InvalidCloseCode(u16),
    /// RFC 6455 §8.1: in a text message or the reason of a close frame.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// The message is over [`Limits::max_message_size`](crate::message::Limits).
    #[error("message is over {limit} bytes")]
    MessageTooBig {
        /// The limit in bytes.
        limit: usize,
    },
    /// The message is over [`Limits::max_fragments`](crate::message::Limits).
    #[error("message has more than {limit} fragments")]
    TooManyFragments {
        /// The limit in frames.
        limit: u32,
    },
}

impl ProtocolError {
    /// The code the connection is closed with.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBits
            | Self::ReservedOpcode(_)
            | Self::FragmentedControl
            | Self::ControlTooLong
            | Self::NonMinimalLength
            | Self::LengthOutOfRange
            | Self::UnmaskedFrame
            | Self::MaskedFrame
            | Self::UnexpectedContinuation
            | Self::ExpectedContinuation
            | Self::TruncatedCloseCode
            | Self::InvalidCloseCode(_) => CloseCode::PROTOCOL_ERROR,
            Self::InvalidUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::MessageTooBig { .. } => CloseCode::TOO_BIG,
            Self::TooManyFragments { .. } => CloseCode::POLICY,
        }
    }
}

/// We asked for something that must not be sent. Nothing was written, the connection lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// RFC 6455 §5.5.1: nothing follows a close frame.
    #[error("the connection is closing or closed")]
    NotOpen,
    /// A close frame is sent once.
    #[error("the connection is already closing")]
    AlreadyClosing,
    /// RFC 6455 §5.5.
    #[error("a control frame holds at most 125 bytes")]
    ControlTooLong,
    /// RFC 6455 §8.1.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// A response is final: 200 to 599.
    #[error("{0} is no status of a final response")]
    InvalidStatus(u16),
    /// A header name that is not a token, or a value with CR, LF or NUL in it.
    #[error("the header cannot be sent")]
    InvalidHeader,
}
