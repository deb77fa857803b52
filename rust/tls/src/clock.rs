//! The one clock of TLS: certificates and tickets are good for so long, by the calendar.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix seconds; 0 where the clock was set to before 1970.
pub(crate) fn unix_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
