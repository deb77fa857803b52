//! One agent.

use std::num::NonZeroU32;
use std::sync::Arc;

use dscore_traffic::ConnId;
use dscore_wheel::Key;

use crate::address::Address;
use crate::labels::Labels;
use crate::maybe::{MaybeConn, MaybeMs};
use crate::session::Session;
use crate::timeline::Timeline;
use crate::words::{Dialect, Introducer, Reason, State};

/// Names an agent in its table, for as long as something refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey(NonZeroU32);

impl AgentKey {
    /// Of the slot of this index. Counted from 1: a key that may be missing takes no more room.
    pub(crate) fn of(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index as u32))
    }

    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    /// As a number.
    pub fn to_u64(self) -> u64 {
        self.0.get().into()
    }
}

/// Its grace period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GraceOf {
    /// It has none.
    None,
    /// It runs.
    Armed(Key),
    /// It has run out, and waits for its turn.
    Due,
}

/// One agent: plain data, shared strings, nothing that can be worked out. Times are milliseconds of the pool's clock,
/// mostly negative where an earlier process has left them.
#[derive(Debug)]
pub struct Agent {
    /// Its id.
    pub id: Arc<str>,
    /// Names it in the store: never used again.
    pub number: u64,
    /// Its connection, if it has one. An agent owns this one and no other: the end of a stale connection is told from its
    /// successor's by comparing them.
    pub(crate) conn: MaybeConn,
    /// Counts the connections it has had, across processes.
    pub generation: u32,
    /// Its state. Changed by the table alone.
    pub state: State,
    /// Why it is offline; `None` while online and before the first introduction.
    pub reason: Option<Reason>,
    /// Where its connection comes from, or came from.
    pub ip: Address,
    /// Of its connection, or of the last one.
    pub dialect: Dialect,
    /// What introduced it last.
    pub introduced_by: Introducer,
    pub(crate) heard_at: MaybeMs,
    pub(crate) last_heartbeat: MaybeMs,
    /// When its last connection was introduced.
    pub connected_at: i64,
    /// The round trip of the last ping that was answered, in µs; 0: none yet.
    pub rtt_us: u32,
    /// Whether watchers were told `client_reconnected` for this connection.
    pub reported_back: bool,
    /// What outlives its connection.
    pub session: Option<Session>,
    /// What has happened to it, as far as it is kept here.
    pub timeline: Timeline,
    pub(crate) grace: GraceOf,
    config: Option<Box<Config>>,
    /// When its state became what it is.
    pub changed_at: i64,
    /// When it lost its connection.
    pub(crate) left_at: i64,
    /// Its neighbours in the list of those without a connection.
    pub(crate) older: Option<AgentKey>,
    pub(crate) newer: Option<AgentKey>,
    pub(crate) is_absent: bool,
    /// Whether it is found by its id.
    pub(crate) is_known: bool,
    /// The version of what of it is not saved; 0: nothing is.
    pub(crate) changed: u64,
    /// What that is.
    pub(crate) unsaved: u8,
    /// Connections and handles that name it. One that is forgotten stays until there is none.
    pub(crate) refs: u32,
}

/// What an app_ready says beside the id: many say nothing.
#[derive(Debug)]
struct Config {
    json: Box<[u8]>,
    labels: Option<Box<[Arc<str>]>>,
}

impl Agent {
    pub(crate) fn new(id: Arc<str>, number: u64, nowhere: Address) -> Self {
        Self {
            id,
            number,
            conn: MaybeConn::NONE,
            generation: 0,
            state: State::Offline,
            reason: None,
            ip: nowhere,
            dialect: Dialect::Raw,
            introduced_by: Introducer::default(),
            heard_at: MaybeMs::NONE,
            last_heartbeat: MaybeMs::NONE,
            connected_at: 0,
            rtt_us: 0,
            reported_back: false,
            session: None,
            timeline: Timeline::default(),
            grace: GraceOf::None,
            config: None,
            changed_at: 0,
            left_at: 0,
            older: None,
            newer: None,
            is_absent: false,
            is_known: true,
            changed: 0,
            unsaved: 0,
            refs: 0,
        }
    }

    /// Its connection; `None`: it has none.
    pub fn conn(&self) -> Option<ConnId> {
        self.conn.get()
    }

    /// When something last came from it, as last read in bulk.
    pub fn heard_at(&self) -> Option<i64> {
        self.heard_at.get()
    }

    /// The last heartbeat, as last read in bulk.
    pub fn last_heartbeat(&self) -> Option<i64> {
        self.last_heartbeat.get()
    }

    /// Whether a grace period of it runs, or has run out and waits for its turn.
    pub fn has_grace(&self) -> bool {
        self.grace != GraceOf::None
    }

    /// Whether it is found by its id.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// The `config` of its app_ready, a JSON object; `None` when it was empty or never sent.
    pub fn config(&self) -> Option<&[u8]> {
        self.config.as_ref().map(|config| &*config.json)
    }

    pub(crate) fn set_config(&mut self, config: Option<&[u8]>, labels: &mut Labels) {
        // One that comes back nearly always says the same, and its labels follow from that alone.
        if self.config() == config {
            return;
        }
        self.config = config.map(|json| {
            Box::new(Config {
                json: json.into(),
                labels: labels.read(json),
            })
        });
    }

    /// What its config calls it: `name=value`, sorted.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.shared_labels().map(|label| &**label)
    }

    /// The same, as they are shared with other agents.
    pub(crate) fn shared_labels(&self) -> impl Iterator<Item = &Arc<str>> {
        let config = self.config.iter();
        config.flat_map(|config| config.labels.iter().flatten())
    }

    /// Whether it has a label of this name, with this value if one is given.
    pub fn has_label(&self, name: &str, value: Option<&str>) -> bool {
        self.labels()
            .filter_map(|label| label.split_once('='))
            .any(|(its_name, its_value)| {
                its_name == name && value.is_none_or(|value| value == its_value)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_memory_than_was_weighed() {
        // A fleet has thousands: what is seldom there belongs in a box.
        assert!(size_of::<Agent>() <= 184, "{}", size_of::<Agent>());
        assert_eq!(size_of::<Option<AgentKey>>(), 4);
    }
}
