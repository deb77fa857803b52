//! Where a reactor keeps its peers, and the names by which others call them.
//!
//! A slot of the table is used again as soon as its peer is gone, so a bare index could name
//! another by mistake. A [`ConnId`] carries the generation of the slot too: once its peer is
//! removed it misses, for the next 2^32 peers of that slot.

use std::num::NonZeroU32;

use dscore_traffic::ConnId;
use slab::Slab;

/// Names a slot of a [`Table`], for what is gone when its peer is: half as long as a [`ConnId`]. Counted from 1: one that may
/// be missing takes no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId(NonZeroU32);

impl SlotId {
    /// That of a connection.
    pub fn of(conn: ConnId) -> Self {
        Self(NonZeroU32::MIN.saturating_add(conn.index() as u32))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
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

    /// The id of the peer in this slot, if there is one.
    pub fn id_in(&self, slot: SlotId) -> Option<ConnId> {
        let index = slot.index();
        self.peers.contains(index).then(|| self.id_at(index))
    }

    /// The first peer in the slot `index` or behind it: a walk that may be left and taken up again.
    ///
    /// Peers may come and go in between. A walk that goes on at the slot after the last one it saw
    /// meets each peer that stays exactly once; one that comes meanwhile, once or not at all.
    pub fn next_from(&self, index: usize) -> Option<ConnId> {
        let mut slots = index..self.generations.len();
        slots
            .find(|index| self.peers.contains(*index))
            .map(|index| self.id_at(index))
    }

    fn is_current(&self, id: ConnId) -> bool {
        id.reactor() == self.reactor && self.generations.get(id.index()) == Some(&id.generation())
    }

    fn id_at(&self, index: usize) -> ConnId {
        ConnId::new(self.reactor, index, self.generations[index])
    }
}
