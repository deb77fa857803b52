//! Every open connection, a WebSocket or a Socket.IO session, and who is on it.
//!
//! Each is in exactly one [`Who`], so total = authenticated + unauthenticated holds in every reading. Numbers of
//! connections are never used again.

use std::sync::Arc;

use dscore_traffic::ConnId;
use hashbrown::HashTable;
use slab::Slab;

use crate::address::Address;
use crate::agent::AgentKey;
use crate::words::Dialect;

/// Who is on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// It has not been introduced.
    Unauthenticated,
    /// This agent, whose connection it is or was: after a takeover it names its agent until it has closed.
    Agent(AgentKey),
    /// It watches, or has watched, and is no agent's.
    Watcher,
}

/// What an unauthenticated connection has shown.
#[derive(Clone, Debug, Default)]
pub struct Unauthenticated {
    /// The bearer of its upgrade, or the token of its Socket.IO CONNECT.
    pub token: Option<Box<str>>,
    /// Whether that of its CONNECT was counted as a wrong one.
    pub is_token_wrong: bool,
    /// The JSON object of its Socket.IO CONNECT, if it will be asked for.
    pub auth: Option<Box<[u8]>>,
    /// Names of the certificate that it has shown for its connection.
    pub certificate_names: Option<Arc<[String]>>,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Who is on it.
    pub who: Who,
    /// Whether it is told of changes: one that only watches, or an agent's that does so besides.
    pub watches: bool,
    /// What it speaks.
    pub dialect: Dialect,
    /// Whether its Socket.IO client has left "/", where agents are told things.
    pub is_deaf: bool,
    /// Whether a drain waits for the outcome of its agent.
    pub(crate) is_awaited: bool,
    /// None of an agent's, of which the agent knows it: of most.
    origin: Option<Box<Origin>>,
}

/// Where a connection comes from.
#[derive(Debug)]
struct Origin {
    ip: Address,
    /// What it has shown, as long as it may still introduce itself.
    shown: Option<Unauthenticated>,
}

impl Connection {
    /// The agent whose connection it is or was.
    pub(crate) fn agent(&self) -> Option<AgentKey> {
        match self.who {
            Who::Agent(key) => Some(key),
            Who::Unauthenticated | Who::Watcher => None,
        }
    }

    /// Where it comes from; `None`: the agent on it, or before it, knows.
    pub(crate) fn ip(&self) -> Option<&Address> {
        self.origin.as_ref().map(|origin| &origin.ip)
    }

    /// What it has shown; `None`: it may not introduce itself any more.
    pub fn shown(&self) -> Option<&Unauthenticated> {
        self.origin.as_ref()?.shown.as_ref()
    }

    /// Whether it may still introduce itself.
    pub fn may_introduce(&self) -> bool {
        self.shown().is_some()
    }
}

/// How many there are, in one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Both.
    pub total: usize,
    /// Agents' and watchers'.
    pub authenticated: usize,
    /// The rest.
    pub unauthenticated: usize,
}

/// All of them, by number.
#[derive(Debug, Default)]
pub struct Connections {
    slab: Slab<(ConnId, Connection)>,
    /// Its place in the slab, by the hash of its number: a hash table is half empty, so what lies in it is small.
    by_number: HashTable<u32>,
    unauthenticated: usize,
    watching: usize,
}

impl Connections {
    /// One was opened. Its number is new.
    pub(crate) fn open(
        &mut self,
        conn: ConnId,
        ip: Address,
        bearer: Option<&str>,
        dialect: Dialect,
    ) {
        let connection = Connection {
            who: Who::Unauthenticated,
            watches: false,
            dialect,
            is_deaf: false,
            is_awaited: false,
            origin: Some(Box::new(Origin {
                ip,
                shown: Some(Unauthenticated {
                    token: bearer.map(Into::into),
                    ..Unauthenticated::default()
                }),
            })),
        };
        self.unauthenticated += 1;
        let slot = self.slab.insert((conn, connection)) as u32;
        let slab = &self.slab;
        let hash_of = |&slot: &u32| hash(slab[slot as usize].0);
        self.by_number.insert_unique(hash(conn), slot, hash_of);
    }

    /// The connection of this number.
    pub fn get(&self, conn: ConnId) -> Option<&Connection> {
        let (_, connection) = self.slab.get(self.find(conn)?)?;
        Some(connection)
    }

    /// What a connection has shown, if it may still introduce itself.
    pub fn shown_mut(&mut self, conn: ConnId) -> Option<&mut Unauthenticated> {
        self.get_mut(conn)?.origin.as_mut()?.shown.as_mut()
    }

