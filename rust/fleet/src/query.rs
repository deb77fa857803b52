//! Which agents are asked for, in which order.

use crate::agent::Agent;
use crate::needle::Needle;
use crate::words::{Dialect, Reason, State};

/// How times of the pool's clock are shown, in Unix milliseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// When this process began.
    pub boot_ms: i64,
    /// What is added to times before that.
    pub kept_offset_ms: i64,
    /// What is added to all others.
    pub offset_ms: i64,
}

impl Times {
    /// A time of the pool's clock in Unix milliseconds.
    pub fn unix_ms(&self, ms: i64) -> i64 {
        let is_kept = ms < self.boot_ms;
        let offset = if is_kept {
            self.kept_offset_ms
        } else {
            self.offset_ms
        };
        ms.saturating_add(offset)
    }

    fn unix_seconds(&self, ms: i64) -> f64 {
        self.unix_ms(ms) as f64 / 1000.0
    }
}

/// What a page is sorted by; agents that are alike in it, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// The id alone.
    Id,
    /// The id alone, numbers in it by their value.
    Natural,
    /// What needs a look first, then by id as people read it.
    Problem,
    /// online or offline.
    Status,
    /// The name of the state.
    State,
    /// When it was introduced last; never comes first.
    ConnectedAt,
    /// When it last sent a heartbeat; never comes first.
    LastHeartbeat,
    /// When its state became what it is.
    Since,
    /// The round trip of its last ping; none comes first.
    RoundTrip,
}

impl Sort {
    /// The sort of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "natural" => Self::Natural,
            "problem" => Self::Problem,
            "status" => Self::Status,
            "state" => Self::State,
            "connected_at" => Self::ConnectedAt,
            "last_heartbeat" => Self::LastHeartbeat,
            "since" => Self::Since,
            "rtt" => Self::RoundTrip,
            _ => return None,
        })
    }

    /// Whether numbers in ids count by their value.
    pub(crate) fn is_natural(self) -> bool {
        matches!(self, Self::Natural | Self::Problem)
    }
}

/// What a page was sorted by, of one agent.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Value<'a> {
    /// A word.
    Text(&'a str),
    /// How soon a state needs a look; 0 where the id alone counts.
    Rank(u8),
    /// Unix seconds; 0 for never.
    Seconds(f64),
}

/// Which agents, in which order, how many. `None` and nothing mean any.
#[derive(Debug)]
pub struct Query<'a> {
    /// online (true) or offline.
    pub is_online: Option<bool>,
    /// One of these states; none: any.
    pub states: &'a [State],
    /// The reason of being offline.
    pub reason: Option<Reason>,
    /// Of its connection.
    pub dialect: Option<Dialect>,
    /// Each with its value, or without where any fits; all must.
    pub labels: &'a [(String, Option<String>)],
    /// Part of the id or of the address, in any case.
    pub text: Option<&'a str>,
    /// The order.
    pub sort: Sort,
    /// Whether it is turned round.
    pub is_descending: bool,
    /// So many are left out at first.
    pub offset: usize,
    /// At most so many.
    pub limit: usize,
    /// Only agents behind this one.
    pub after: Option<(Value<'a>, &'a str)>,
    /// For the orders by time.
    pub times: Times,
}

impl Query<'_> {
    /// The text that is looked for, as ids are compared with it.
    pub(crate) fn needle(&self) -> Option<Needle> {
        self.text.and_then(Needle::new)
    }

    /// What an agent is sorted by.
    pub fn value(&self, agent: &Agent) -> Value<'static> {
        let seconds = |ms: Option<i64>| ms.map_or(0.0, |ms| self.times.unix_seconds(ms));
        match self.sort {
            Sort::Id | Sort::Natural => Value::Rank(0),
            Sort::Problem => Value::Rank(rank(agent.state)),
            Sort::Status => Value::Text(agent.state.status()),
            Sort::State => Value::Text(agent.state.name()),
            Sort::ConnectedAt => Value::Seconds(seconds(
                (agent.generation > 0).then_some(agent.connected_at),
            )),
            Sort::LastHeartbeat => Value::Seconds(seconds(agent.last_heartbeat())),
            Sort::Since => Value::Seconds(seconds(Some(agent.changed_at))),
            Sort::RoundTrip => Value::Seconds(f64::from(agent.rtt_us) / 1_000_000.0),
        }
    }

    pub(crate) fn fits(&self, agent: &Agent, needle: Option<&mut Needle>) -> bool {
        self.is_online
            .is_none_or(|is_online| agent.state.is_online() == is_online)
            && (self.states.is_empty() || self.states.contains(&agent.state))
            && self
                .reason
                .is_none_or(|reason| agent.reason == Some(reason))
            && self.dialect.is_none_or(|dialect| agent.dialect == dialect)
            && self
                .labels
                .iter()
                .all(|(name, value)| agent.has_label(name, value.as_deref()))
            && needle.is_none_or(|needle| needle.is_in(agent))
    }
}

/// The lost first, then those that may become so, then the rest; what was stopped as asked needs no look.
pub fn rank(state: State) -> u8 {
    match state {
        State::Offline => 0,
        State::Late => 1,
        State::Reconnecting | State::Unknown => 2,
        State::Terminating => 3,
        State::Connected => 4,
        State::Terminated => 5,
    }
}
