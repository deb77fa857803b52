//! The time of day as messages and HTTP have it, and frames that tell it: of each only what has changed is written anew.

use std::time::{Duration, SystemTime};

/// The last second of the year 9999: neither form has one for what comes later.
const MAX_UNIX_S: u64 = 253_402_300_799;
/// Of a timestamp, all that is right for a whole second.
const SECOND: usize = "2026-11-30T09:00:00.".len();
/// What stands in front of the timestamp of a message.
const NAME: &[u8] = br#""timestamp":""#;

/// How long the clock of day is taken to go as the pool's does: one that is set is followed as soon.
const REREAD_US: u64 = 100_000;

/// The time of day. Its clock is read now and then; between two readings it goes as the pool's does.
#[derive(Debug)]
pub(crate) struct TimeOfDay {
    /// What the pool's clock said at the last reading; `None` before the first.
    read_us: Option<u64>,
    /// What its own clock said then.
    read: SystemTime,
    now: SystemTime,
}

impl Default for TimeOfDay {
    fn default() -> Self {
        Self {
            read_us: None,
            read: SystemTime::UNIX_EPOCH,
            now: SystemTime::UNIX_EPOCH,
        }
    }
}

impl TimeOfDay {
    /// As of this time of the pool's clock.
    pub(crate) fn set(&mut self, pool_us: u64, read: impl FnOnce() -> SystemTime) {
        let since_us = self.read_us.map(|read_us| pool_us.saturating_sub(read_us));
        match since_us.filter(|&since_us| since_us < REREAD_US) {
            Some(since_us) => {
                let since = Duration::from_micros(since_us);
                self.now = self.read.checked_add(since).unwrap_or(self.read);
            }
            None => {
                self.read = read();
                (self.read_us, self.now) = (Some(pool_us), self.read);
            }
        }
    }

    /// As it was last set.
    pub(crate) fn now(&self) -> SystemTime {
        self.now
    }
}

/// Since 1970, and not past the year 9999; a clock before 1970 says 1970.
fn since_1970(of_day: SystemTime) -> Duration {
    let since = of_day.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Duration::new(since.as_secs().min(MAX_UNIX_S), since.subsec_nanos())
}

/// The time of day as HTTP has it (RFC 9110 §5.6.7).
#[derive(Default)]
pub(crate) struct Date {
    at_s: Option<u64>,
    text: String,
}

impl Date {
    /// Written at most once a second.
    pub(crate) fn at(&mut self, of_day: SystemTime) -> &str {
        let now_s = since_1970(of_day).as_secs();
        if self.at_s != Some(now_s) {
            let day = SystemTime::UNIX_EPOCH + Duration::from_secs(now_s);
            self.text = httpdate::fmt_http_date(day);
            self.at_s = Some(now_s);
        }
        &self.text
    }
}

/// The time of day as the wire has it: ISO-8601 UTC with milliseconds and `Z`.
#[derive(Default)]
pub(crate) struct Timestamp {
    at_ms: Option<u64>,
    at_s: Option<u64>,
    text: String,
}

impl Timestamp {
    /// Written at most once a millisecond of the pool's clock.
    pub(crate) fn at(&mut self, pool_ms: u64, of_day: SystemTime) -> &str {
        if self.at_ms != Some(pool_ms) {
            self.at_ms = Some(pool_ms);
            let since = since_1970(of_day);
            if self.at_s != Some(since.as_secs()) {
                self.at_s = Some(since.as_secs());
                let of_day = SystemTime::UNIX_EPOCH + since;
                self.text = humantime::format_rfc3339_millis(of_day).to_string();
            } else {
                let ms = since.subsec_millis();
                self.text.truncate(SECOND);
                for digit in [ms / 100, ms / 10 % 10, ms % 10] {
                    self.text.push(char::from(b'0' + digit as u8));
                }
                self.text.push('Z');
            }
        }
        &self.text
    }
}

