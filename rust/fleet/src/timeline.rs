//! The timeline of one agent, packed: its entries behind one another, in no more memory than they need.
//!
//! An entry is its number and its time (LEB128), the lengths of its kind and its packed data (LEB128 too), and both of
//! them.

use std::borrow::Cow;

use crate::phrases;

/// Entries of a timeline: weeks of a quiet agent's, an hour of one that flaps.
pub const TIMELINE_LENGTH: usize = 200;

/// One line of a timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Grows with every entry of any agent, across restarts.
    pub number: u64,
    /// Unix milliseconds, for people.
    pub at: i64,
    /// What happened.
    pub kind: &'a str,
    /// A JSON object.
    pub data: Cow<'a, [u8]>,
}

/// Bytes that an entry has at least: of its number, its time, and both lengths.
const LEAST: usize = 4;

/// Entries, oldest first.
#[derive(Debug, Default)]
pub struct Timeline(Box<[u8]>);

/// An entry as it lies there.
pub(crate) struct Packed<'a> {
    pub(crate) number: u64,
    pub(crate) at: i64,
    kind: &'a [u8],
    data: &'a [u8],
}

impl<'a> Packed<'a> {
    pub(crate) fn new(number: u64, at: i64, kind: &'a str, data: &'a [u8]) -> Self {
        Self {
            number,
            at,
            kind: kind.as_bytes(),
            data,
        }
    }

    /// What happened: a text, for it was one when it was put in.
    pub(crate) fn kind(&self) -> &'a str {
        std::str::from_utf8(self.kind).unwrap_or_default()
    }

    /// Appends its data.
    pub(crate) fn unpack(&self, text: &mut Vec<u8>) {
        phrases::unpack(self.data, text);
    }

    fn entry(&self) -> Entry<'a> {
        let mut data = Vec::with_capacity(2 * self.data.len());
        self.unpack(&mut data);
        Entry {
            number: self.number,
            at: self.at,
            kind: self.kind(),
            data: data.into(),
        }
    }
}

impl Timeline {
    /// Adds the newest, and drops the oldest past the most that there may be.
    pub fn push(&mut self, entry: &Entry<'_>) {
        let mut data = Vec::with_capacity(entry.data.len());
        phrases::pack(&entry.data, &mut data);
        self.push_packed(&Packed::new(entry.number, entry.at, entry.kind, &data));
    }

    /// The same for one whose data is packed.
    pub(crate) fn push_packed(&mut self, entry: &Packed<'_>) {
        // Most are too short to hold so many, and need not be counted.
        let is_long = self.bytes() >= TIMELINE_LENGTH * LEAST;
        let length = if is_long { self.len() } else { 0 };
        let excess = (length + 1).saturating_sub(TIMELINE_LENGTH);
        if let Some(last) = excess
            .checked_sub(1)
            .and_then(|last| self.packed().nth(last))
        {
            self.drop_to(last.number);
        }
        let Packed { kind, data, .. } = *entry;
        let numbers = [
            entry.number,
            entry.at as u64,
            kind.len() as u64,
            data.len() as u64,
        ];
        let head: usize = numbers.iter().map(|&number| put_length(number)).sum();
        // Most timelines are short and grow seldom: twice what they need would be the larger part of an idle agent.
        let mut all = std::mem::take(&mut self.0).into_vec();
        all.reserve_exact(head + kind.len() + data.len());
        for number in numbers {
            put(&mut all, number);
        }
        all.extend_from_slice(kind);
        all.extend_from_slice(data);
        self.0 = all.into_boxed_slice();
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.packed().map(|packed| packed.entry())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.packed().count()
    }

    /// Forgets those up to this number.
    pub fn drop_to(&mut self, number: u64) {
        let mut rest = &self.0[..];
        let mut kept = rest.len();
        while take(&mut rest).is_some_and(|entry| entry.number <= number) {
            kept = rest.len();
        }
        if kept < self.0.len() {
            self.0 = self.0[self.0.len() - kept..].into();
        }
    }

    /// The number of the newest; 0: there is none.
    pub fn last_number(&self) -> u64 {
        self.packed().last().map_or(0, |entry| entry.number)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }

    /// As it lies there, for [`packed`].
    pub(crate) fn as_packed(&self) -> &[u8] {
        &self.0
    }

    fn packed(&self) -> impl Iterator<Item = Packed<'_>> {
        packed(&self.0)
    }
}

/// The entries of a timeline, oldest first.
pub(crate) fn packed(mut rest: &[u8]) -> impl Iterator<Item = Packed<'_>> {
    std::iter::from_fn(move || take(&mut rest))
}

fn put(packed: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        packed.push(value as u8 | 0x80);
        value >>= 7;
    }
    packed.push(value as u8);
}

/// Bytes that [`put`] appends.
fn put_length(value: u64) -> usize {
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<Packed<'a>> {
    let number = take_number(rest)?;
    let at = take_number(rest)? as i64;
    let kind_length = usize::try_from(take_number(rest)?).ok()?;
    let data_length = usize::try_from(take_number(rest)?).ok()?;
    let (kind, behind) = rest.split_at_checked(kind_length)?;
    let (data, behind) = behind.split_at_checked(data_length)?;
    *rest = behind;
    Some(Packed {
        number,
        at,
        kind,
        data,
    })
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_takes_the_bytes_that_were_reserved_for_it() {
        let edges = (0..64).flat_map(|bits| [1 << bits, (1 << bits) - 1]);
        for value in edges.chain([u64::MAX, -1_i64 as u64]) {
            let mut packed = Vec::new();
            put(&mut packed, value);
            assert_eq!(packed.len(), put_length(value), "{value}");
        }
    }
}
