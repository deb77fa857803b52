//! A hierarchical timing wheel: deadlines in, expired values out. It reads no clock; time is a
//! `u64` of ticks that the caller passes in, and what a tick lasts is the caller's business.
//!
//! # How it works
//!
//! Write a tick as a number with digits. Say the digits are of base 4 (a slot each), and three of
//! them are enough. The wheel then has three levels of four slots:
//!
//! | level | a slot spans | the level spans |
//! |---|---|---|
//! | 0 | 1 tick | 4 |
//! | 1 | 4 ticks | 16 |
//! | 2 | 16 ticks | 64 |
//!
//! A deadline goes to the level of the highest digit in which it differs from the present,
//! `elapsed`, and there to the slot that this digit names. At tick 5, which is `011`, we arm
//!
//! - a for tick 7, `013`: the lowest digit differs, so level 0, slot 3;
//! - b for tick 13, `031`: the middle digit differs, so level 1, slot 3, which spans ticks 12 to
//!   15;
//! - c for tick 50, `302`: the highest digit differs, so level 2, slot 3, which spans ticks 48 to
//!   63.
//!
//! Now let time pass:
//!
//! - Tick 7 is the first slot in use of the lowest level in use: a expires, on its tick.
//! - Tick 12, `030`, is where b's slot begins. Its entries *cascade*: placed again as seen from
//!   tick 12, b differs in the lowest digit only, and moves to level 0, slot 1. It expires at tick
//!   13.
//! - Tick 48, `300`: c cascades. Seen from there it is `302`, so level 0, slot 2, and expires at
//!   tick 50. From 13 to 48 nothing was touched: the wheel went from one slot in use straight to
//!   the next.
//!
//! Ours has base 64, where one `u64` says which slots of a level are in use, and eleven levels,
//! because eleven digits write every `u64`. So any deadline has its slot, and none is "out of
//! range".
//!
//! # The invariant
//!
//! An entry at level L agrees with `elapsed` in all digits above L, and its digit L is larger than
//! that of `elapsed` (at level 0 it may be equal: due now). Three things follow. Entries of a lower
//! level are due before those of a higher one. Within a level, slots are due in the order of their
//! numbers; they never wrap around. Hence the next slot to look at is the lowest bit of the lowest
//! level in use. The invariant survives any step of time that stops at each such slot on its way.
//!
//! An entry cascades at most ten times, each time to a lower level (a heartbeat's 30 s in
//! milliseconds: at most twice, unless a border of a higher level lies between). Arm, cancel
//! and rearm are O(1) and allocate only when there are more entries than ever before.

#![forbid(unsafe_code)]

mod level;
mod list;

use std::num::NonZeroU32;

use level::{LEVELS, Occupied, SLOTS};
use list::{Lists, NodeId};

/// Expired entries wait in this list, in order, until they are popped.
const EXPIRED: NodeId = (LEVELS * SLOTS) as NodeId;
/// One list for each slot, and that one.
const LISTS: usize = LEVELS * SLOTS + 1;

/// Names one armed entry of the [`Wheel`] that made it. It goes stale when the entry is cancelled
/// or popped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    node: NodeId,
    generation: NonZeroU32,
}

/// A set of values, each with a deadline in ticks. The module comment explains how it works.
///
/// Time goes as follows: [`advance`](Self::advance) to now, then [`pop_expired`](Self::pop_expired)
/// until there is nothing left, then sleep until [`next_expiration`](Self::next_expiration).
///
/// ```
/// use dscore_wheel::Wheel;
///
/// let mut wheel = Wheel::new(1_000);
/// let ping = wheel.arm(1_030, "ping");
/// wheel.arm(1_010, "handshake");
/// wheel.advance(1_020);
/// assert_eq!(wheel.pop_expired(), Some((1_010, "handshake")));
/// assert_eq!(wheel.pop_expired(), None);
/// assert_eq!(wheel.cancel(ping), Some("ping"));
/// assert_eq!(wheel.next_expiration(), None);
/// ```
#[derive(Debug)]
pub struct Wheel<T> {
    /// The present: the largest tick that was passed to `advance`.
    elapsed: u64,
    /// Which slots have a list that is not empty.
    occupied: Occupied,
    /// Each node is in one list, that of a slot or `EXPIRED`, unless it is free.
    lists: Lists<LISTS>,
    /// Node `LISTS + i` is described by `entries[i]`.
    entries: Vec<Entry<T>>,
    /// The nodes that hold no entry. They are not chained: to follow a chain is to wait for memory.
    free: Vec<NodeId>,
}

#[derive(Debug)]
struct Entry<T> {
    deadline: u64,
    /// Incremented when the node is freed, so that no key in the world names a free node.
    generation: NonZeroU32,
    /// `None` exactly while the node is free.
    value: Option<T>,
}

impl<T> Wheel<T> {
    /// An empty wheel whose present is `now`.
    pub fn new(now: u64) -> Self {
        Self::with_capacity(now, 0)
    }

    /// The same, with room for so many entries: address space, which costs no memory before it is
    /// used.
    pub fn with_capacity(now: u64, capacity: usize) -> Self {
        Self {
            elapsed: now,
            occupied: Occupied::default(),
            lists: Lists::with_capacity(capacity),
            entries: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
        }
    }

