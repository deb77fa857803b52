//! Pages of agents: filter, sort, cut.
//!
//! A page begins behind the last agent of the one before, which is named by what it was sorted by and its id, not by its
//! position: agents that come and go between two pages neither repeat nor hide others. A window is named by its position:
//! what a screen shows that scrolls through all of them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use caseless::default_case_fold_str;

use crate::agent::{Agent, AgentKey};
use crate::agents::Agents;
use crate::natural;
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
    fn is_natural(self) -> bool {
        matches!(self, Self::Natural | Self::Problem)
    }
}

/// What a page was sorted by, of one agent.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Value<'a> {
    /// A word, "" where the id alone counts.
    Text(&'a str),
    /// How soon a state needs a look.
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

/// A page.
#[derive(Debug, Default)]
pub struct Page {
    /// The agents.
    pub agents: Vec<AgentKey>,
    /// Whether there are more behind them.
    pub has_more: bool,
    /// All agents that fit, those before the page too.
    pub total: usize,
}

impl Agents {
    /// One page of those that are known.
    pub fn page(&self, query: &Query<'_>) -> Page {
        let mut total = 0;
        let needle = query.needle();
        let behind = self
            .iter()
            .filter(|(_, agent)| query.fits(agent, needle.as_deref()))
            .inspect(|_| total += 1)
            .map(|(key, agent)| Candidate {
                value: query.value(agent),
                id: &agent.id,
                key,
                is_descending: query.is_descending,
                is_natural: query.sort.is_natural(),
            })
            .filter(|candidate| {
                let after = query.after;
                after.is_none_or(|(value, id)| candidate.is_behind(value, id))
            });
        let found = match query.offset {
            0 => first(behind, query.limit),
            offset => window(behind.collect(), offset, query.limit),
        };
        let has_more = found.len() > query.limit;
        let found = found.into_iter().take(query.limit);
        Page {
            agents: found.map(|candidate| candidate.key).collect(),
            has_more,
            total,
        }
    }
}

/// The first ones in order, one more than asked for if there is one: mostly far fewer than there are.
fn first<'a>(candidates: impl Iterator<Item = Candidate<'a>>, limit: usize) -> Vec<Candidate<'a>> {
    // The largest on top: what does not belong among the first ones goes.
    let mut heap: BinaryHeap<Candidate<'a>> = BinaryHeap::new();
    for candidate in candidates {
        if heap.len() <= limit {
            heap.push(candidate);
        } else if let Some(mut last) = heap.peek_mut().filter(|last| candidate < **last) {
            *last = candidate;
        }
    }
    heap.into_sorted_vec()
}

/// The same from an offset on. Nothing is sorted but what is shown: it takes as long as there are candidates, wherever
/// it begins.
fn window(mut all: Vec<Candidate<'_>>, offset: usize, limit: usize) -> Vec<Candidate<'_>> {
    if offset >= all.len() {
        return Vec::new();
    }
    all.select_nth_unstable(offset);
    let mut shown = all.split_off(offset);
    if shown.len() > limit + 1 {
        shown.select_nth_unstable(limit + 1);
        shown.truncate(limit + 1);
    }
    shown.sort_unstable();
    shown
}

impl Query<'_> {
    /// The text that is looked for, as ids are compared with it.
    pub(crate) fn needle(&self) -> Option<String> {
        let text = self.text.filter(|text| !text.is_empty());
        text.map(default_case_fold_str)
    }

    /// What an agent is sorted by.
    pub fn value<'b>(&self, agent: &'b Agent) -> Value<'b> {
        let seconds = |ms: Option<i64>| ms.map_or(0.0, |ms| self.times.unix_seconds(ms));
        match self.sort {
            Sort::Id | Sort::Natural => Value::Text(""),
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

    pub(crate) fn fits(&self, agent: &Agent, needle: Option<&str>) -> bool {
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
    is_natural: bool,
}

impl Candidate<'_> {
    fn is_behind(&self, value: Value<'_>, id: &str) -> bool {
        let ordering = self.compare(value, id);
        match self.is_descending {
            true => ordering.is_lt(),
            false => ordering.is_gt(),
        }
    }

    fn compare(&self, value: Value<'_>, id: &str) -> Ordering {
        compare(self.value, value).then_with(|| match self.is_natural {
            true => natural::compare(self.id, id),
            false => self.id.cmp(id),
        })
    }
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let ordering = self.compare(other.value, other.id);
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

/// Values of one order are of one kind; there is no time that is no number.
fn compare(one: Value<'_>, other: Value<'_>) -> Ordering {
    one.partial_cmp(&other).unwrap_or(Ordering::Equal)
}
