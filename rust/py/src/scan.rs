//! What all agents are looked at for, in steps. Documented in `_core.pyi`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use dscore_fleet::{Agent, Query, Slots, Sort, State, Times, Value};
use pyo3::prelude::*;
use pyo3::types::PyList;

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

/// Who is connected.
#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct ConnectedScan(All);

#[pymethods]
impl ConnectedScan {
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let found = self
            .0
            .step(|agent| agent.conn().is_some().then(|| agent.id.clone()));
        let ids = found.map(|ids| PyList::new(py, ids.iter().map(|id| &**id)));
        ids.transpose()
    }
}

impl ConnectedScan {
    pub(crate) fn new(table: Table) -> Self {
        Self(All::new(table))
    }
}

/// What watchers are told of every agent.
#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct StatusScan(All);

#[pymethods]
impl StatusScan {
    fn step<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyList>>> {
        let found = self.0.step(|agent| {
            let reason = agent.reason.map(|reason| reason.name());
            let (id, status) = (agent.id.clone(), agent.state.status());
            Some((id, status, reason, agent.last_heartbeat()))
        });
        let told = found.map(|told| {
            let told = told.iter();
            PyList::new(
                py,
                told.map(|(id, status, reason, last)| (&**id, *status, *reason, *last)),
            )
        });
        told.transpose()
    }
}

impl StatusScan {
    pub(crate) fn new(table: Table) -> Self {
        Self(All::new(table))
    }
}

/// All agents that are known, in the order of their slots.
struct All {
    table: Table,
    slots: Mutex<Slots>,
}

impl All {
    fn new(table: Table) -> Self {
        Self {
            table,
            slots: Mutex::default(),
        }
    }

    /// What is made of the next ones; `None` when there are none left.
    fn step<T>(&self, make: impl Fn(&Agent) -> Option<T>) -> Option<Vec<T>> {
        let (mut slots, fleet) = (locked(&self.slots), self.table.lock());
        if slots.are_done(&fleet.agents) {
            return None;
        }
        let keys = slots.step(&fleet.agents);
        let agents = keys.filter_map(|key| fleet.agents.known(key));
        Some(agents.filter_map(make).collect())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
