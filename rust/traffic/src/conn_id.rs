//! The name of a connection: plain, `Copy`, and safe to keep for longer than the connection lives.
//!
//! A reactor uses a slot of its table again as soon as a peer is gone; the generation in the name makes an old name miss.

use std::fmt;

/// Names a connection outside its reactor: 8 bits reactor, 24 bits index, 32 bits generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

impl ConnId {
    /// The most peers that one reactor can name.
    pub const MAX_INDICES: usize = 1 << 24;

    /// Puts an id together; `index` is below [`Self::MAX_INDICES`].
    pub fn new(reactor: u8, index: usize, generation: u32) -> Self {
        debug_assert!(index < Self::MAX_INDICES);
        Self(u64::from(reactor) << 56 | (index as u64) << 32 | u64::from(generation))
    }

    /// The number of the reactor that owns the connection.
    pub fn reactor(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// The slot of the connection in its reactor's table.
    pub fn index(self) -> usize {
        (self.0 >> 32) as usize % Self::MAX_INDICES
    }

    /// Which user of its slot the connection is.
    pub fn generation(self) -> u32 {
        self.0 as u32
    }

    /// The id as a number, for an epoll token or another language.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The id that [`Self::to_u64`] turned into this number. Any number is safe to look up: one
    /// that was made up misses.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ConnId({}:{}:{})",
            self.reactor(),
            self.index(),
            self.generation()
        )
    }
}
