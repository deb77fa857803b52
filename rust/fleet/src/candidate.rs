//! One of the agents that fit, and its place in the order that is asked for.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::agent::{Agent, AgentKey};
use crate::natural;
use crate::query::{Query, Value};

/// Compared without the table: what its place follows from is here.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    value: Value<'static>,
    /// The beginning of the id in a form that is compared in one step: most ids differ there.
    beginning: u128,
    pub(crate) id: Arc<str>,
    pub(crate) key: AgentKey,
    is_descending: bool,
    is_natural: bool,
}

impl Candidate {
    pub(crate) fn new(query: &Query<'_>, key: AgentKey, agent: &Agent) -> Self {
        let is_natural = query.sort.is_natural();
        Self {
            value: query.value(agent),
            beginning: beginning(&agent.id, is_natural),
            id: agent.id.clone(),
            key,
            is_descending: query.is_descending,
            is_natural,
        }
    }

    /// Whether it comes after an agent that fits the same query. Most agents are decided by the first thing that is
    /// compared, and nothing more is made of those.
    pub(crate) fn comes_after(&self, query: &Query<'_>, agent: &Agent) -> bool {
        let ordering = compare(self.value, query.value(agent))
            .then_with(|| {
                let place = beginning(&agent.id, self.is_natural);
                self.beginning.cmp(&place)
            })
            .then_with(|| self.compare_ids(&agent.id));
        match self.is_descending {
            true => ordering.is_lt(),
            false => ordering.is_gt(),
        }
    }

    pub(crate) fn is_behind(&self, value: Value<'_>, id: &str) -> bool {
        let place = beginning(id, self.is_natural);
        let ordering = self.compare(value, place, id);
        match self.is_descending {
            true => ordering.is_lt(),
            false => ordering.is_gt(),
        }
    }

    fn compare(&self, value: Value<'_>, beginning: u128, id: &str) -> Ordering {
        compare(self.value, value)
            .then_with(|| self.beginning.cmp(&beginning))
            .then_with(|| self.compare_ids(id))
    }

    fn compare_ids(&self, id: &str) -> Ordering {
        match self.is_natural {
            true => natural::compare(&self.id, id),
            false => (*self.id).cmp(id),
        }
    }
}

fn beginning(id: &str, is_natural: bool) -> u128 {
    match is_natural {
        true => natural::beginning(id),
        false => natural::packed(id.bytes()),
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let ordering = self.compare(other.value, other.beginning, &other.id);
        match self.is_descending {
            true => ordering.reverse(),
            false => ordering,
        }
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

/// Values of one order are of one kind; there is no time that is no number.
fn compare(one: Value<'_>, other: Value<'_>) -> Ordering {
    one.partial_cmp(&other).unwrap_or(Ordering::Equal)
}
