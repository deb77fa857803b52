//! A wheel and a sorted map that must behave alike. The property test and the fuzz target share it.

use std::collections::BTreeMap;

use dscore_wheel::{Key, Wheel};

/// An operation on a wheel. Entries are named by the order in which they were armed, modulo their
/// number, so that any number names one: armed, cancelled or expired.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Arm a new entry.
    Arm(Tick),
    /// Cancel an entry.
    Cancel(usize),
    /// Give an entry another deadline.
    Rearm(usize, Tick),
    /// Advance and pop all that expired.
    Advance(Tick),
    /// Advance and pop one entry only.
    AdvanceAndPopOne(Tick),
    /// Advance by the least that the wheel says is useful.
    AdvanceToNext,
}

/// A tick as seen from the present.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tick {
    /// So many ticks ahead.
    Ahead(u64),
    /// So many ticks ago.
    Ago(u64),
    /// The last tick before a border: the present with this many low bits and one more set.
    BeforeBorder(u32),
}

/// When an entry is due, and its turn among those due at that tick.
type Due = (u64, usize);

/// The wheel under test and its model, driven side by side.
pub(crate) struct Checked {
    wheel: Wheel<usize>,
    now: u64,
    /// Counts what was armed or armed again: an entry's turn among those of the same tick.
    turns: usize,
    /// All entries ever armed, in that order.
    entries: Vec<Entry>,
    armed: BTreeMap<Due, usize>,
    expired: BTreeMap<Due, usize>,
}

struct Entry {
    key: Key,
    deadline: u64,
    due: Due,
}

impl Checked {
    /// An empty wheel and an empty model.
    pub(crate) fn new(now: u64) -> Self {
        Self {
            wheel: Wheel::new(now),
            now,
            turns: 0,
            entries: Vec::new(),
            armed: BTreeMap::new(),
            expired: BTreeMap::new(),
        }
    }

    /// Does the operation to both and compares.
    pub(crate) fn apply(&mut self, op: Op) {
        match op {
            Op::Arm(deadline) => self.arm(self.tick(deadline)),
            Op::Cancel(number) => self.cancel(number),
            Op::Rearm(number, deadline) => self.rearm(number, self.tick(deadline)),
            Op::Advance(now) => {
                self.advance(self.tick(now));
                while self.pop() {}
            }
            Op::AdvanceAndPopOne(now) => {
                self.advance(self.tick(now));
                self.pop();
            }
            Op::AdvanceToNext => {
                self.advance(self.wheel.next_expiration().unwrap_or(self.now));
                while self.pop() {}
            }
        }
        self.check();
    }

    /// Lets all that is armed expire, however far away: the wheel must run empty, in order.
    pub(crate) fn finish(mut self) {
        self.apply(Op::Advance(Tick::Ahead(u64::MAX)));
        assert!(self.wheel.is_empty());
        assert_eq!(self.wheel.next_expiration(), None);
    }

    fn tick(&self, tick: Tick) -> u64 {
        match tick {
            Tick::Ahead(ticks) => self.now.saturating_add(ticks),
            Tick::Ago(ticks) => self.now.saturating_sub(ticks),
            Tick::BeforeBorder(bits) => self.now | (u64::MAX >> (63 - bits % 64)),
        }
    }

    fn arm(&mut self, deadline: u64) {
        let number = self.entries.len();
        let key = self.wheel.arm(deadline, number);
        let due = self.next_due(deadline);
        self.entries.push(Entry { key, deadline, due });
        self.armed.insert(due, number);
    }

    fn cancel(&mut self, number: usize) {
        let Some(number) = number.checked_rem(self.entries.len()) else {
            return;
        };
        let expected = self.take(number);
        assert_eq!(self.wheel.cancel(self.entries[number].key), expected);
    }

    fn rearm(&mut self, number: usize, deadline: u64) {
        let Some(number) = number.checked_rem(self.entries.len()) else {
            return;
        };
        let expected = self.take(number).is_some();
        assert_eq!(
            self.wheel.rearm(self.entries[number].key, deadline),
            expected
        );
        if expected {
            let due = self.next_due(deadline);
            let entry = &mut self.entries[number];
            (entry.deadline, entry.due) = (deadline, due);
            self.armed.insert(due, number);
        }
    }

    fn advance(&mut self, now: u64) {
        self.wheel.advance(now);
        self.now = self.now.max(now);
        // More turns than a test has time for.
        let later = self.armed.split_off(&(self.now, usize::MAX));
        self.expired
            .extend(std::mem::replace(&mut self.armed, later));
    }

    /// Pops from both; false if both are empty.
    fn pop(&mut self) -> bool {
        let expected = self.expired.pop_first().map(|(_, number)| number);
        let expected = expected.map(|number| (self.entries[number].deadline, number));
        let popped = self.wheel.pop_expired();
        assert_eq!(popped, expected);
        popped.is_some()
    }

    fn check(&self) {
        assert_eq!(self.wheel.len(), self.armed.len() + self.expired.len());
        assert_eq!(
            self.wheel.is_empty(),
            self.armed.is_empty() && self.expired.is_empty()
        );
        let next = self.wheel.next_expiration();
        if !self.expired.is_empty() {
            assert_eq!(next, Some(self.now));
        } else if let Some(((earliest, _), _)) = self.armed.first_key_value() {
            assert!(next.is_some_and(|next| (self.now..=*earliest).contains(&next)));
        } else {
            assert_eq!(next, None);
        }
    }

    fn next_due(&mut self, deadline: u64) -> Due {
        self.turns += 1;
        (deadline.max(self.now), self.turns)
    }

    fn take(&mut self, number: usize) -> Option<usize> {
        let due = self.entries[number].due;
        self.armed
            .remove(&due)
            .or_else(|| self.expired.remove(&due))
    }
}
