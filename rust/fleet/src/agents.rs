//! Agents by id, and those without a connection in the order in which they lost it.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;
use slab::Slab;

use crate::address::Address;
use crate::agent::{Agent, AgentKey};
use crate::labels::Labels;
use crate::maybe::MaybeConn;
use crate::session::KeptSession;
use crate::words::{Dialect, Introducer, Reason, State};

/// An agent as an earlier process has left it.
#[derive(Clone, Debug)]
pub struct Restored<'a> {
    /// Names it in the store.
    pub number: u64,
    /// Its id.
    pub id: &'a str,
    /// Its state when that process ended.
    pub state: State,
    /// Why it was offline.
    pub reason: Option<Reason>,
    /// Where its last connection came from.
    pub ip: &'a str,
    /// Of its last connection.
    pub dialect: Dialect,
    /// How many connections it has had.
    pub generation: u64,
    /// What introduced it last.
    pub introduced_by: Introducer,
    /// When.
    pub connected_at: i64,
    /// When something last came from it.
    pub heard_at: Option<i64>,
    /// Its last heartbeat.
    pub last_heartbeat: Option<i64>,
    /// Its config.
    pub config: Option<&'a [u8]>,
    /// Its session.
    pub session: Option<KeptSession>,
}

/// Every agent that is known, and those that are forgotten while something still names them.
#[derive(Debug)]
pub struct Agents {
    slab: Slab<Agent>,
    /// By the hash of its id; the id itself is the agent's.
    by_id: HashTable<AgentKey>,
    /// Peers choose the ids.
    hasher: RandomState,
    /// The newest agent's.
    last_number: u64,
    /// The ends of the list of those without a connection.
    oldest: Option<AgentKey>,
    newest: Option<AgentKey>,
    absent: usize,
    /// Of the configs of those.
    absent_config_bytes: usize,
    /// The text of an address that was kept last: a fleet behind one address keeps one string.
    last_ip: Arc<str>,
    labels: Labels,
    nowhere: Address,
}

impl Default for Agents {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Self {
            slab: Slab::new(),
            by_id: HashTable::new(),
            hasher: RandomState::new(),
            last_number: 0,
            oldest: None,
            newest: None,
            absent: 0,
            absent_config_bytes: 0,
            last_ip: empty.clone(),
            labels: Labels::default(),
            nowhere: empty.into(),
        }
    }
}

impl Agents {
    /// The agent of this id.
    pub fn find(&self, id: &str) -> Option<AgentKey> {
        self.find_hashed(id, self.hasher.hash_one(id))
    }

    fn find_hashed(&self, id: &str, hash: u64) -> Option<AgentKey> {
        let has_id = |&key: &AgentKey| self.get(key).is_some_and(|agent| *agent.id == *id);
        self.by_id.find(hash, has_id).copied()
    }

    /// The agent of this key; `None` for a key that is not of this table.
    pub fn get(&self, key: AgentKey) -> Option<&Agent> {
        self.slab.get(key.index())
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: AgentKey) -> Option<&mut Agent> {
        self.slab.get_mut(key.index())
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The agent of this key, if it is known still.
    pub fn known(&self, key: AgentKey) -> Option<&Agent> {
        self.get(key).filter(|agent| agent.is_known)
    }

    /// No agent's slot is of this index, or of a later one.
    pub(crate) fn slots(&self) -> usize {
        self.slab.capacity()
    }

    /// Those that are known, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (AgentKey, &Agent)> {
        self.slab
            .iter()
            .filter(|(_, agent)| agent.is_known)
            .map(|(index, agent)| (AgentKey::of(index), agent))
    }

    /// How many have no connection.
    pub fn absent(&self) -> usize {
        self.absent
    }

    /// The agent of this id that is to have a connection; it is made if there is none.
    pub(crate) fn admit(&mut self, id: &Arc<str>) -> AgentKey {
        let hash = self.hasher.hash_one(&**id);
        if let Some(key) = self.find_hashed(id, hash) {
            self.be_present(key);
            return key;
        }
        self.last_number += 1;
        let agent = Agent::new(id.clone(), self.last_number, self.nowhere.clone());
        let key = AgentKey::of(self.slab.insert(agent));
        let (hasher, slab) = (&self.hasher, &self.slab);
        let hash_of = |&key: &AgentKey| hasher.hash_one(&*slab[key.index()].id);
        self.by_id.insert_unique(hash, key, hash_of);
        key
    }

