//! Frame headers (RFC 6455 §5.2): decode and encode.
//!
//! A header is judged alone: whether a frame may be masked, may follow the one before or is too big
//! is for [`connection`](crate::connection) and [`message`](crate::message) to say.

use crate::error::ProtocolError;

/// The longest header: two bytes, a 64-bit length, a masking key.
pub const MAX_HEADER: usize = 14;

/// The longest payload of a control frame (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// In place of a length: it follows in 16 bits.
const LENGTH_16: u8 = 126;
/// In place of a length: it follows in 64 bits.
const LENGTH_64: u8 = 127;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of the message begun before.
    Continuation = 0x0,
    /// A text message, or its first fragment.
    Text = 0x1,
    /// A binary message, or its first fragment.
    Binary = 0x2,
    /// The sender's last frame.
    Close = 0x8,
    /// Asks for a pong with the same payload.
    Ping = 0x9,
    /// Answers a ping, or is sent unasked.
    Pong = 0xa,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Result<Self, ProtocolError> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            reserved => return Err(ProtocolError::ReservedOpcode(reserved)),
        })
    }

    /// Control frames may come between the fragments of a message; they are short and never
    /// fragmented.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Everything before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// This frame ends its message.
    pub fin: bool,
    /// What the payload is.
    pub opcode: Opcode,
    /// Bytes of payload, below 2^63.
    pub len: u64,
    /// The key the payload is masked with.
    pub mask: Option<[u8; 4]>,
}

/// Reads the header at the start of `bytes` and says how long it is; `None` while bytes are
/// missing.
///
/// # Errors
/// What is wrong by itself: reserved bits or opcode, a length not minimal or over 63 bits, a
/// control frame that is fragmented or over 125 bytes. The first two bytes are judged before the
/// rest has come.
#[inline]
pub fn decode_header(bytes: &[u8]) -> Result<Option<(FrameHeader, usize)>, ProtocolError> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & RESERVED != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    let opcode = Opcode::from_bits(first & OPCODE)?;
    let fin = first & FIN != 0;
    let short = second & LENGTH;
    if opcode.is_control() {
        if !fin {
            return Err(ProtocolError::FragmentedControl);
        }
        if usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(ProtocolError::ControlTooLong);
        }
    }
    let Some((len, rest)) = decode_length(short, rest)? else {
        return Ok(None);
    };
    let (mask, rest) = if second & MASKED == 0 {
        (None, rest)
    } else {
        let Some((&key, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        (Some(key), rest)
    };
    let header = FrameHeader {
        fin,
        opcode,
        len,
        mask,
    };
    Ok(Some((header, bytes.len() - rest.len())))
}

/// The payload length and the bytes after it (RFC 6455 §5.2: in network order, in as few bytes as
/// possible).
#[inline]
fn decode_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, ProtocolError> {
    let (len, least, rest) = match short {
        LENGTH_16 => {
            let Some((len, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (
                u64::from(u16::from_be_bytes(*len)),
                u64::from(LENGTH_16),
                rest,
            )
        }
        LENGTH_64 => {
            let Some((len, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(*len), 1 << 16, rest)
        }
        _ => return Ok(Some((u64::from(short), rest))),
    };
    if len < least {
        return Err(ProtocolError::NonMinimalLength);
    }
    if len > i64::MAX as u64 {
        return Err(ProtocolError::LengthOutOfRange);
    }
    Ok(Some((len, rest)))
}

/// Appends a frame that is a whole message, as a server sends it: unmasked.
pub fn encode_message(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(MAX_HEADER + payload.len());
    encode_header(opcode, true, payload.len() as u64, None, out);
    out.extend_from_slice(payload);
}

/// Appends a header; `len` bytes of payload, masked with the same key, must follow.
pub fn encode_header(
    opcode: Opcode,
    fin: bool,
    len: u64,
    mask: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    let masked = if mask.is_some() { MASKED } else { 0 };
    out.push(if fin { FIN } else { 0 } | opcode as u8);
    if len < u64::from(LENGTH_16) {
        out.push(masked | len as u8);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(masked | LENGTH_16);
        out.extend_from_slice(&len.to_be_bytes());
    } else {
        out.push(masked | LENGTH_64);
        out.extend_from_slice(&len.to_be_bytes());
    }
    if let Some(key) = mask {
        out.extend_from_slice(&key);
    }
}
