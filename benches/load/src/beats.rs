//! The open loop of heartbeats: each has its intended time, whether the ones before were answered or not.

use std::time::Duration;

use crate::clock::as_ns;

/// Heartbeat `n` is due at `base + n × interval / agents`, and is agent `n mod agents`'s.
pub(crate) struct Beats {
    base: u64,
    interval: u64,
    agents: usize,
    n: u64,
}

impl Beats {
    /// `None` if there is nothing to send, ever.
    pub(crate) fn new(base: u64, interval: Duration, agents: usize) -> Option<Self> {
        let possible = !interval.is_zero() && agents > 0;
        possible.then(|| Self {
            base,
            interval: as_ns(interval),
            agents,
            n: 0,
        })
    }

    pub(crate) fn next(&self) -> u64 {
        let offset = u128::from(self.n) * u128::from(self.interval) / self.agents as u128;
        self.base + offset as u64
    }

    /// The next heartbeat whose time has come: when it was due, and whose it is.
    pub(crate) fn take(&mut self, now: u64) -> Option<(u64, usize)> {
        let due = self.next();
        if due > now {
            return None;
        }
        let slot = (self.n % self.agents as u64) as usize;
        self.n += 1;
        Some((due, slot))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
    use super::*;

    #[test]
    fn every_agent_beats_once_an_interval_evenly() {
        let mut beats = Beats::new(1_000, Duration::from_nanos(40), 4).unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| beats.take(1_050)).collect();
        assert_eq!(
            taken,
            [
                (1_000, 0),
                (1_010, 1),
                (1_020, 2),
                (1_030, 3),
                (1_040, 0),
                (1_050, 1)
            ]
        );
    }

    #[test]
    fn no_interval_is_no_heartbeat() {
        assert!(Beats::new(0, Duration::ZERO, 4).is_none());
    }
}
