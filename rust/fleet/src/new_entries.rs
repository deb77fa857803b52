//! Entries of many timelines on their way into the store.
//!
//! They are copied as they are packed, all into one block, and become JSON a few timelines at a time, where they are
//! written: a whole fleet's would be megabytes, in pieces that malloc keeps between what stays.

use std::ops::Range;

use crate::timeline::{self, Packed, Timeline};

/// New entries of one timeline.
#[derive(Debug, PartialEq, Eq)]
pub struct EntriesRow {
    /// Of the newest.
    pub number: u64,
    /// The agent's; 0: the server's.
    pub agent: u64,
    /// How many there are.
    pub count: usize,
    /// A JSON array of arrays: number, Unix milliseconds, kind, data.
    pub entries: Vec<u8>,
}

/// Where the entries of one timeline lie.
#[derive(Debug)]
struct Place {
    newest: u64,
    agent: u64,
    bytes: Range<usize>,
}

/// New entries of timelines, a row for each of these.
#[derive(Debug, Default)]
pub struct NewEntries {
    packed: Vec<u8>,
    places: Vec<Place>,
}

impl NewEntries {
    /// Rows.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A part of the rows, those with the oldest entries first; none past their end.
    pub fn rows(&self, range: Range<usize>) -> impl Iterator<Item = EntriesRow> {
        let (start, end) = (range.start, range.end);
        let places = self.places.iter().take(end).skip(start);
        places.map(|place| row(place, self.packed.get(place.bytes.clone()).unwrap_or(&[])))
    }

    /// Takes what there is of a timeline.
    pub(crate) fn add(&mut self, agent: u64, timeline: &Timeline) {
        if timeline.is_empty() {
            return;
        }
        let start = self.packed.len();
        self.packed.extend_from_slice(timeline.as_packed());
        self.places.push(Place {
            newest: timeline.last_number(),
            agent,
            bytes: start..self.packed.len(),
        });
    }

    /// In the order in which they are written: rows are appended by their numbers.
    pub(crate) fn sort(&mut self) {
        self.places.sort_unstable_by_key(|place| place.newest);
    }
}

fn row(place: &Place, packed: &[u8]) -> EntriesRow {
    // Phrases make about three times as much of them.
    let mut entries = Vec::with_capacity(3 * packed.len() + 64);
    let mut count = 0;
    for entry in timeline::packed(packed) {
        entries.push(if count == 0 { b'[' } else { b',' });
        write(&mut entries, &entry);
        count += 1;
    }
    entries.push(b']');
    EntriesRow {
        number: place.newest,
        agent: place.agent,
        count,
        entries,
    }
}

fn write(text: &mut Vec<u8>, entry: &Packed<'_>) {
    // Numbers and a text, into memory, have no way to fail. The array goes on behind them.
    let _whole = serde_json::to_writer(&mut *text, &(entry.number, entry.at, entry.kind()));
    text.pop();
    text.push(b',');
    entry.unpack(text);
    text.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Entry;

    fn timeline(numbers: Range<u64>, kind: &str) -> Timeline {
        let mut timeline = Timeline::default();
        for number in numbers {
            timeline.push(&Entry {
                number,
                at: -1,
                kind,
                data: b"{\"misses\":1}".into(),
            });
        }
        timeline
    }

    #[test]
    fn rows_are_json_and_come_in_the_order_of_their_numbers() {
        let mut entries = NewEntries::default();
        entries.add(7, &timeline(5..7, "missed"));
        entries.add(8, &Timeline::default());
        entries.add(9, &timeline(1..2, "\"a\\"));
        entries.sort();
        assert_eq!(entries.len(), 2);
        let row = |number, agent, count, entries: &str| EntriesRow {
            number,
            agent,
            count,
            entries: entries.into(),
        };
        let first = row(1, 9, 1, r#"[[1,-1,"\"a\\",{"misses":1}]]"#);
        let second = r#"[[5,-1,"missed",{"misses":1}],[6,-1,"missed",{"misses":1}]]"#;
        let second = row(6, 7, 2, second);
        assert!(entries.rows(0..9).eq([first, second]));
        assert_eq!(entries.rows(1..2).count(), 1);
        assert_eq!(entries.rows(2..9).count(), 0);
    }
}
