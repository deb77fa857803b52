//! What a client may say after its handshake besides data: that its key changes, and alerts (RFC 8446 §4.6.3, §6).
//!
//! Certificates are never asked for then, and tickets are the server's to send: every message but KeyUpdate is unexpected.

use crate::record::RecordError;

/// Messages of the handshake (RFC 8446 §B.3).
const KEY_UPDATE: u8 = 24;
/// Alerts (RFC 8446 §6.1).
pub(crate) const CLOSE_NOTIFY: u8 = 0;
const USER_CANCELED: u8 = 90;
/// Alerts carry a level that means nothing any more.
pub(crate) const WARNING: u8 = 1;
pub(crate) const FATAL: u8 = 2;

/// A KeyUpdate whose rest has not come: it may be spread over records (RFC 8446 §5.1). It has its type, a length of three bytes,
/// and whether the other side's key is to change as well.
/// Each byte but the last can be one only, so that how many have come is all there is to keep.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    count: u8,
}

/// What an alert says that is no end of the connection by itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The peer sends no more.
    Closed,
    /// It has changed its mind; close_notify follows.
    Canceled,
}

impl Begun {
    /// Whether a message has begun: nothing else may come in between.
    pub(crate) fn is_some(&self) -> bool {
        self.count > 0
    }

    /// Takes the content of a record. Whether the key changes now, and if so, whether ours is to change as well.
    ///
    /// # Errors
    /// Another message, or one that does not end with its record: what follows it is under another key (RFC 8446 §5.1).
    pub(crate) fn push(&mut self, content: &[u8]) -> Result<Option<bool>, RecordError> {
        if content.is_empty() {
            return Err(RecordError::Unexpected);
        }
        for (at, byte) in content.iter().enumerate() {
            let count = self.count;
            self.count += 1;
            match (count, *byte) {
                (0, KEY_UPDATE) | (1 | 2, 0) | (3, 1) => {}
                (0, _) => return Err(RecordError::Unexpected),
                (4, 0 | 1) if at + 1 == content.len() => {
                    self.count = 0;
                    return Ok(Some(*byte == 1));
                }
                (4, 0 | 1) => return Err(RecordError::Unexpected),
                (4, _) => return Err(RecordError::Illegal),
                _ => return Err(RecordError::Decode),
            }
        }
        Ok(None)
    }
}

/// Reads the content of a record of alerts: exactly one, and whole (RFC 8446 §5.1).
///
/// # Errors
/// It ends the connection.
pub(crate) fn read_alert(content: &[u8]) -> Result<Notice, RecordError> {
    match content {
        [_, CLOSE_NOTIFY] => Ok(Notice::Closed),
        [_, USER_CANCELED] => Ok(Notice::Canceled),
        [_, alert] => Err(RecordError::Alert(*alert)),
        [] => Err(RecordError::Unexpected),
        _ => Err(RecordError::Decode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 5;

    #[test]
    fn a_key_update_may_be_cut_anywhere_and_must_end_its_record() {
        for requested in [0, 1] {
            let message = [KEY_UPDATE, 0, 0, 1, requested];
            for first in 1..LENGTH {
                for second in first..LENGTH {
                    let mut begun = Begun::default();
                    let mut last = Ok(None);
                    let parts = [
                        &message[..first],
                        &message[first..second],
                        &message[second..],
                    ];
                    for part in parts.into_iter().filter(|part| !part.is_empty()) {
                        assert_eq!(last, Ok(None));
                        last = begun.push(part);
                        assert_eq!(begun.is_some(), last == Ok(None));
                    }
                    assert_eq!(last, Ok(Some(requested == 1)));
                }
            }
            let longer = [&message[..], &message[..]].concat();
            for more in LENGTH + 1..=longer.len() {
                let pushed = Begun::default().push(&longer[..more]);
                assert_eq!(pushed, Err(RecordError::Unexpected));
            }
        }
    }

    #[test]
    fn every_other_message_is_refused_at_its_first_wrong_byte() {
        let good = [KEY_UPDATE, 0, 0, 1, 0];
        for at in 0..LENGTH {
            for byte in 0..=255 {
                let mut message = good;
                message[at] = byte;
                let is_good = message == good || (at == 4 && byte == 1);
                let error = match at {
                    0 => RecordError::Unexpected,
                    4 => RecordError::Illegal,
                    _ => RecordError::Decode,
                };
                for end in at + 1..=LENGTH {
                    let pushed = Begun::default().push(&message[..end]);
                    assert_eq!(pushed.is_ok(), is_good);
                    assert!(is_good || pushed == Err(error));
                }
            }
        }
        assert_eq!(Begun::default().push(&[]), Err(RecordError::Unexpected));
    }

    #[test]
    fn an_alert_is_alone_in_its_record_whatever_its_level() {
        for level in [0, WARNING, FATAL, 255] {
            assert_eq!(read_alert(&[level, CLOSE_NOTIFY]), Ok(Notice::Closed));
            assert_eq!(read_alert(&[level, USER_CANCELED]), Ok(Notice::Canceled));
            for alert in (1..=255).filter(|alert| *alert != USER_CANCELED) {
                assert_eq!(read_alert(&[level, alert]), Err(RecordError::Alert(alert)));
            }
        }
        assert_eq!(read_alert(&[]), Err(RecordError::Unexpected));
        for wrong in [&[1][..], &[1, 0, 1], &[1, 0, 1, 0], &[2; 300]] {
            assert_eq!(read_alert(wrong), Err(RecordError::Decode));
        }
    }
}
