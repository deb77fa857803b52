//! Where a reactor keeps its peers, and the names by which others call them.
//!
//! A slot of the table is used again as soon as its peer is gone, so a bare index could name a
//! newcomer by mistake. A [`ConnId`] carries the generation of the slot too: once its peer is
//! removed it misses, for the next 2^32 peers of that slot.

use std::fmt;

use slab::Slab;

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

/// The peers of one reactor, by [`ConnId`] or by index.
#[derive(Debug)]
pub struct Table<P> {
    reactor: u8,
    peers: Slab<P>,
    /// The generation of each slot that was ever used: that of its peer, or of its next one.
    ///
    /// The first is 1, so that no connection of the first 2^32 in a slot has the id 0.
    generations: Vec<u32>,
}

impl<P> Table<P> {
    /// An empty table for the reactor of this number.
    pub fn new(reactor: u8) -> Self {
        Self::with_capacity(reactor, 0)
    }

    /// The same, with room for so many peers: address space, which costs no memory before it is used. A table that
    /// grows by moving leaves its former homes behind as holes.
    pub fn with_capacity(reactor: u8, capacity: usize) -> Self {
        Self {
            reactor,
            peers: Slab::with_capacity(capacity),
            generations: Vec::with_capacity(capacity),
        }
    }

    /// Adds a peer and names it.
    ///
    /// # Panics
    ///
    /// With [`ConnId::MAX_INDICES`] peers, for each of which the process would hold a descriptor.
    pub fn insert(&mut self, peer: P) -> ConnId {
        let index = self.peers.insert(peer);
        if index == self.generations.len() {
            assert!(
                index < ConnId::MAX_INDICES,
                "a reactor holds at most 2^24 peers"
            );
            self.generations.push(1);
        }
        self.id_at(index)
    }

    /// The peer of this id, unless it was removed or belongs to another reactor.
    pub fn get(&self, id: ConnId) -> Option<&P> {
        self.is_current(id).then(|| self.peers.get(id.index()))?
    }

    /// As [`Self::get`], to be changed.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut P> {
        self.is_current(id)
            .then(|| self.peers.get_mut(id.index()))?
    }

    /// The peer in this slot, if any, and its name.
    pub fn by_index(&mut self, index: usize) -> Option<(ConnId, &mut P)> {
        let id = ConnId::new(self.reactor, index, *self.generations.get(index)?);
        Some((id, self.peers.get_mut(index)?))
    }

    /// Takes a peer out. From now on its id misses.
    pub fn remove(&mut self, id: ConnId) -> Option<P> {
        if !self.is_current(id) {
            return None;
        }
        let peer = self.peers.try_remove(id.index())?;
        let generation = &mut self.generations[id.index()];
        *generation = generation.wrapping_add(1);
        Some(peer)
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// True if there is no peer.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// All peers in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &P)> {
        self.peers
            .iter()
            .map(|(index, peer)| (self.id_at(index), peer))
    }

    /// The first slot in use at or after `index`: a walk that may be left and taken up again.
    ///
    /// Peers may come and go in between. A walk that goes on at the slot after the last one it saw
    /// meets each peer that stays exactly once; a newcomer it meets once or not at all.
    pub fn next_from(&self, index: usize) -> Option<usize> {
        (index..self.generations.len()).find(|index| self.peers.contains(*index))
    }

    fn is_current(&self, id: ConnId) -> bool {
        id.reactor() == self.reactor && self.generations.get(id.index()) == Some(&id.generation())
    }

    fn id_at(&self, index: usize) -> ConnId {
        ConnId::new(self.reactor, index, self.generations[index])
    }
}
