//! The clocks of a run. `CLOCK_MONOTONIC` in nanoseconds, because Python's `time.monotonic_ns` reads the same one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

pub(crate) fn now_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// Processor time of this process, all threads.
pub(crate) fn cpu_seconds() -> f64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime)) as f64 / 1e9
}

pub(crate) fn as_ns(time: Duration) -> u64 {
    time.as_nanos() as u64
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Wakes an epoll at a point in time. An epoll timeout counts whole milliseconds, which would add up to one of its own to
/// every latency measured from an intended time.
pub(crate) struct Alarm {
    timer: OwnedFd,
    set_to: Option<u64>,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self {
            timer,
            set_to: None,
        })
    }

    /// Becomes readable at `at`, and stays so until set anew.
    pub(crate) fn set(&mut self, at: u64) -> io::Result<()> {
        if self.set_to == Some(at) {
            return Ok(());
        }
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Timespec {
            tv_sec: (at / 1_000_000_000) as i64,
            // An all-zero value would disarm it.
            tv_nsec: (at % 1_000_000_000).max(1) as i64,
        };
        let spec = Itimerspec {
            it_interval: zero,
            it_value: value,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec)?;
        self.set_to = Some(at);
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