    /// Takes up an agent of an earlier process; oldest first. One that is known already is left as it is.
    pub(crate) fn restore(&mut self, stored: &Restored<'_>, left_at: i64) -> Option<AgentKey> {
        if self.find(stored.id).is_some() {
            return None;
        }
        let key = self.admit(&stored.id.into());
        let ip = self.address(stored.ip);
        let agent = self.get_mut(key)?;
        agent.number = stored.number;
        agent.heard_at = stored.heard_at.into();
        agent.state = stored.state;
        agent.changed_at = left_at;
        agent.reason = stored.reason;
        agent.ip = ip;
        agent.dialect = stored.dialect;
        agent.generation = u32::try_from(stored.generation).unwrap_or(u32::MAX);
        agent.introduced_by = stored.introduced_by;
        agent.connected_at = stored.connected_at;
        agent.last_heartbeat = stored.last_heartbeat.into();
        self.last_number = self.last_number.max(stored.number);
        self.set_config(key, stored.config);
        self.be_absent(key, left_at);
        Some(key)
    }

    /// Gives it another config.
    pub fn set_config(&mut self, key: AgentKey, config: Option<&[u8]>) {
        let Some(agent) = self.slab.get_mut(key.index()) else {
            return;
        };
        let before = config_bytes(agent);
        agent.set_config(config, &mut self.labels);
        if agent.is_absent {
            self.absent_config_bytes = self.absent_config_bytes - before + config_bytes(agent);
        }
    }

    /// It has no connection any more: the newest of those that have none.
    pub(crate) fn be_absent(&mut self, key: AgentKey, left_at: i64) {
        self.be_present(key);
        let newest = self.newest;
        let Some(agent) = self.get_mut(key) else {
            return;
        };
        agent.conn = MaybeConn::NONE;
        if !agent.is_known {
            return;
        }
        agent.is_absent = true;
        agent.left_at = left_at;
        agent.older = newest;
        let bytes = config_bytes(agent);
        match newest.and_then(|newest| self.get_mut(newest)) {
            Some(before) => before.newer = Some(key),
            None => self.oldest = Some(key),
        }
        self.newest = Some(key);
        self.absent += 1;
        self.absent_config_bytes += bytes;
    }

    /// It leaves the list of those that have none, if it is in it.
    pub(crate) fn be_present(&mut self, key: AgentKey) {
        let Some(agent) = self.get_mut(key).filter(|agent| agent.is_absent) else {
            return;
        };
        agent.is_absent = false;
        let (older, newer) = (agent.older.take(), agent.newer.take());
        let bytes = config_bytes(agent);
        match older.and_then(|older| self.get_mut(older)) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match newer.and_then(|newer| self.get_mut(newer)) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        self.absent -= 1;
        self.absent_config_bytes -= bytes;
    }

    /// It is known no longer; what names it still finds it.
    pub(crate) fn forget(&mut self, key: AgentKey) {
        self.be_present(key);
        let Some(agent) = self
            .slab
            .get_mut(key.index())
            .filter(|agent| agent.is_known)
        else {
            return;
        };
        agent.is_known = false;
        let hash = self.hasher.hash_one(&*agent.id);
        if let Ok(found) = self.by_id.find_entry(hash, |&known| known == key) {
            found.remove();
        }
        self.free_if_unnamed(key);
    }

    /// One more names it.
    pub fn retain(&mut self, key: AgentKey) {
        if let Some(agent) = self.get_mut(key) {
            agent.refs += 1;
        }
    }

    /// One less does.
    pub fn release(&mut self, key: AgentKey) {
        if let Some(agent) = self.get_mut(key) {
            agent.refs = agent.refs.saturating_sub(1);
            self.free_if_unnamed(key);
        }
    }

    /// The longest without a connection, then the next one.
    pub(crate) fn absent_from_oldest(&self) -> impl Iterator<Item = (AgentKey, &Agent)> {
        let mut next = self.oldest;
        std::iter::from_fn(move || {
            let key = next?;
            let agent = self.get(key)?;
            next = agent.newer;
            Some((key, agent))
        })
    }

    /// Takes the configs of those that have been away longest, until all that the absent have fit. Returns whose.
    pub fn drop_configs(&mut self, max_bytes: usize) -> Vec<AgentKey> {
        let mut dropped = Vec::new();
        if self.absent_config_bytes <= max_bytes {
            return dropped;
        }
        let mut left = self.absent_config_bytes;
        for (key, agent) in self.absent_from_oldest() {
            if left <= max_bytes {
                break;
            }
            let bytes = config_bytes(agent);
            if bytes > 0 {
                left -= bytes;
                dropped.push(key);
            }
        }
        for &key in &dropped {
            self.set_config(key, None);
        }
        dropped
    }

    /// The address that is written this way.
    pub(crate) fn address(&mut self, text: &str) -> Address {
        Address::new(text, |text| {
            if *self.last_ip != *text {
                self.last_ip = text.into();
            }
            self.last_ip.clone()
        })
    }

    fn free_if_unnamed(&mut self, key: AgentKey) {
        if self
            .get(key)
            .is_some_and(|agent| !agent.is_known && agent.refs == 0)
        {
            self.slab.remove(key.index());
        }
    }
}

fn config_bytes(agent: &Agent) -> usize {
    agent.config().map_or(0, <[u8]>::len)
}