/// A frame with a timestamp that is right for one millisecond.
#[derive(Default)]
pub(crate) struct StampedFrame {
    at_ms: Option<u64>,
    /// Where in the frame the timestamp is; `None` before it was made.
    place: Option<usize>,
    frame: Vec<u8>,
}

impl StampedFrame {
    /// With this timestamp, the one of this millisecond. It is made once; from then on its timestamps are written over one
    /// another.
    pub(crate) fn at(
        &mut self,
        pool_ms: u64,
        timestamp: &str,
        make: impl FnOnce(&mut Vec<u8>),
    ) -> &[u8] {
        if self.at_ms != Some(pool_ms) {
            self.at_ms = Some(pool_ms);
            let stamp = timestamp.as_bytes();
            let place = self.place.map(|place| place..place + stamp.len());
            match place.and_then(|place| self.frame.get_mut(place)) {
                Some(place) => place.copy_from_slice(stamp),
                None => {
                    self.frame.clear();
                    make(&mut self.frame);
                    let name = self.frame.windows(NAME.len()).position(|at| at == NAME);
                    self.place = name.map(|name| name + NAME.len());
                }
            }
        }
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn the_time_of_day_goes_as_the_pools_clock_does_between_two_readings_and_follows_a_clock_that_was_set()
     {
        let mut of_day = TimeOfDay::default();
        let mut at = |pool_us, clock_ms| {
            let mut was_read = false;
            of_day.set(pool_us, || {
                was_read = true;
                day(clock_ms)
            });
            (of_day.now(), was_read)
        };
        assert_eq!(at(7_000, 50_000), (day(50_000), true));
        assert_eq!(at(7_000, 50_000), (day(50_000), false));
        assert_eq!(at(8_000, 99_999), (day(50_001), false));
        assert_eq!(
            at(106_999, 99_999),
            (day(50_000) + Duration::from_micros(99_999), false)
        );
        assert_eq!(
            at(107_000, 20_000),
            (day(20_000), true),
            "set back meanwhile"
        );
        assert_eq!(
            at(108_500, 0),
            (day(20_001) + Duration::from_micros(500), false)
        );
        assert_eq!(at(9_000_000, 90_000), (day(90_000), true), "after a sleep");
    }

    #[test]
    fn a_timestamp_is_that_of_its_millisecond() {
        let mut timestamp = Timestamp::default();
        let start = 1_796_029_199_990;
        for ms in (0..2_100).step_by(7).chain([1, 0]) {
            let of_day = day(start + ms);
            let expected = humantime::format_rfc3339_millis(of_day).to_string();
            assert_eq!(timestamp.at(ms, of_day), expected);
        }
    }

    #[test]
    fn a_clock_that_no_form_has_a_time_for_is_no_fault() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        let after = day(MAX_UNIX_S * 1_000 + 2_005);
        let mut timestamp = Timestamp::default();
        assert_eq!(timestamp.at(1, before), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp.at(2, after), "9999-12-31T23:59:59.005Z");
        let mut date = Date::default();
        assert_eq!(date.at(before), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date.at(after), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn a_frame_is_made_once_and_tells_the_time_of_each_millisecond() {
        let (mut frame, mut made) = (StampedFrame::default(), 0);
        for (ms, stamp) in [(1, "11:11"), (2, "22:22"), (2, "no news"), (3, "33:33")] {
            let told = frame.at(ms, stamp, |frame| {
                made += 1;
                let text = format!(r#"{{"timestamp":"{stamp}","message":"\"timestamp\":\""}}"#);
                frame.extend_from_slice(text.as_bytes());
            });
            let stamp = if stamp == "no news" { "22:22" } else { stamp };
            let expected = format!(r#"{{"timestamp":"{stamp}","message":"\"timestamp\":\""}}"#);
            assert_eq!(told, expected.as_bytes());
        }
        assert_eq!(made, 1);
    }
}
