//! What the timelines of all agents add up to.

use crate::timeline::Timeline;

/// Bytes that a timeline takes beside its entries.
const OVERHEAD: usize = 32;

/// Where timelines are, and what they take.
#[derive(Debug, Default)]
pub struct Timelines {
    /// The number of the newest entry.
    pub last_number: u64,
    /// Entries that were dropped because all of them took too much, ever.
    pub lost_total: u64,
    /// Entries up to this number are too old to be read.
    pub forgotten_to: u64,
    /// All of them may take so much; 0: no bound.
    pub max_bytes: usize,
    pub(crate) bytes: usize,
    /// Of what concerns every agent.
    pub(crate) server: Timeline,
    /// Where the data of an entry is packed, so that none takes memory of its own before it lies in its timeline.
    pub(crate) scratch: Vec<u8>,
}

impl Timelines {
    /// A timeline has come to take so much, where it took that.
    pub(crate) fn resized(&mut self, before: usize, after: usize) {
        let size = |bytes: usize| if bytes == 0 { 0 } else { bytes + OVERHEAD };
        self.bytes = self.bytes - size(before) + size(after);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.max_bytes > 0 && self.bytes > self.max_bytes
    }
}
