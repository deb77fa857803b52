//! Pages of agents: filter, sort, cut.
//!
//! A page begins behind the last agent of the one before, which is named by what it was sorted by and its id, not by its
//! position: agents that come and go between two pages neither repeat nor hide others. A window is named by its position:
//! what a screen shows that scrolls through all of them.
//!
//! All agents are looked at, whatever is asked for: with a hundred thousand of them that is too long for one turn of a
//! loop, so it is done in steps. Between two of them the table may change: each slot is looked at once, as it is then.

use std::collections::BinaryHeap;

use crate::agent::{Agent, AgentKey};
use crate::agents::Agents;
use crate::candidate::Candidate;
use crate::query::Query;
use crate::selection::Selection;

/// Slots that are looked at in one step: well under a millisecond.
pub(crate) const STEP: usize = 4096;
/// Comparisons of a step that selects: one that goes to the end of two long ids takes longer than a look.
const COMPARISONS: usize = STEP;

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

/// A page that is being made. Each call takes the same query.
#[derive(Debug)]
pub struct PageScan {
    slots: Slots,
    total: usize,
    found: Found,
}

/// Which slots of the table were looked at: all of them, in steps.
#[derive(Debug, Default)]
pub struct Slots {
    next: usize,
}

/// Those that may be on the page.
#[derive(Debug)]
enum Found {
    /// The first ones in order, the last of them on top: mostly far fewer than there are.
    First(BinaryHeap<Candidate>),
    /// Of a window: all of them.
    All(Vec<Candidate>),
    Selection(Selection<Candidate>),
}

impl PageScan {
    /// One that has not begun.
    pub fn new(query: &Query<'_>) -> Self {
        Self {
            slots: Slots::default(),
            total: 0,
            found: match query.offset {
                0 => Found::First(BinaryHeap::new()),
                _ => Found::All(Vec::new()),
            },
        }
    }

    /// Goes on; true when it is done.
    pub fn step(&mut self, agents: &Agents, query: &Query<'_>) -> bool {
        if let Found::Selection(selection) = &mut self.found {
            return selection.step(COMPARISONS);
        }
        let mut needle = query.needle();
        for key in self.slots.step(agents) {
            let Some(agent) = agents.known(key) else {
                continue;
            };
            if query.fits(agent, needle.as_mut()) {
                self.total += 1;
                self.found.take(query, key, agent);
            }
        }
        if !self.slots.are_done(agents) {
            return false;
        }
        match &mut self.found {
            Found::All(all) => {
                let (from, to) = bounds(query);
                self.found = Found::Selection(Selection::new(std::mem::take(all), from, to));
                false
            }
            Found::First(_) | Found::Selection(_) => true,
        }
    }

    /// The page, when it is done. An agent that was forgotten meanwhile is left out.
    pub fn page(self, agents: &Agents, query: &Query<'_>) -> Page {
        let (from, to) = bounds(query);
        let found = match self.found {
            Found::First(heap) => heap.into_sorted_vec(),
            Found::All(all) => Selection::new(all, from, to).sorted(from, to),
            Found::Selection(selection) => selection.sorted(from, to),
        };
        let has_more = found.len() > query.limit;
        let shown = found.into_iter().take(query.limit);
        let is_there = |candidate: &Candidate| {
            let agent = agents.known(candidate.key);
            // The slot may be another one's by now.
            agent.is_some_and(|agent| agent.id == candidate.id)
        };
        Page {
            agents: shown
                .filter(is_there)
                .map(|candidate| candidate.key)
                .collect(),
            has_more,
            total: self.total,
        }
    }
}

/// From which rank to which: one more than is shown tells whether there are more.
fn bounds(query: &Query<'_>) -> (usize, usize) {
    let to = query.offset.saturating_add(query.limit).saturating_add(1);
    (query.offset, to)
}

impl Found {
    fn take(&mut self, query: &Query<'_>, key: AgentKey, agent: &Agent) {
        if let Self::First(heap) = self
            && heap.len() > query.limit
            && heap
                .peek()
                .is_some_and(|last| !last.is_behind(query.value(agent), &agent.id))
        {
            return;
        }
        let candidate = Candidate::new(query, key, agent);
        let after = query.after;
        if after.is_some_and(|(value, id)| !candidate.is_behind(value, id)) {
            return;
        }
        match self {
            Self::First(heap) => {
                if heap.len() > query.limit {
                    heap.pop();
                }
                heap.push(candidate);
            }
            Self::All(all) => all.push(candidate),
            Self::Selection(_) => {}
        }
    }
}

impl Slots {
    /// The next ones.
    pub fn step(&mut self, agents: &Agents) -> impl Iterator<Item = AgentKey> + use<> {
        let from = self.next;
        self.next = (from + STEP).min(agents.slots().max(from));
        (from..self.next).map(AgentKey::of)
    }

    /// Whether there are none left.
    pub fn are_done(&self, agents: &Agents) -> bool {
        self.next >= agents.slots()
    }
}

impl Agents {
    /// One page of those that are known, in one go.
    pub fn page(&self, query: &Query<'_>) -> Page {
        let mut scan = PageScan::new(query);
        while !scan.step(self, query) {}
        scan.page(self, query)
    }
}
