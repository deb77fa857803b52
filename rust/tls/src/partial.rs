//! Where one record ends (RFC 8446 §5.1): whole ones only are opened, so that what a peer has not finished is held, and
//! counted, in one place.

/// Type, version and length.
pub(crate) const HEADER: usize = 5;
/// Bytes of a sealed record's content at most (RFC 8446 §5.2).
pub(crate) const MAX_CONTENT: usize = (1 << 14) + 256;
/// Of a whole record.
pub(crate) const MAX_RECORD: usize = HEADER + MAX_CONTENT;

/// The beginning of a record whose rest has not come: nothing, nearly always, and a connection has room for no more than that.
#[derive(Debug, Default)]
#[allow(
    clippy::box_collection,
    reason = "a vector is three words of an idle connection, a box is one"
)]
pub(crate) struct Partial {
    begun: Option<Box<Vec<u8>>>,
}

impl Partial {
    /// Gives `feed` every record that is whole now, in their order, and keeps the rest. Input that cannot be a record is
    /// given as it is: to be refused.
    pub(crate) fn push<E>(
        &mut self,
        mut input: &mut [u8],
        mut feed: impl FnMut(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(begun) = &mut self.begun {
            while !input.is_empty() && whole(begun) == 0 {
                let wanted = wanted(begun).min(input.len());
                let (front, rest) = input.split_at_mut(wanted);
                begun.extend_from_slice(front);
                input = rest;
            }
            if whole(begun) == 0 {
                return Ok(());
            }
            let mut record = self.begun.take().unwrap_or_default();
            feed(&mut record)?;
        }
        let (records, rest) = input.split_at_mut(whole(input));
        if !records.is_empty() {
            feed(records)?;
        }
        if !rest.is_empty() {
            self.begun = Some(Box::new(rest.to_vec()));
        }
        Ok(())
    }

    /// Bytes that are held.
    pub(crate) fn len(&self) -> usize {
        self.begun.as_ref().map_or(0, |begun| begun.capacity())
    }
}

/// How many bytes a record wants that has begun: those of its header, then its own.
fn wanted(begun: &[u8]) -> usize {
    let length = record_length(begun).unwrap_or(HEADER);
    length.saturating_sub(begun.len()).max(1)
}

/// Of the record in front, once its header is there.
pub(crate) fn record_length(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER>()?;
    Some(HEADER + usize::from(u16::from_be_bytes([header[3], header[4]])))
}

/// How many bytes in front are whole records; all of them, where the next cannot be one.
fn whole(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(length) = record_length(&bytes[at..]) {
        if length > MAX_RECORD {
            return bytes.len();
        }
        if bytes.len() - at < length {
            break;
        }
        at += length;
    }
    at
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn record(content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16).to_be_bytes();
        [&[23, 3, 3], &length[..], content].concat()
    }

    fn push(partial: &mut Partial, input: &[u8]) -> Vec<Vec<u8>> {
        let mut fed = Vec::new();
        let fed_all: Result<(), Infallible> = partial.push(&mut input.to_vec(), |records| {
            fed.push(records.to_vec());
            Ok(())
        });
        assert!(fed_all.is_ok());
        fed
    }

    #[test]
    fn records_come_whole_wherever_they_are_cut() {
        let all = [record(b"one"), record(b""), record(&[7; 300])].concat();
        for first in 0..=all.len() {
            for second in first..=all.len() {
                let mut partial = Partial::default();
                let mut fed = Vec::new();
                for part in [&all[..first], &all[first..second], &all[second..]] {
                    for records in push(&mut partial, part) {
                        assert_eq!(whole(&records), records.len());
                        fed.extend_from_slice(&records);
                    }
                }
                assert_eq!(fed, all);
                assert_eq!(partial.len(), 0);
            }
        }
    }

    #[test]
    fn what_cannot_be_a_record_is_not_waited_for() {
        for cut in 0..6 {
            let bytes = [23, 3, 3, 0xff, 0xff, 1];
            let mut partial = Partial::default();
            let mut fed = push(&mut partial, &bytes[..cut]).concat();
            fed.extend(push(&mut partial, &bytes[cut..]).concat());
            assert_eq!(fed.get(..5), Some(&bytes[..5]), "{cut}");
        }
    }
}
