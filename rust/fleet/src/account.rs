//! What the outcomes of a drain add up to.

use std::sync::Arc;

use dscore_traffic::event::{Outcome, OutcomeKind};

/// How many agents have which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainCounts {
    /// Agents that were connected at the start.
    pub total: usize,
    /// Those without an outcome.
    pub pending: usize,
    by_kind: [usize; OutcomeKind::ALL.len()],
    /// Of the acked: a stream did not reach its end.
    pub incomplete: usize,
}

impl DrainCounts {
    /// How many ended like this.
    pub fn of(&self, kind: OutcomeKind) -> usize {
        self.by_kind[kind as usize]
    }
}

/// What the outcomes of a drain add up to.
#[derive(Clone, Debug, Default)]
pub struct DrainAccount {
    /// Of all agents.
    pub counts: DrainCounts,
    /// Whether agents are asked to stop: then those without an `OK` are named.
    is_terminate: bool,
    /// Of the acked, µs.
    latencies: Vec<u64>,
    /// Those that were asked and did not say `OK`, in the order of their outcomes.
    pub not_acked: Vec<Arc<str>>,
}

/// How long the acks took, µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latencies {
    /// Half of them took no longer.
    pub p50: u64,
    /// All but one of a hundred.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl DrainAccount {
    pub(crate) fn new(is_terminate: bool) -> Self {
        Self {
            is_terminate,
            ..Self::default()
        }
    }

    /// One more agent is waited for.
    pub(crate) fn expect(&mut self) {
        self.counts.total += 1;
        self.counts.pending += 1;
    }

    /// `None` without any ack.
    pub fn latencies(&self) -> Option<Latencies> {
        let mut ordered = self.latencies.clone();
        ordered.sort_unstable();
        // Nearest rank: the least value that at least so many of a hundred do not exceed.
        let percentile = |percent: usize| {
            let rank = (ordered.len() * percent).div_ceil(100);
            ordered.get(rank.checked_sub(1)?).copied()
        };
        Some(Latencies {
            p50: percentile(50)?,
            p99: percentile(99)?,
            max: percentile(100)?,
        })
    }

    pub(crate) fn settle(&mut self, agent_id: Option<&Arc<str>>, settlement: Settlement) {
        self.counts.pending -= 1;
        self.counts.by_kind[settlement.kind as usize] += 1;
        self.counts.incomplete += usize::from(settlement.is_incomplete);
        if settlement.kind == OutcomeKind::Acked {
            self.latencies.push(settlement.latency_us);
        } else if self.is_terminate {
            self.not_acked.extend(agent_id.cloned());
        }
    }
}

/// The outcome of one agent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settlement {
    pub(crate) kind: OutcomeKind,
    pub(crate) latency_us: u64,
    pub(crate) is_incomplete: bool,
}

impl From<&Outcome> for Settlement {
    fn from(outcome: &Outcome) -> Self {
        Self {
            kind: outcome.kind,
            latency_us: outcome.latency_us,
            is_incomplete: outcome.incomplete,
        }
    }
}

impl Settlement {
    /// One that says no more than that.
    pub(crate) fn of(kind: OutcomeKind) -> Self {
        Self {
            kind,
            latency_us: 0,
            is_incomplete: false,
        }
    }
}
