//! Close codes and the payload of a close frame (RFC 6455 §5.5.1, §7.4).
//!
//! A [`CloseCode`] can only hold a value that may go over the wire, so 1005, 1006 and 1015 cannot
//! be sent by mistake.

use std::fmt;

use crate::error::ProtocolError;

/// The longest reason a close frame can carry: a control frame holds 125 bytes, the code takes two.
pub const MAX_REASON: usize = 123;

/// A status code that may stand in a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint is going away: a server shuts down, a page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke RFC 6455.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of data that is not accepted: binary where text is due.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Data that does not fit its type: text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// Authentication, a policy or a limit.
    pub const POLICY: Self = Self(1008);
    /// A message over the size limit.
    pub const TOO_BIG: Self = Self(1009);
    /// A fault of ours, or a peer that no longer answers.
    pub const INTERNAL: Self = Self(1011);
    /// Draining, in maintenance or over a limit: come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// A newer connection with the same agent id took this one's place.
    pub const TAKEN_OVER: Self = Self(4409);

    /// Takes a code that may go over the wire, and no other.
    ///
    /// RFC 6455 §7.4.1 and the IANA registry define 1000-1003 and 1007-1014; §7.4.2 leaves
    /// 3000-4999 to libraries and applications. 1005, 1006 and 1015 are for reporting only.
    #[must_use]
    pub const fn new(value: u16) -> Option<Self> {
        match value {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(value)),
            _ => None,
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn value(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the unmasked payload of a close frame: nothing, or a code and a reason.
///
/// # Errors
/// A single byte or a code that may not be sent breaks the protocol (1002), a reason that is not
/// UTF-8 is 1007.
pub fn decode_payload(payload: &[u8]) -> Result<(Option<CloseCode>, &str), ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok((None, "")),
        [_] => return Err(ProtocolError::TruncatedCloseCode),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    let code = CloseCode::new(code).ok_or(ProtocolError::InvalidCloseCode(code))?;
    let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok((Some(code), reason))
}

/// Appends the payload of a close frame; a reason over [`MAX_REASON`] bytes is cut at a character
/// border.
pub fn encode_payload(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    out.extend_from_slice(&code.value().to_be_bytes());
    out.extend_from_slice(&reason.as_bytes()[..end]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn takes_exactly_the_codes_that_may_be_sent() {
        for value in 0..=u16::MAX {
            let allowed = (1000..=1003).contains(&value)
                || (1007..=1014).contains(&value)
                || (3000..=4999).contains(&value);
            assert_eq!(CloseCode::new(value).is_some(), allowed, "{value}");
        }
    }

    #[test]
    fn payload_reads_back_as_written() {
        let mut payload = Vec::new();
        encode_payload(CloseCode::TAKEN_OVER, "자리", &mut payload);
        assert_eq!(payload, b"\x11\x39\xec\x9e\x90\xeb\xa6\xac");
        assert_eq!(
            decode_payload(&payload),
            Ok((Some(CloseCode::TAKEN_OVER), "자리"))
        );
    }

    #[test]
    fn empty_payload_has_no_code() {
        assert_eq!(decode_payload(b""), Ok((None, "")));
    }

    #[test]
    fn rejects_half_a_code_a_reserved_code_and_a_reason_that_is_not_utf8() {
        assert_eq!(
            decode_payload(b"\x03"),
            Err(ProtocolError::TruncatedCloseCode)
        );
        assert_eq!(
            decode_payload(b"\x03\xed"),
            Err(ProtocolError::InvalidCloseCode(1005))
        );
        assert_eq!(
            decode_payload(b"\x03\xe8\xff"),
            Err(ProtocolError::InvalidUtf8)
        );
    }

    #[test]
    fn long_reason_is_cut_at_a_character_border() {
        let mut payload = Vec::new();
        encode_payload(CloseCode::NORMAL, &"é".repeat(100), &mut payload);
        let (_, reason) = decode_payload(&payload).unwrap();
        assert_eq!(reason, "é".repeat(61));
    }
}
