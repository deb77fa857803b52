//! How many agents there are of each kind: by state, by reason, by label and state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::agent::Agent;
use crate::agents::Agents;
use crate::page::Slots;
use crate::query::Query;
use crate::words::{Reason, State};

/// Values of one label that are told; the rest is counted.
const MAX_VALUES: usize = 50;
/// Labels that are looked at: peers choose them.
const MAX_LABELS: usize = 8192;

/// How many agents are in each state, in the order of [`State::ALL`].
pub type States = [u32; State::ALL.len()];

/// One label.
#[derive(Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its values and their agents, those of most agents first.
    pub values: Vec<(String, States)>,
    /// Values that are not told.
    pub more: usize,
}

/// The counts of the agents that fit a query.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Facets {
    /// By state.
    pub states: States,
    /// Those offline, by reason, the most frequent first.
    pub reasons: Vec<(Reason, u32)>,
    /// By name.
    pub labels: Vec<Label>,
}

/// Counts that are being taken. Each call takes the same query; its order and its limit do not matter.
#[derive(Debug, Default)]
pub struct FacetsScan {
    slots: Slots,
    states: States,
    reasons: [u32; Reason::ALL.len()],
    /// By address: agents share the strings of their labels, and an address is hashed sooner than a text. It stays that of
    /// its string, which is held.
    labels: HashMap<usize, (Arc<str>, States)>,
}

impl FacetsScan {
    /// Goes on; true when it is done.
    pub fn step(&mut self, agents: &Agents, query: &Query<'_>) -> bool {
        let mut needle = query.needle();
        for key in self.slots.step(agents) {
            if let Some(agent) = agents.known(key)
                && query.fits(agent, needle.as_mut())
            {
                self.count(agent);
            }
        }
        self.slots.are_done(agents)
    }

    fn count(&mut self, agent: &Agent) {
        let state = agent.state as usize;
        self.states[state] += 1;
        if let Some(reason) = agent.reason {
            self.reasons[reason as usize] += 1;
        }
        for label in agent.shared_labels() {
            let address = Arc::as_ptr(label).cast::<u8>().addr();
            let has_room = self.labels.len() < MAX_LABELS;
            if let Some((_, counts)) = self.labels.get_mut(&address) {
                counts[state] += 1;
            } else if has_room {
                let mut counts = States::default();
                counts[state] = 1;
                self.labels.insert(address, (label.clone(), counts));
            }
        }
    }

    /// The counts, when it is done.
    pub fn facets(self) -> Facets {
        let labels = self.labels.values();
        Facets {
            states: self.states,
            reasons: ranked(&self.reasons),
            labels: by_name(labels.map(|(label, counts)| (&**label, *counts))),
        }
    }
}

impl Agents {
    /// Counts those that fit, in one go.
    pub fn facets(&self, query: &Query<'_>) -> Facets {
        let mut scan = FacetsScan::default();
        while !scan.step(self, query) {}
        scan.facets()
    }
}

fn ranked(counts: &[u32]) -> Vec<(Reason, u32)> {
    let counted = Reason::ALL.iter().copied().zip(counts.iter().copied());
    let mut found: Vec<_> = counted.filter(|&(_, count)| count > 0).collect();
    found.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    found
}

/// One that is not shared is there several times.
fn by_name<'a>(labels: impl Iterator<Item = (&'a str, States)>) -> Vec<Label> {
    let mut names: BTreeMap<&str, BTreeMap<&str, States>> = BTreeMap::new();
    for (label, counts) in labels {
        let Some((name, value)) = label.split_once('=') else {
            continue;
        };
        let sum = names.entry(name).or_default().entry(value).or_default();
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    names
        .into_iter()
        .map(|(name, values)| {
            let more = values.len().saturating_sub(MAX_VALUES);
            let mut values: Vec<_> = values.into_iter().collect();
            values.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.iter().sum::<u32>()));
            values.truncate(MAX_VALUES);
            let values = values
                .into_iter()
                .map(|(value, counts)| (value.to_owned(), counts));
            Label {
                name: name.to_owned(),
                values: values.collect(),
                more,
            }
        })
        .collect()
}
