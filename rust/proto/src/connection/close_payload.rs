//! The payload of a close frame: nothing, or a code and a reason (RFC 6455 §5.5.1).

use crate::close::CloseCode;
use crate::error::ProtocolError;

/// The longest reason a close frame can carry: a control frame holds 125 bytes, the code takes two.
const MAX_REASON: usize = 123;

/// Reads the unmasked payload of a close frame: nothing, or a code and a reason.
///
/// # Errors
/// A single byte or a code that may not be sent breaks the protocol (1002), a reason that is not
/// UTF-8 is 1007.
pub(super) fn decode(payload: &[u8]) -> Result<(Option<CloseCode>, &str), ProtocolError> {
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
pub(super) fn encode(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
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
    fn payload_reads_back_as_written() {
        let mut payload = Vec::new();
        encode(CloseCode::TAKEN_OVER, "자리", &mut payload);
        assert_eq!(payload, b"\x11\x39\xec\x9e\x90\xeb\xa6\xac");
        assert_eq!(decode(&payload), Ok((Some(CloseCode::TAKEN_OVER), "자리")));
    }

    #[test]
    fn empty_payload_has_no_code() {
        assert_eq!(decode(b""), Ok((None, "")));
    }

    #[test]
    fn rejects_half_a_code_a_reserved_code_and_a_reason_that_is_not_utf8() {
        assert_eq!(decode(b"\x03"), Err(ProtocolError::TruncatedCloseCode));
        assert_eq!(
            decode(b"\x03\xed"),
            Err(ProtocolError::InvalidCloseCode(1005))
        );
        assert_eq!(decode(b"\x03\xe8\xff"), Err(ProtocolError::InvalidUtf8));
    }

    #[test]
    fn long_reason_is_cut_at_a_character_border() {
        let mut payload = Vec::new();
        encode(CloseCode::NORMAL, &"é".repeat(100), &mut payload);
        let (_, reason) = decode(&payload).unwrap();
        assert_eq!(reason, "é".repeat(61));
    }
}
