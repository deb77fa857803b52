//! How many descriptors there may be, and how many of them connections may have.

use std::os::fd::{AsFd, AsRawFd};

use rustix::process::{Resource, getrlimit};

use super::Waker;

/// How many descriptors this process may open (the soft limit).
pub fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Of so many descriptors, those kept for what is no connection: storage, logs, the event loop, and connections that are
/// to be turned away. An eighth, so that a small limit still admits a fleet; 16 to 128 (PROTOCOL.md §10).
fn reserved_descriptors(limit: u64) -> u64 {
    (limit / 8).clamp(16, 128)
}

/// Connections that a limit of so many descriptors allows.
pub fn connections_allowed(limit: u64) -> u64 {
    limit.saturating_sub(reserved_descriptors(limit)).max(1)
}

/// How many descriptors are left, told by the number of one: the kernel gives the lowest that is free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    limit: u64,
    reserved: u64,
}

impl Descriptors {
    /// Of this process, as it is limited now.
    pub(crate) fn new() -> Self {
        Self::of(descriptor_limit())
    }

    fn of(limit: u64) -> Self {
        Self {
            limit,
            reserved: reserved_descriptors(limit),
        }
    }

    /// Whether so few are left, now that `latest` was given, that no agent is to have it.
    pub(crate) fn are_short(&self, latest: impl AsFd) -> bool {
        self.left(latest) < self.reserved / 2
    }

    /// Whether hardly any are left: those are for the log, the store and the service manager.
    pub(crate) fn are_spent(&self, latest: impl AsFd) -> bool {
        self.left(latest) < self.reserved / 4
    }

    /// How many of those hardly left may be given before others have come back: so few that none of them runs out.
    pub(crate) fn given_at_once(&self) -> usize {
        usize::try_from(self.reserved / 8).unwrap_or(1).max(1)
    }

    /// Whether there are few, as far as the next one would be given.
    pub(crate) fn are_short_now(&self) -> bool {
        Waker::new()
            .and_then(|any| any.with(|descriptor| Ok(self.are_short(descriptor))))
            .unwrap_or(true)
    }

    fn left(&self, latest: impl AsFd) -> u64 {
        let number = u64::try_from(latest.as_fd().as_raw_fd()).unwrap_or_default();
        self.limit.saturating_sub(number + 1)
    }
}

impl Default for Descriptors {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_is_kept_back_at_least_16_and_at_most_128() {
        for (limit, reserved, allowed) in [
            (16, 16, 1),
            (64, 16, 48),
            (128, 16, 112),
            (256, 32, 224),
            (1_024, 128, 896),
            (20_000, 128, 19_872),
            (u64::MAX, 128, u64::MAX - 128),
        ] {
            assert_eq!(reserved_descriptors(limit), reserved, "{limit}");
            assert_eq!(connections_allowed(limit), allowed, "{limit}");
        }
    }

    #[test]
    fn the_number_of_a_descriptor_tells_how_many_are_left() {
        let any = std::io::stderr();
        let number = any.as_raw_fd() as u64;
        let with_left = |left| Descriptors::of(number + 1 + left);
        // Of so few descriptors 16 are kept back.
        assert!(!with_left(8).are_short(&any));
        assert!(with_left(7).are_short(&any));
        assert!(!with_left(4).are_spent(&any));
        assert!(with_left(3).are_spent(&any));
    }
}
