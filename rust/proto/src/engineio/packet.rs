//! One packet (Engine.IO protocol, section "Packet encoding").

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;

use super::Revision;

/// Not every client pads.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The type byte of a binary message in v3.
const BINARY_MESSAGE: u8 = 4;

/// The peer sent what is no packet, or no payload.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PacketError {
    /// A packet without a type, or a payload without a packet.
    #[error("an Engine.IO packet is empty")]
    Empty,
    /// A text packet that begins with none of `0` to `6` and `b`.
    #[error("an Engine.IO packet is of no known type")]
    UnknownType,
    /// v3: binary data in a packet other than a message.
    #[error("only an Engine.IO message may be binary")]
    BinaryType,
    /// Binary data in text that cannot be read.
    #[error("an Engine.IO packet is not valid base64")]
    Base64,
    /// A text packet of a payload that is no text.
    #[error("an Engine.IO packet is not valid UTF-8")]
    InvalidUtf8,
    /// v3: a packet of a payload without a length, or with one that is no number.
    #[error("an Engine.IO payload needs the length of each packet")]
    BadLength,
    /// v3: a packet of a payload is shorter than its length, or a length ends inside a character.
    #[error("the length of an Engine.IO packet does not fit its payload")]
    WrongLength,
    /// v3: a packet of a binary payload begins with neither 0 nor 1.
    #[error("an Engine.IO packet is neither text nor binary")]
    UnknownForm,
}

/// A packet, its data borrowed where it was not base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0`: the server's answer to a handshake.
    Open,
    /// `1`: the transport is to be closed.
    Close,
    /// `2`: with `probe`, the first word on a WebSocket that a session wants to move to.
    Ping(&'a str),
    /// `3`: the answer to a ping, its data repeated.
    Pong(&'a str),
    /// `4`: a message.
    Text(&'a str),
    /// A message of bytes.
    Binary(Cow<'a, [u8]>),
    /// `5`: the session moves to this WebSocket.
    Upgrade,
    /// `6`: frees a poll that waits.
    Noop,
}

impl<'a> Packet<'a> {
    /// Reads one WebSocket text message, or one text packet of a payload.
    ///
    /// Data behind a packet that has none is ignored, as the reference parsers do.
    ///
    /// # Errors
    /// The text is empty, of no known type, or base64 that cannot be read.
    ///
    /// # Example
    /// ```
    /// use dscore_proto::engineio::{Packet, Revision};
    ///
    /// assert_eq!(Packet::from_text("2probe", Revision::V4), Ok(Packet::Ping("probe")));
    /// assert_eq!(Packet::from_text("4hello", Revision::V4), Ok(Packet::Text("hello")));
    /// ```
    pub fn from_text(text: &'a str, revision: Revision) -> Result<Self, PacketError> {
        // A first byte that is ASCII is a character, so the rest begins at one.
        let data = text.get(1..).unwrap_or_default();
        match text.as_bytes().first() {
            None => Err(PacketError::Empty),
            Some(b'0') => Ok(Self::Open),
            Some(b'1') => Ok(Self::Close),
            Some(b'2') => Ok(Self::Ping(data)),
            Some(b'3') => Ok(Self::Pong(data)),
            Some(b'4') => Ok(Self::Text(data)),
            Some(b'5') => Ok(Self::Upgrade),
            Some(b'6') => Ok(Self::Noop),
            Some(b'b') => Self::from_base64(data, revision),
            Some(_) => Err(PacketError::UnknownType),
        }
    }

    /// Reads one WebSocket binary message, or one binary packet of a payload: in v4 the data
    /// itself, in v3 a type byte before it.
    ///
    /// # Errors
    /// v3: the type is missing, or not that of a message.
    pub fn from_binary(data: &'a [u8], revision: Revision) -> Result<Self, PacketError> {
        match (revision, data) {
            (Revision::V4, data) | (Revision::V3, [BINARY_MESSAGE, data @ ..]) => {
                Ok(Self::Binary(Cow::Borrowed(data)))
            }
            (Revision::V3, []) => Err(PacketError::Empty),
            (Revision::V3, _) => Err(PacketError::BinaryType),
        }
    }

    /// Reads what follows the `b`: in v3 a type digit and then base64, in v4 base64 alone.
    fn from_base64(data: &str, revision: Revision) -> Result<Self, PacketError> {
        let data = match revision {
            Revision::V4 => data,
            Revision::V3 => data.strip_prefix('4').ok_or(PacketError::BinaryType)?,
        };
        let bytes = BASE64.decode(data).map_err(|_| PacketError::Base64)?;
        Ok(Self::Binary(Cow::Owned(bytes)))
    }
}
