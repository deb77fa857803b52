//! What is to be done about a batch, as Python's objects.

use dscore_fleet::{Arrival, Level, Lines, Settled, Times};
use dscore_traffic::ConnId;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::row::{AgentRow, Table};
use crate::words::word;

/// What is to be done about a batch. Documented in `_core.pyi`.
#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct Notes {
    #[pyo3(get)]
    arrivals: Py<PyList>,
    #[pyo3(get)]
    restored: usize,
    #[pyo3(get)]
    closed: Py<PyList>,
    #[pyo3(get)]
    disconnected: Py<PyList>,
    #[pyo3(get)]
    changed: Py<PyList>,
    #[pyo3(get)]
    settled: Py<PyList>,
    #[pyo3(get)]
    watchers: Py<PyList>,
    #[pyo3(get)]
    faults: Py<PyList>,
    /// What the log is told of.
    said: dscore_fleet::Notes,
}

#[pymethods]
impl Notes {
    fn lines<'py>(
        &self,
        py: Python<'py>,
        timestamp: &str,
        level: &str,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let least = word(Level::from_name, level, "level")?;
        let lines = Lines::new(timestamp, least).of(&self.said);
        Ok(PyBytes::new(py, &lines))
    }
}

/// What was gathered since they were taken last; `None`: nothing.
pub(crate) fn notes(table: &Table, py: Python<'_>) -> PyResult<Option<Notes>> {
    let (notes, arrivals, disconnected, changed) = {
        let mut fleet = table.lock();
        let mut notes = fleet.take_notes();
        if notes.is_empty() {
            return Ok(None);
        }
        let row = |key| AgentRow::adopt(table, &fleet, key);
        let arrivals = notes.arrivals.drain(..);
        let arrivals: Vec<_> = arrivals
            .map(|one| arrival_row(row(one.key), &one))
            .collect();
        let disconnected = notes.disconnected.drain(..);
        let disconnected: Vec<_> = disconnected
            .map(|(key, code, reason)| (row(key), code, reason))
            .collect();
        let changed: Vec<_> = notes.changed.drain(..).map(row).collect();
        (notes, arrivals, disconnected, changed)
    };
    let asked_singly = notes.settled.iter().filter(|one| !one.outcome.drain);
    let settled: Vec<_> = asked_singly.map(settled_row).collect();
    Ok(Some(Notes {
        arrivals: list(py, arrivals.into_iter())?,
        restored: notes.restored,
        closed: list(py, notes.closed.iter().map(|conn| conn.to_u64()))?,
        disconnected: list(py, disconnected.into_iter())?,
        changed: list(py, changed.into_iter())?,
        settled: list(py, settled.into_iter())?,
        watchers: list(py, notes.watchers.iter().map(|conn| conn.to_u64()))?,
        faults: list(py, notes.faults.iter())?,
        said: notes,
    }))
}

fn list<'py, T: IntoPyObject<'py>>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item = T>,
) -> PyResult<Py<PyList>> {
    Ok(PyList::new(py, items)?.unbind())
}

fn arrival_row(agent: AgentRow, arrival: &Arrival) -> (AgentRow, u64, bool, bool, bool) {
    let previous = arrival.previous.map_or(0, ConnId::to_u64);
    let Arrival {
        is_restored,
        changed,
        came_back,
        ..
    } = *arrival;
    (agent, previous, is_restored, changed, came_back)
}

fn settled_row(settled: &Settled) -> (u64, String, &str, f64, &str, bool) {
    let outcome = &settled.outcome;
    (
        outcome.conn.to_u64(),
        outcome.request.to_string(),
        outcome.kind.name(),
        outcome.latency_ms(),
        &outcome.message,
        outcome.incomplete,
    )
}

/// How times are shown: see `WallClock.offsets`.
pub(crate) fn times((boot_ms, kept_offset_ms, offset_ms): (i64, i64, i64)) -> Times {
    Times {
        boot_ms,
        kept_offset_ms,
        offset_ms,
    }
}
