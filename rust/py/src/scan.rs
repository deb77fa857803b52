//! What all agents are looked at for, in steps. Documented in `_core.pyi`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dscore_fleet::{Query, Sort, State, Times, Value};
use pyo3::prelude::*;

use crate::facets::{self, Filter, Words};
use crate::row::{AgentRow, Table};

/// What a page was sorted by.
#[derive(FromPyObject)]
pub(crate) enum SortValue {
    Text(String),
    Seconds(f64),
}

impl SortValue {
    /// One that is of another order names an agent before all others.
    fn of(&self, sort: Sort) -> Value<'_> {
        match (self, sort) {
            (_, Sort::Id | Sort::Natural) => Value::Rank(0),
            (Self::Text(text), Sort::Status | Sort::State) => Value::Text(text),
            (Self::Text(state), Sort::Problem) => {
                Value::Rank(State::from_name(state).map_or(0, dscore_fleet::rank))
            }
            (_, Sort::Problem) => Value::Rank(0),
            (_, Sort::Status | Sort::State) => Value::Text(""),
            (Self::Seconds(seconds), _) => Value::Seconds(*seconds),
            (Self::Text(_), _) => Value::Seconds(0.0),
        }
    }
}

/// In which order, how many.
pub(crate) struct Order {
    pub(crate) sort: Sort,
    pub(crate) is_descending: bool,
    pub(crate) after: Option<(SortValue, String)>,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) times: Times,
}

impl Order {
    fn of<'a>(&'a self, words: &'a Words<'a>) -> Query<'a> {
        let after = self.after.as_ref();
        Query {
            sort: self.sort,
            is_descending: self.is_descending,
            offset: self.offset,
            limit: self.limit,
            after: after.map(|(value, id)| (value.of(self.sort), &**id)),
            times: self.times,
            ..words.query()
        }
    }
}

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct PageScan {
    table: Table,
    filter: Filter,
    order: Order,
    scan: Mutex<dscore_fleet::PageScan>,
}

impl PageScan {
    /// # Errors
    /// `ValueError`, which names a word that is none.
    pub(crate) fn new(table: Table, filter: Filter, order: Order) -> PyResult<Self> {
        let scan = dscore_fleet::PageScan::new(&order.of(&filter.words()?));
        Ok(Self {
            table,
            filter,
            order,
            scan: Mutex::new(scan),
        })
    }
}

#[pymethods]
impl PageScan {
    fn step(&self) -> PyResult<bool> {
        let words = self.filter.words()?;
        let (mut scan, fleet) = (locked(&self.scan), self.table.settle());
        Ok(scan.step(&fleet.agents, &self.order.of(&words)))
    }

    fn take(&self) -> PyResult<(Vec<AgentRow>, bool, usize)> {
        let words = self.filter.words()?;
        let query = self.order.of(&words);
        let next = dscore_fleet::PageScan::new(&query);
        let scan = std::mem::replace(&mut *locked(&self.scan), next);
        let mut fleet = self.table.settle();
        let page = scan.page(&fleet.agents, &query);
        let found = page.agents.into_iter();
        let rows = found.map(|key| AgentRow::new(&self.table, &mut fleet, key));
        Ok((rows.collect(), page.has_more, page.total))
    }
}

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct FacetsScan {
    table: Table,
    filter: Filter,
    scan: Mutex<dscore_fleet::FacetsScan>,
}

impl FacetsScan {
    /// # Errors
    /// `ValueError`, which names a word that is none.
    pub(crate) fn new(table: Table, filter: Filter) -> PyResult<Self> {
        filter.words()?;
        Ok(Self {
            table,
            filter,
            scan: Mutex::default(),
        })
    }
}

#[pymethods]
impl FacetsScan {
    fn step(&self) -> PyResult<bool> {
        let words = self.filter.words()?;
        let (mut scan, fleet) = (locked(&self.scan), self.table.settle());
        Ok(scan.step(&fleet.agents, &words.query()))
    }

    fn take(&self) -> facets::Facets {
        facets::convert(std::mem::take(&mut *locked(&self.scan)).facets())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
