//! A timer that a poller watches beside its sockets: set once, it serves many waits.
//!
//! A wait with a timeout has the kernel set a timer and take it back again, which between two heartbeats costs a tenth of
//! both; on a virtual machine each is a call of its host.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Rings once for each time it is set.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    /// When it rings, on the caller's clock; passed: it is not set.
    at_us: u64,
}

impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// The process is out of descriptors.
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self {
            timer: timerfd_create(TimerfdClockId::Monotonic, flags)?,
            at_us: 0,
        })
    }

    /// Sees to it that it rings by `due_us`; earlier will do, if it is set to that already. Returns when it does.
    ///
    /// # Errors
    /// None that a correct program can see.
    pub(crate) fn ring_by(&mut self, now_us: u64, due_us: u64) -> Result<u64, Errno> {
        if self.at_us <= now_us || self.at_us > due_us {
            // Nothing would disarm it.
            let wait_us = due_us.saturating_sub(now_us).max(1);
            let value = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec {
                    tv_sec: i64::try_from(wait_us / 1_000_000).unwrap_or(i64::MAX),
                    tv_nsec: (wait_us % 1_000_000 * 1_000) as _,
                },
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &value)?;
            self.at_us = due_us;
        }
        Ok(self.at_us)
    }

    /// It has rung, and is not set any more.
    pub(crate) fn note_rung(&mut self) {
        self.at_us = 0;
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::time::Duration;

    use super::*;
    use crate::sys::{Poller, ReadyList};

    const LATE: Duration = Duration::from_secs(30);

    fn rings(poller: &Poller, patience: Duration) -> bool {
        let mut ready = ReadyList::with_capacity(4);
        poller.wait(&mut ready, Some(patience)).unwrap();
        ready.iter().any(|(token, _)| token == 7)
    }

    #[test]
    fn it_wakes_a_poller_once_each_time_it_is_set() {
        let (poller, mut alarm) = (Poller::new().unwrap(), Alarm::new().unwrap());
        poller.add_alarm(&alarm, 7).unwrap();
        assert!(!rings(&poller, Duration::ZERO));
        for _ in 0..2 {
            assert_eq!(alarm.ring_by(1_000, 2_000), Ok(2_000));
            assert!(rings(&poller, LATE));
            assert!(!rings(&poller, Duration::ZERO), "it is not set any more");
            alarm.note_rung();
        }
    }

    #[test]
    fn it_is_set_anew_only_for_something_sooner_or_when_its_time_has_passed() {
        let mut alarm = Alarm::new().unwrap();
        let hour = 3_600_000_000;
        assert_eq!(alarm.ring_by(0, 2 * hour), Ok(2 * hour));
        assert_eq!(alarm.ring_by(5, 3 * hour), Ok(2 * hour), "sooner will do");
        assert_eq!(alarm.ring_by(5, hour), Ok(hour));
        assert_eq!(alarm.ring_by(hour, 3 * hour), Ok(3 * hour));
        alarm.note_rung();
        assert_eq!(alarm.ring_by(hour, 4 * hour), Ok(4 * hour));
    }
}
