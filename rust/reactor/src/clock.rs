//! The time that deadlines are measured in: the pool's clock, less the time in which its reactor did not look.
//!
//! | since the last reading | counts |
//! |---|---|
//! | as long as was meant, or less than a second longer | yes: that is lateness |
//! | longer: a gap | no |
//! | reading was paused: the owner is behind | no |
//!
//! So that a process that was stopped finds every deadline as far away as it was, and no timer is touched for it
//! (PROTOCOL.md §5 rule 3). Such a clock never runs ahead of the pool's, nor backwards.

/// So much longer than was meant is a gap.
const GAP_US: u64 = 1_000_000;

/// A time in which nothing was looked at, though it should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    /// On the pool's clock.
    pub(crate) began_ms: u64,
    pub(crate) length_ms: u64,
}

/// One reactor's, as of its last reading.
#[derive(Debug)]
pub(crate) struct Clock {
    /// What the pool's clock said.
    read_us: u64,
    /// What of that does not count.
    unseen_us: u64,
    /// When the next reading is meant to be.
    next_us: u64,
    /// Reading is paused: nothing counts.
    pub(crate) stands_still: bool,
}

impl Clock {
    /// Not read yet: its first reading may be as late as it likes.
    pub(crate) fn new() -> Self {
        Self {
            read_us: 0,
            unseen_us: 0,
            next_us: u64::MAX,
            stands_still: false,
        }
    }

    /// The pool's clock, as of the last reading.
    pub(crate) fn pool_us(&self) -> u64 {
        self.read_us
    }

    /// What counts, as of the last reading.
    pub(crate) fn now_us(&self) -> u64 {
        self.read_us - self.unseen_us
    }

    /// The next reading comes after a sleep, so late on the pool's clock; one that is not told of comes at once.
    pub(crate) fn sleep_until(&mut self, pool_us: u64) {
        self.next_us = pool_us;
    }

    /// Reads the pool's clock. What was no look is told, once.
    pub(crate) fn read(&mut self, pool_us: u64) -> Option<Gap> {
        let began_us = self.read_us;
        let elapsed_us = pool_us.saturating_sub(began_us);
        // When in its sleep a process was stopped is not known: none of that sleep counts.
        let is_gap = pool_us >= self.next_us.max(began_us).saturating_add(GAP_US);
        if is_gap || self.stands_still {
            self.unseen_us += elapsed_us;
        }
        self.read_us = began_us + elapsed_us;
        self.next_us = self.read_us;
        is_gap.then_some(Gap {
            began_ms: began_us / 1_000,
            length_ms: elapsed_us / 1_000,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that was read at 10 s, and sleeps until 10.25 s.
    fn asleep() -> Clock {
        let mut clock = Clock::new();
        assert_eq!(clock.read(10_000_000), None);
        assert_eq!(clock.now_us(), 10_000_000);
        clock.sleep_until(10_250_000);
        clock
    }

    #[test]
    fn lateness_counts_and_a_gap_does_not() {
        let mut clock = asleep();
        assert_eq!(clock.read(11_249_999), None);
        assert_eq!(clock.now_us(), 11_249_999);
        let mut clock = asleep();
        let gap = Gap {
            began_ms: 10_000,
            length_ms: 1_250,
        };
        assert_eq!(clock.read(11_250_000), Some(gap));
        assert_eq!(clock.now_us(), 10_000_000);
        assert_eq!(clock.read(11_250_007), None, "it is told once");
        assert_eq!(clock.now_us(), 10_000_007);
    }

    #[test]
    fn a_process_may_be_stopped_in_the_middle_of_its_work() {
        let mut clock = asleep();
        assert_eq!(clock.read(10_001_000), None, "woken early");
        assert_eq!(clock.read(11_000_999), None);
        let gap = Gap {
            began_ms: 11_000,
            length_ms: 165_000,
        };
        assert_eq!(clock.read(176_000_999), Some(gap));
        assert_eq!(clock.now_us(), 11_000_999);
    }

    #[test]
    fn nothing_counts_while_reading_is_paused() {
        let mut clock = asleep();
        clock.stands_still = true;
        assert_eq!(clock.read(10_900_000), None);
        assert!(
            clock.read(12_000_000).is_some(),
            "a gap is one all the same"
        );
        assert_eq!(clock.now_us(), 10_000_000);
        clock.stands_still = false;
        assert_eq!(clock.read(12_000_005), None);
        assert_eq!(clock.now_us(), 10_000_005);
    }

    #[test]
    fn without_an_end_of_its_sleep_nothing_is_late() {
        let mut clock = asleep();
        clock.sleep_until(u64::MAX);
        assert_eq!(clock.read(1_000_000_000), None);
        assert_eq!(clock.now_us(), 1_000_000_000);
    }
}
