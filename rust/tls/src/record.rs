//! One record, opened and sealed in place (RFC 8446 §5.2).
//!
//! A record says of itself only that it is data of the application; what it is stands inside, behind the content. The header
//! is authenticated as it came.

use ring::aead::{Aad, LessSafeKey};

use crate::partial::{HEADER, MAX_CONTENT};
use crate::secrets::Key;

/// Types of content (RFC 8446 §B.1).
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const DATA: u8 = 23;
/// `legacy_record_version` of all that is sealed.
const VERSION: [u8; 2] = [3, 3];
const TAG: usize = 16;
/// Of a record of ours: what a socket does not take of it is held sealed beside the plaintext.
pub(crate) const MAX_SEALED: usize = 4096;
/// Content and its type, with padding (RFC 8446 §5.4).
const MAX_INNER: usize = (1 << 14) + 1;
/// What a record is longer by than its content.
const OVERHEAD: usize = HEADER + 1 + TAG;

/// What came of a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of the peer's.
    pub count: usize,
    /// It has said that it sends no more (close_notify).
    pub has_ended: bool,
    /// It is to be answered, by [`crate::Tls::send`] of nothing.
    pub has_answer: bool,
}

/// Why a connection is over. Each but the last is said to the peer by its alert (RFC 8446 §6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// `unexpected_message`
    #[error("a record or message that has no place here")]
    Unexpected,
    /// `bad_record_mac`
    #[error("a record does not open: it was touched, or sealed with another key")]
    Mac,
    /// `record_overflow`
    #[error("a record is longer than the protocol allows")]
    Overflow,
    /// `illegal_parameter`
    #[error("a message holds a value that it cannot have")]
    Illegal,
    /// `decode_error`
    #[error("a message has not the length of its kind")]
    Decode,
    /// `internal_error`
    #[error("no room for what was opened, or no number left for a record")]
    Internal,
    /// The peer has ended the connection by this alert.
    #[error("the peer sent alert {0}")]
    Alert(u8),
}

impl RecordError {
    /// What is to be said of it.
    pub(crate) fn alert(self) -> Option<u8> {
        match self {
            Self::Unexpected => Some(10),
            Self::Mac => Some(20),
            Self::Overflow => Some(22),
            Self::Illegal => Some(47),
            Self::Decode => Some(50),
            Self::Internal => Some(80),
            Self::Alert(_) => None,
        }
    }
}

/// Opens a whole record in place: the type of its content, and where that lies in it.
pub(crate) fn open<'a>(
    key: &mut Key,
    cipher: &LessSafeKey,
    record: &'a mut [u8],
) -> Result<(u8, &'a [u8]), RecordError> {
    let Some((header, sealed)) = record.split_first_chunk_mut::<HEADER>() else {
        return Err(RecordError::Decode);
    };
    // A ChangeCipherSpec after the handshake too (RFC 8446 §5).
    if header[0] != DATA {
        return Err(RecordError::Unexpected);
    }
    if sealed.len() > MAX_CONTENT {
        return Err(RecordError::Overflow);
    }
    let nonce = key.next_nonce().ok_or(RecordError::Internal)?;
    let opened = cipher.open_in_place(nonce, Aad::from(*header), sealed);
    let inner: &[u8] = opened.map_err(|_| RecordError::Mac)?;
    if inner.len() > MAX_INNER {
        return Err(RecordError::Overflow);
    }
    // Zeros behind the type are padding; of nothing but zeros there is no type.
    let end = inner.iter().rposition(|byte| *byte != 0);
    match end.and_then(|end| inner.get(..=end)?.split_last()) {
        Some((kind, content)) => Ok((*kind, content)),
        None => Err(RecordError::Unexpected),
    }
}

/// Seals one record behind `out`: the front of `pieces`, `length` bytes that they have.
pub(crate) fn seal<'a>(
    key: &mut Key,
    cipher: &LessSafeKey,
    kind: u8,
    pieces: impl Iterator<Item = &'a [u8]>,
    length: usize,
    out: &mut Vec<u8>,
) -> Result<(), RecordError> {
    let sealed_length = u16::try_from(length + 1 + TAG).map_err(|_| RecordError::Overflow)?;
    let [high, low] = sealed_length.to_be_bytes();
    let header = [DATA, VERSION[0], VERSION[1], high, low];
    let nonce = key.next_nonce().ok_or(RecordError::Internal)?;
    out.reserve(length + OVERHEAD);
    out.extend_from_slice(&header);
    let (begin, mut left) = (out.len(), length);
    for piece in pieces {
        let part = piece.get(..left).unwrap_or(piece);
        out.extend_from_slice(part);
        left -= part.len();
    }
    out.push(kind);
    let inner = out.get_mut(begin..).unwrap_or_default();
    let tag = cipher
        .seal_in_place_separate_tag(nonce, Aad::from(header), inner)
        .map_err(|_| RecordError::Internal)?;
    out.extend_from_slice(tag.as_ref());
    Ok(())
}
