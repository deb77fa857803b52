//! Tokens (RFC 9110 §5.6.2), and lists of them.

/// Whether `bytes` are a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
#[must_use]
pub fn is_token_text(text: &str) -> bool {
    is_token(text.as_bytes())
}

/// Whether a comma-separated value has this token in any case.
pub(super) fn list_has(value: &[u8], token: &str) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}
