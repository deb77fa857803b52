//! The name of an Engine.IO session, as its client knows it.
//!
//! It says which connection is meant, so that any reactor knows whose a request is, and holds 122 random bits, so that
//! no client can make up another's.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dscore_traffic::ConnId;

/// Names a session to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sid {
    pub(crate) conn: ConnId,
    pub(crate) secret: [u8; 16],
}

impl Sid {
    /// What a client calls a session, if that may be one of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 24];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (conn, rest) = bytes.split_first_chunk()?;
        let secret = rest.first_chunk()?;
        (length == bytes.len()).then(|| Self {
            conn: ConnId::from_u64(u64::from_be_bytes(*conn)),
            secret: *secret,
        })
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 24];
        let (conn, secret) = bytes.split_at_mut(8);
        conn.copy_from_slice(&self.conn.to_u64().to_be_bytes());
        secret.copy_from_slice(&self.secret);
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_read_as_it_was_written() {
        let sid = Sid {
            conn: ConnId::new(3, 70_000, 9),
            secret: *b"no one knows it.",
        };
        let text = sid.to_string();
        assert_eq!(text.len(), 32);
        assert_eq!(Sid::parse(&text), Some(sid));
    }

    #[test]
    fn what_is_no_sid_is_none() {
        let sid = Sid {
            conn: ConnId::new(0, 0, 1),
            secret: [7; 16],
        };
        let text = sid.to_string();
        for wrong in [
            "",
            "abc",
            &text[1..],
            &format!("{text}A"),
            &text.replace(&text[..1], "/"),
        ] {
            assert_eq!(Sid::parse(wrong), None, "{wrong}");
        }
    }
}
