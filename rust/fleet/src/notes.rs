//! What is to be done about a batch: the table has changed, and its owner writes down, passes on and tells.

use std::sync::Arc;

use dscore_traffic::ConnId;
use dscore_traffic::event::{Closed, Outcome};

use crate::agent::AgentKey;
use crate::query::Times;
use crate::words::Reason;

/// Who wants to hear of what, and how times are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants {
    /// A hook is called at each connect.
    pub connects: bool,
    /// Every arrival is to be noted.
    pub arrivals: bool,
    /// A hook is called at each disconnect.
    pub disconnects: bool,
    /// A hook is called at each change of a status.
    pub statuses: bool,
    /// Changes are told to others than watchers.
    pub changes: bool,
    /// For timelines.
    pub times: Times,
    /// Where the age clock stands, in milliseconds.
    pub age: i64,
}

/// An agent that was let in.
#[derive(Debug)]
pub struct Arrival {
    /// Which.
    pub key: AgentKey,
    /// The connection that was taken over.
    pub previous: Option<ConnId>,
    /// Whether its session goes on.
    pub is_restored: bool,
    /// Whether its status has changed.
    pub changed: bool,
    /// Whether it has come back: within its grace period, or as it says itself.
    pub came_back: bool,
}

/// An outcome, and whose.
#[derive(Debug)]
pub struct Settled {
    /// The outcome.
    pub outcome: Box<Outcome>,
    /// The agent that the connection names.
    pub agent_id: Option<Arc<str>>,
}

/// An agent whose connection has ended.
#[derive(Debug)]
pub struct Lost {
    /// Whose.
    pub agent_id: Arc<str>,
    /// Which, and how.
    pub closed: Box<Closed>,
}

/// An agent whose grace period is over.
#[derive(Debug)]
pub struct Offline {
    /// Which.
    pub agent_id: Arc<str>,
    /// Why it is offline.
    pub reason: Option<Reason>,
}

/// What is to be done about a batch, in this order.
#[derive(Debug, Default)]
pub struct Notes {
    /// Agents that were let in and have something to be done about it, after all else.
    pub arrivals: Vec<Arrival>,
    /// How many that were let in go on with their session.
    pub restored: usize,
    /// Connections that have closed.
    pub closed: Vec<ConnId>,
    /// Agents that have lost their connection.
    pub lost: Vec<Lost>,
    /// Agents that are offline, for their grace period is over.
    pub offline: Vec<Offline>,
    /// Agents whose connection has ended, with close code and reason; only if that is wanted.
    pub disconnected: Vec<(AgentKey, u16, String)>,
    /// Agents whose status has changed; only if that is wanted.
    pub changed: Vec<AgentKey>,
    /// How terminate_apps ended.
    pub settled: Vec<Settled>,
    /// Connections of those that have closed which were told of changes.
    pub watchers: Vec<ConnId>,
    /// What the table has no cell for, one sentence each.
    pub faults: Vec<String>,
}

impl Notes {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        let Self {
            arrivals,
            restored,
            closed,
            lost,
            offline,
            disconnected,
            changed,
            settled,
            watchers: _,
            faults,
        } = self;
        arrivals.is_empty()
            && *restored == 0
            && closed.is_empty()
            && lost.is_empty()
            && offline.is_empty()
            && disconnected.is_empty()
            && changed.is_empty()
            && settled.is_empty()
            && faults.is_empty()
    }
}
