//! What is not saved, and how it is written.

use std::sync::Arc;

use crate::address::Address;
use crate::agent::AgentKey;
use crate::new_entries::NewEntries;
use crate::query::Times;
use crate::session::KeptSession;
use crate::words::{Dialect, Introducer, Reason, State};

/// The row of an agent is to be written as a whole: it is new, or something of it has changed that seldom does.
pub(crate) const ROW: u8 = 1;
/// Its state or its session has changed.
pub(crate) const STATE: u8 = 2;
/// Something came from it.
pub(crate) const SEEN: u8 = 4;
/// A heartbeat did.
pub(crate) const BEAT: u8 = 8;
/// Its timeline has grown.
pub(crate) const ENTRIES: u8 = 16;

/// The clocks of the moment in which something is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Of the age clock, in milliseconds.
    pub age: i64,
    /// How times are shown.
    pub times: Times,
}

/// An agent as it is kept: the columns of its row, in their order.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Names it in the store: never used again.
    pub number: u64,
    /// Its id.
    pub agent_id: Arc<str>,
    /// What follows from the last input.
    pub kept: KeptState,
    /// Where its last connection comes from.
    pub ip: Address,
    /// Of that.
    pub dialect: Dialect,
    /// How many connections it has had.
    pub generation: u64,
    /// What introduced it last.
    pub introduced_by: Introducer,
    /// When, in Unix milliseconds.
    pub connected_at: i64,
    /// When it was last heard of, in Unix milliseconds.
    pub seen_at: Option<i64>,
    /// Its last heartbeat, in Unix milliseconds.
    pub heartbeat_at: Option<i64>,
    /// A JSON object.
    pub config: Option<Box<[u8]>>,
}

/// What many agents have in common after the same has happened to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeptState {
    /// The state.
    pub state: State,
    /// Why it is offline.
    pub reason: Option<Reason>,
    /// Its session.
    pub session: Option<KeptSession>,
}

/// The last time that something came from an agent, and its last heartbeat, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenRow {
    /// Of the agent.
    pub number: u64,
    /// Something came.
    pub seen_at: Option<i64>,
    /// A heartbeat.
    pub heartbeat_at: Option<i64>,
}

/// What is to be written.
#[derive(Debug, Default)]
pub struct Changes {
    /// For [`crate::Fleet::saved`].
    pub version: u64,
    /// Where the age clock stands.
    pub age: i64,
    /// Agents that are known no longer, with all they had.
    pub forgotten: Vec<u64>,
    /// Whole rows.
    pub rows: Vec<Row>,
    /// What has become of many agents at once: when something came from the last of them, if it did just now, and who they
    /// are.
    pub states: Vec<(KeptState, Option<i64>, Vec<u64>)>,
    /// What has only been heard.
    pub seen: Vec<SeenRow>,
    /// What has happened.
    pub entries: NewEntries,
    /// Messages that joined an outbox: number, agent, text.
    pub messages: Vec<(u64, Arc<str>, Arc<[u8]>)>,
    /// Messages that may have been written before, and have left their outbox.
    pub delivered: Vec<u64>,
}

/// What the store was given last, and has if it says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given {
    pub(crate) version: u64,
    /// The newest message.
    pub(crate) message: u64,
    /// The newest entry of a timeline.
    pub(crate) entry: u64,
}

/// What is not saved.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    /// Whether there is a store that writes anything down.
    pub(crate) is_wanted: bool,
    pub(crate) version: u64,
    /// Each once, and counted as a reference to it.
    pub(crate) agents: Vec<AgentKey>,
    /// Agents that are known no longer, each with the version of that.
    pub(crate) forgotten: Vec<(u64, u64)>,
    /// Messages that have left their outbox, each with the version of that.
    pub(crate) left: Vec<(u64, u64)>,
    pub(crate) given: Given,
    /// The newest message that the store has.
    pub(crate) last_message: u64,
    /// The server's timeline has grown.
    pub(crate) has_server_entries: bool,
}

impl Unsaved {
    /// A message is in no outbox any more. One that was never given to the store never will be.
    pub(crate) fn leave(&mut self, number: u64) {
        if self.is_wanted && number <= self.given.message {
            self.version += 1;
            self.left.push((self.version, number));
        }
    }

    /// An agent is known no longer.
    pub(crate) fn forget(&mut self, number: u64) {
        if self.is_wanted {
            self.version += 1;
            self.forgotten.push((self.version, number));
        }
    }

    /// Up to this number the store has all messages.
    pub(crate) fn adopt(&mut self, last_message: u64) {
        self.given.message = last_message;
        self.last_message = last_message;
    }

    /// The timeline of the server has grown.
    pub(crate) fn server_changed(&mut self) {
        if self.is_wanted {
            self.version += 1;
            self.has_server_entries = true;
        }
    }
}
