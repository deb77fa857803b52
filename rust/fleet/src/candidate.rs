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

    /// Whether it comes after what has this value and this id.
    pub(crate) fn is_behind(&self, value: Value<'_>, id: &str) -> bool {
        let place = || beginning(id, self.is_natural);
        self.compare(value, place, id).is_gt()
    }

    /// In the order that is asked for. Most are decided by their values, and nothing is made of the other's id.
    fn compare(&self, value: Value<'_>, beginning: impl FnOnce() -> u128, id: &str) -> Ordering {
        let ordering = compare(self.value, value)
            .then_with(|| self.beginning.cmp(&beginning()))
            .then_with(|| match self.is_natural {
                true => natural::compare(&self.id, id),
                false => (*self.id).cmp(id),
            });
        match self.is_descending {
            true => ordering.reverse(),
            false => ordering,
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
        self.compare(other.value, || other.beginning, &other.id)
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
