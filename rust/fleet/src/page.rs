//! Pages of agents: filter, sort, cut.
//!
//! A page begins behind the last agent of the one before, which is named by what it was sorted by and its id, not by its
//! position: agents that come and go between two pages neither repeat nor hide others.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use caseless::default_case_fold_str;

use crate::agent::{Agent, AgentKey};
use crate::agents::Agents;
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
    /// online or offline.
    Status,
    /// The name of the state.
    State,
    /// When it was introduced last; never comes first.
    ConnectedAt,
    /// When it last sent a heartbeat; never comes first.
    LastHeartbeat,
}

impl Sort {
    /// The sort of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "status" => Self::Status,
            "state" => Self::State,
            "connected_at" => Self::ConnectedAt,
            "last_heartbeat" => Self::LastHeartbeat,
            _ => return None,
        })
    }
}

/// What a page was sorted by, of one agent.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Value<'a> {
    /// A word, "" where the id alone counts.
    Text(&'a str),
    /// Unix seconds; 0 for never.
    Seconds(f64),
}

/// Which agents, in which order, how many. `None` and nothing mean any.
#[derive(Debug)]
pub struct Query<'a> {
    /// online (true) or offline.
    pub is_online: Option<bool>,
    /// The state.
    pub state: Option<State>,
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
    /// At most so many.
    pub limit: usize,
    /// Only agents behind this one.
    pub after: Option<(Value<'a>, &'a str)>,
    /// For the orders by time.
    pub times: Times,
}

/// A page: the agents, and whether there are more.
pub type Page = (Vec<AgentKey>, bool);

impl Agents {
    /// One page of those that are known.
    pub fn page(&self, query: &Query<'_>) -> Page {
        let needle = query
            .text
            .filter(|text| !text.is_empty())
            .map(default_case_fold_str);
        // The largest on top: what does not belong among the first ones goes.
        let mut heap: BinaryHeap<Candidate<'_>> = BinaryHeap::new();
        for (key, agent) in self.iter() {
            if !query.fits(agent, needle.as_deref()) {
                continue;
            }
            let candidate = Candidate {
                value: query.value(agent),
                id: &agent.id,
                key,
                is_descending: query.is_descending,
            };
            if query
                .after
                .is_some_and(|(value, id)| !candidate.is_behind(value, id))
            {
                continue;
            }
            if heap.len() <= query.limit {
                heap.push(candidate);
            } else if let Some(mut last) = heap.peek_mut().filter(|last| candidate < **last) {
                *last = candidate;
            }
        }
        let mut found: Vec<AgentKey> = heap
            .into_sorted_vec()
            .into_iter()
            .map(|candidate| candidate.key)
            .collect();
        let has_more = found.len() > query.limit;
        found.truncate(query.limit);
        (found, has_more)
    }
}

impl Query<'_> {
    /// What an agent is sorted by.
    pub fn value<'b>(&self, agent: &'b Agent) -> Value<'b> {
        let seconds = |ms: Option<i64>| ms.map_or(0.0, |ms| self.times.unix_seconds(ms));
        match self.sort {
            Sort::Id => Value::Text(""),
            Sort::Status => Value::Text(agent.state.status()),
            Sort::State => Value::Text(agent.state.name()),
            Sort::ConnectedAt => Value::Seconds(seconds(
                (agent.generation > 0).then_some(agent.connected_at),
            )),
            Sort::LastHeartbeat => Value::Seconds(seconds(agent.last_heartbeat)),
        }
    }

    fn fits(&self, agent: &Agent, needle: Option<&str>) -> bool {
        self.is_online
            .is_none_or(|is_online| agent.state.is_online() == is_online)
            && self.state.is_none_or(|state| agent.state == state)
            && self
                .reason
                .is_none_or(|reason| agent.reason == Some(reason))
            && self.dialect.is_none_or(|dialect| agent.dialect == dialect)
            && self
                .labels
                .iter()
                .all(|(name, value)| agent.has_label(name, value.as_deref()))
            && needle.is_none_or(|needle| has_text(&agent.id, needle) || agent.ip.contains(needle))
    }
}

/// Whether a text holds another one, which is folded.
fn has_text(text: &str, needle: &str) -> bool {
    if !text.is_ascii() {
        return default_case_fold_str(text).contains(needle);
    }
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    text.windows(needle.len())
        .any(|part| part.eq_ignore_ascii_case(needle))
}

struct Candidate<'a> {
    value: Value<'a>,
    id: &'a str,
    key: AgentKey,
    is_descending: bool,
}

impl Candidate<'_> {
    fn is_behind(&self, value: Value<'_>, id: &str) -> bool {
        let ordering = compare(self.value, value).then_with(|| self.id.cmp(id));
        match self.is_descending {
            true => ordering.is_lt(),
            false => ordering.is_gt(),
        }
    }
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let ordering = compare(self.value, other.value).then_with(|| self.id.cmp(other.id));
        match self.is_descending {
            true => ordering.reverse(),
            false => ordering,
        }
    }
}

impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate<'_> {}

/// Values of one order are of one kind; there is no time that is no number.
fn compare(one: Value<'_>, other: Value<'_>) -> Ordering {
    one.partial_cmp(&other).unwrap_or(Ordering::Equal)
}
