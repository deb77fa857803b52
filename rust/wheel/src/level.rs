//! The arithmetic of the wheel: ticks as numbers of eleven digits in base 64, and which slots are
//! in use.

/// Bits of a digit; a level for each digit.
const BITS: u32 = 6;

/// Slots of a level: as many as a `u64` has bits, so that one word tells which are in use.
pub(super) const SLOTS: usize = 1 << BITS;

/// Levels of a wheel: as many as a `u64` has digits. The highest digit is a short one, 0 to 15.
pub(super) const LEVELS: usize = u64::BITS.div_ceil(BITS) as usize;

/// The level of a deadline: the highest digit in which it differs from the present, the lowest if
/// it does not.
pub(super) fn level_for(elapsed: u64, deadline: u64) -> usize {
    // With the lowest bit set there is always a highest one, and level 0 covers the case of no
    // difference.
    ((elapsed ^ deadline) | 1).ilog2() as usize / BITS as usize
}

/// The slot of a deadline in a level: the deadline's digit there.
pub(super) fn slot_for(deadline: u64, level: usize) -> usize {
    (deadline >> shift(level)) as usize % SLOTS
}

/// The first tick of a slot: the present down to the digit above the level, then the slot, then
/// zeros.
pub(super) fn slot_start(elapsed: u64, level: usize, slot: usize) -> u64 {
    let digits = elapsed >> shift(level);
    (digits - digits % SLOTS as u64 + slot as u64) << shift(level)
}

fn shift(level: usize) -> u32 {
    level as u32 * BITS
}

/// Which slots are in use: a bit for each, and a bit for each level that has any.
#[derive(Debug, Default)]
pub(super) struct Occupied {
    slots: [u64; LEVELS],
    levels: u32,
}

impl Occupied {
    pub(super) fn set(&mut self, level: usize, slot: usize) {
        self.slots[level] |= 1 << slot;
        self.levels |= 1 << level;
    }

    pub(super) fn clear(&mut self, level: usize, slot: usize) {
        self.slots[level] &= !(1 << slot);
        if self.slots[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    /// The lowest slot in use of the lowest level in use, which by the wheel's invariant is the
    /// next in time.
    pub(super) fn first(&self) -> Option<(usize, usize)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros() as usize;
        Some((level, self.slots[level].trailing_zeros() as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks with something to get wrong: around every border of every level, and the two ends.
    fn interesting_ticks() -> Vec<u64> {
        let borders = (0..u64::BITS).map(|bit| 1u64 << bit);
        let mut ticks: Vec<u64> = borders
            .flat_map(|tick| [tick - 1, tick, tick + 1, tick + tick / 2])
            .collect();
        ticks.extend([u64::MAX, u64::MAX - 1, 0x0123_4567_89ab_cdef]);
        ticks
    }

    #[test]
    fn eleven_digits_write_every_tick() {
        assert_eq!(LEVELS, 11);
        assert_eq!(level_for(0, u64::MAX), LEVELS - 1);
        assert_eq!(slot_for(u64::MAX, LEVELS - 1), 15);
    }

    #[test]
    fn level_is_that_of_the_highest_digit_that_differs() {
        for level in 0..LEVELS {
            let lowest = if level == 0 { 0 } else { 1u64 << shift(level) };
            let highest = 1u64
                .checked_shl(shift(level + 1))
                .map_or(u64::MAX, |beyond| beyond - 1);
            for deadline in [
                lowest,
                lowest + 1,
                lowest / 2 + highest / 2,
                highest - 1,
                highest,
            ] {
                assert_eq!(level_for(0, deadline), level, "{deadline:#x} seen from 0");
                assert_eq!(
                    level_for(deadline, 0),
                    level,
                    "it does not matter which comes first"
                );
            }
        }
        assert_eq!(level_for(63, 64), 1, "a border of a level lies between");
        assert_eq!(level_for(64, 127), 0);
        assert_eq!(level_for(64 * 64 - 1, 64 * 64), 2);
    }

    #[test]
    fn slots_of_a_level_follow_each_other_in_time() {
        for level in 0..LEVELS {
            let slots = if level == LEVELS - 1 { 16 } else { SLOTS };
            for slot in 0..slots {
                let start = (slot as u64) << shift(level);
                let end = start + ((1u64 << shift(level)) - 1);
                assert_eq!(slot_for(start, level), slot);
                assert_eq!(slot_for(end, level), slot);
                assert_eq!(slot_start(0, level, slot), start);
            }
        }
    }

    #[test]
    fn every_deadline_lies_in_its_slot_and_the_slot_ahead() {
        for elapsed in interesting_ticks() {
            for deadline in interesting_ticks()
                .into_iter()
                .filter(|deadline| *deadline >= elapsed)
            {
                let level = level_for(elapsed, deadline);
                let slot = slot_for(deadline, level);
                let start = slot_start(elapsed, level, slot);
                assert!(start <= deadline, "{elapsed:#x} {deadline:#x}");
                assert!(
                    deadline - start < 1 << shift(level),
                    "{elapsed:#x} {deadline:#x}"
                );
                assert!(start > elapsed || level == 0, "{elapsed:#x} {deadline:#x}");
            }
        }
    }

    #[test]
    fn from_the_start_of_a_slot_its_deadlines_are_in_lower_levels() {
        for deadline in interesting_ticks() {
            for level in 1..=level_for(0, deadline) {
                let start = slot_start(deadline, level, slot_for(deadline, level));
                assert!(
                    level_for(start, deadline) < level,
                    "{deadline:#x} at level {level}"
                );
            }
        }
    }

    #[test]
    fn first_is_the_lowest_slot_of_the_lowest_level() {
        let mut occupied = Occupied::default();
        assert_eq!(occupied.first(), None);
        for (level, slot) in [(10, 15), (3, 63), (3, 0), (0, 40), (0, 7)] {
            occupied.set(level, slot);
            assert_eq!(occupied.first(), Some((level, slot)));
        }
        for (cleared, next) in [
            ((0, 7), (0, 40)),
            ((0, 40), (3, 0)),
            ((3, 0), (3, 63)),
            ((3, 63), (10, 15)),
        ] {
            occupied.clear(cleared.0, cleared.1);
            assert_eq!(occupied.first(), Some(next));
        }
        occupied.clear(10, 15);
        assert_eq!(occupied.first(), None);
    }
}
