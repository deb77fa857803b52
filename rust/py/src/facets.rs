//! Which agents are asked for, and the counts of them as Python has them.

use dscore_fleet::{Dialect, Query, Reason, Sort, State, Times};
use pyo3::prelude::*;

use crate::words::word;

/// Counts by state, by reason, and by label: name, values with their counts by state, how many values are not told.
pub(crate) type Facets = (
    Vec<(&'static str, u32)>,
    Vec<(&'static str, u32)>,
    Vec<(String, Vec<(String, Vec<u32>)>, usize)>,
);

/// `dscore.filters.Filter`.
#[derive(FromPyObject)]
pub(crate) struct Filter {
    status: Option<String>,
    states: Vec<String>,
    reason: Option<String>,
    dialect: Option<String>,
    labels: Vec<(String, Option<String>)>,
    text: Option<String>,
}

/// The words of a filter, known to be such.
pub(crate) struct Words<'a> {
    is_online: Option<bool>,
    states: Vec<State>,
    reason: Option<Reason>,
    dialect: Option<Dialect>,
    labels: &'a [(String, Option<String>)],
    text: Option<&'a str>,
}

impl Filter {
    /// # Errors
    /// `ValueError`, which names a word that is none.
    pub(crate) fn words(&self) -> PyResult<Words<'_>> {
        let states = self.states.iter();
        let (reason, dialect) = (self.reason.as_deref(), self.dialect.as_deref());
        Ok(Words {
            is_online: self.status.as_deref().map(|status| status == "online"),
            states: states
                .map(|state| word(State::from_name, state, "state"))
                .collect::<PyResult<_>>()?,
            reason: reason
                .map(|reason| word(Reason::from_name, reason, "reason"))
                .transpose()?,
            dialect: dialect
                .map(|one| word(Dialect::from_name, one, "dialect"))
                .transpose()?,
            labels: &self.labels,
            text: self.text.as_deref(),
        })
    }
}

impl Words<'_> {
    /// All that fit, by id.
    pub(crate) fn query(&self) -> Query<'_> {
        Query {
            is_online: self.is_online,
            states: &self.states,
            reason: self.reason,
            dialect: self.dialect,
            labels: self.labels,
            text: self.text,
            sort: Sort::Id,
            is_descending: false,
            offset: 0,
            limit: usize::MAX - 1,
            after: None,
            times: Times::default(),
        }
    }
}

pub(crate) fn convert(counted: dscore_fleet::Facets) -> Facets {
    let names = State::ALL.iter().map(|state| state.name());
    let reasons = counted.reasons.into_iter();
    let labels = counted.labels.into_iter().map(|label| {
        let values = label.values.into_iter();
        let values = values.map(|(value, counts)| (value, counts.to_vec()));
        (label.name, values.collect(), label.more)
    });
    (
        names.zip(counted.states).collect(),
        reasons
            .map(|(reason, count)| (reason.name(), count))
            .collect(),
        labels.collect(),
    )
}