    /// Makes it an agent's, and returns where it comes from and what it speaks. `None`: it may not introduce itself any
    /// more, or has gone.
    pub(crate) fn introduce(&mut self, conn: ConnId, key: AgentKey) -> Option<(Address, Dialect)> {
        let slot = self.find(conn)?;
        let (_, connection) = self.slab.get_mut(slot)?;
        let origin = connection.origin.take_if(|origin| origin.shown.is_some())?;
        if connection.who == Who::Unauthenticated {
            self.unauthenticated -= 1;
        }
        // One that watched until it is introduced has been introduced.
        self.watching -= usize::from(std::mem::take(&mut connection.watches));
        connection.who = Who::Agent(key);
        Some((origin.ip, connection.dialect))
    }

    /// It is told of changes from here on.
    ///
    /// `until_introduced`: it has not asked for it, and may still become an agent's.
    pub fn watch(&mut self, conn: ConnId, until_introduced: bool) {
        let slot = self.find(conn);
        let Some((_, connection)) = slot.and_then(|slot| self.slab.get_mut(slot)) else {
            return;
        };
        self.watching += usize::from(!std::mem::replace(&mut connection.watches, true));
        if connection.who == Who::Unauthenticated {
            self.unauthenticated -= 1;
            connection.who = Who::Watcher;
        }
        if !until_introduced && let Some(origin) = &mut connection.origin {
            origin.shown = None;
        }
    }

    /// Its client has left "/", or joined it. Returns whether that is news.
    pub(crate) fn set_deaf(&mut self, conn: ConnId, is_deaf: bool) -> bool {
        let connection = self.get_mut(conn);
        connection.is_some_and(|one| std::mem::replace(&mut one.is_deaf, is_deaf) != is_deaf)
    }

    /// It is told of changes no longer.
    pub fn unwatch(&mut self, conn: ConnId) {
        let stopped = self
            .get_mut(conn)
            .is_some_and(|connection| std::mem::take(&mut connection.watches));
        self.watching -= usize::from(stopped);
    }

    /// A drain waits for the outcomes of the agents for whose connection this holds. Returns whose they are.
    pub(crate) fn await_outcomes(
        &mut self,
        is_awaited: impl Fn(ConnId, AgentKey) -> bool,
    ) -> Vec<AgentKey> {
        let all = self.slab.iter_mut();
        let agents = all.filter_map(|(_, (conn, connection))| {
            let key = connection.agent().filter(|&key| is_awaited(*conn, key))?;
            connection.is_awaited = true;
            Some(key)
        });
        agents.collect()
    }

    /// A terminate_app has ended: whose it was, and whether a drain waited for it until now. Of a single request
    /// (`is_drains` is false) a drain goes on waiting.
    pub(crate) fn heard_outcome(
        &mut self,
        conn: ConnId,
        is_drains: bool,
    ) -> (Option<AgentKey>, bool) {
        self.get_mut(conn).map_or((None, false), |connection| {
            let is_awaited = is_drains && std::mem::take(&mut connection.is_awaited);
            (connection.agent(), is_awaited)
        })
    }

    /// Those that are waited for, in the order of their numbers.
    pub(crate) fn awaited(&self) -> Vec<ConnId> {
        let awaited = self.iter().filter(|(_, connection)| connection.is_awaited);
        let mut awaited: Vec<ConnId> = awaited.map(|(conn, _)| conn).collect();
        awaited.sort_unstable();
        awaited
    }

    /// It has ended.
    pub(crate) fn close(&mut self, conn: ConnId) -> Option<Connection> {
        let is_it = |&slot: &u32| self.slab[slot as usize].0 == conn;
        let found = self.by_number.find_entry(hash(conn), is_it);
        let (slot, _) = found.ok()?.remove();
        let (_, connection) = self.slab.remove(slot as usize);
        self.unauthenticated -= usize::from(connection.who == Who::Unauthenticated);
        self.watching -= usize::from(connection.watches);
        Some(connection)
    }

    /// Every one of them.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &Connection)> {
        self.slab
            .iter()
            .map(|(_, (conn, connection))| (*conn, connection))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Whether one of them is told of changes.
    pub(crate) fn is_watched(&self) -> bool {
        self.watching > 0
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        let total = self.slab.len();
        Counts {
            total,
            authenticated: total - self.unauthenticated,
            unauthenticated: self.unauthenticated,
        }
    }

    fn find(&self, conn: ConnId) -> Option<usize> {
        let is_it = |&slot: &u32| self.slab[slot as usize].0 == conn;
        let slot = self.by_number.find(hash(conn), is_it);
        slot.map(|&slot| slot as usize)
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut Connection> {
        let slot = self.find(conn)?;
        self.slab.get_mut(slot).map(|(_, connection)| connection)
    }
}

/// Numbers are the core's own, and no peer chooses one: they need to be spread, and not to be kept from being guessed.
fn hash(conn: ConnId) -> u64 {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    let spread = conn.to_u64().wrapping_mul(GOLDEN);
    spread ^ (spread >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_memory_than_was_weighed() {
        // A fleet has thousands: what an agent's connection does not need belongs in a box.
        assert!(size_of::<Connection>() <= 24, "{}", size_of::<Connection>());
    }
}
