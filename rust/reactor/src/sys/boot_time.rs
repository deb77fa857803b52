//! The clock that a suspend does not stop.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Since the machine was booted, the time it was suspended included: `CLOCK_MONOTONIC` leaves that out, and a laptop that
/// slept for an hour would be told of a heartbeat a minute ago.
pub(crate) fn boot_time() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    // Neither part of this clock is ever negative.
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}