    /// Adds `value`, to expire at `deadline`. A deadline in the past counts as due now: it expires
    /// at the next `advance`, even one that moves time by nothing.
    pub fn arm(&mut self, deadline: u64, value: T) -> Key {
        let node = match self.free.pop() {
            Some(node) => {
                let entry = self.entry_mut(node);
                entry.deadline = deadline;
                entry.value = Some(value);
                node
            }
            None => {
                self.entries.push(Entry {
                    deadline,
                    generation: NonZeroU32::MIN,
                    value: Some(value),
                });
                self.lists.add_node()
            }
        };
        self.place(node, deadline);
        Key {
            node,
            generation: self.entry(node).generation,
        }
    }

    /// Takes an entry out before it is popped, even if it has expired already. `None` if the key is
    /// stale.
    pub fn cancel(&mut self, key: Key) -> Option<T> {
        if !self.is_current(key) {
            return None;
        }
        self.unlink(key.node);
        self.free(key.node)
    }

    /// Gives an entry another deadline, even if it has expired already; its key stays the same.
    /// False if the key is stale.
    pub fn rearm(&mut self, key: Key, deadline: u64) -> bool {
        if !self.is_current(key) {
            return false;
        }
        self.unlink(key.node);
        self.entry_mut(key.node).deadline = deadline;
        self.place(key.node, deadline);
        true
    }

    /// The tick to advance to next: that of the earliest deadline, or an earlier one where entries
    /// cascade. It is the present if something is due already. `None` if nothing is armed.
    pub fn next_expiration(&self) -> Option<u64> {
        if self.lists.front(EXPIRED).is_some() {
            return Some(self.elapsed);
        }
        let (level, slot) = self.occupied.first()?;
        Some(level::slot_start(self.elapsed, level, slot))
    }

    /// Moves time to `now`; what is due by then can be popped afterwards. Time that goes backwards
    /// stands still.
    ///
    /// The cost is that of the slots in use on the way and of the entries that cascade, not of the
    /// ticks that pass.
    pub fn advance(&mut self, now: u64) {
        let now = now.max(self.elapsed);
        while let Some((level, slot)) = self.occupied.first() {
            let start = level::slot_start(self.elapsed, level, slot);
            if start > now {
                break;
            }
            self.elapsed = start;
            self.occupied.clear(level, slot);
            if level == 0 {
                self.lists.append(list_of(level, slot), EXPIRED);
            } else {
                self.cascade(list_of(level, slot));
            }
        }
        self.elapsed = now;
    }

    /// Takes out the next entry that had expired at the last `advance`: its deadline and its value.
    ///
    /// They come in the order of their deadlines, and those of the same tick in the order in which
    /// they were armed. A deadline that had passed when it was armed stands in this order where the
    /// present stood then.
    pub fn pop_expired(&mut self) -> Option<(u64, T)> {
        let node = self.lists.front(EXPIRED)?;
        self.lists.unlink(node);
        let deadline = self.entry(node).deadline;
        self.free(node).map(|value| (deadline, value))
    }

    /// How many entries there are, those that have expired and were not popped yet included.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a node that is in no list into the list where its deadline belongs, as seen from the
    /// present.
    fn place(&mut self, node: NodeId, deadline: u64) {
        let deadline = deadline.max(self.elapsed);
        let level = level::level_for(self.elapsed, deadline);
        let slot = level::slot_for(deadline, level);
        self.occupied.set(level, slot);
        self.lists.push_back(list_of(level, slot), node);
    }

    /// Places all entries of a slot again, now that time has come to its start. All land in lower
    /// levels, because they agree with the present in the slot's digit and in all above; their
    /// order in the list is kept.
    fn cascade(&mut self, list: NodeId) {
        while let Some(node) = self.lists.front(list) {
            self.lists.unlink(node);
            self.place(node, self.entry(node).deadline);
        }
    }

    /// Takes a node out of its list, and keeps `occupied` true.
    fn unlink(&mut self, node: NodeId) {
        if let Some(emptied) = self.lists.unlink(node)
            && emptied < EXPIRED
        {
            let emptied = emptied as usize;
            self.occupied.clear(emptied / SLOTS, emptied % SLOTS);
        }
    }

    /// Turns a node that is in no list into a free one, and returns what it held.
    fn free(&mut self, node: NodeId) -> Option<T> {
        self.free.push(node);
        let entry = self.entry_mut(node);
        // Never zero: an optional key is as small as a key.
        entry.generation = entry.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        entry.value.take()
    }

    fn is_current(&self, key: Key) -> bool {
        self.entry(key.node).generation == key.generation
    }

    fn entry(&self, node: NodeId) -> &Entry<T> {
        &self.entries[node as usize - LISTS]
    }

    fn entry_mut(&mut self, node: NodeId) -> &mut Entry<T> {
        &mut self.entries[node as usize - LISTS]
    }
}

fn list_of(level: usize, slot: usize) -> NodeId {
    (level * SLOTS + slot) as NodeId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_grows_with_the_most_entries_at_a_time_only() {
        let mut wheel = Wheel::new(0);
        for now in 0..1000 {
            let keys = [1, 100, 10_000].map(|ticks| wheel.arm(now + ticks, ()));
            wheel.cancel(keys[1]);
            wheel.rearm(keys[2], now);
            wheel.advance(now + 1);
            while wheel.pop_expired().is_some() {}
        }
        assert!(wheel.is_empty());
        assert_eq!(wheel.entries.len(), 3);
    }
}
