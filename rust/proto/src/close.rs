//! Close codes (RFC 6455 §7.4).
//!
//! A [`CloseCode`] can only hold a value that may go over the wire, so 1005, 1006 and 1015 cannot
//! be sent by mistake.

use std::fmt;

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

#[cfg(test)]
mod tests {
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
}
