//! What is to be done about a batch, as Python's objects.

use dscore_fleet::{Arrival, Lost, Settled, Times};
use dscore_traffic::ConnId;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::row::{AgentRow, Table};

/// What is to be done about a batch. Documented in `_core.pyi`.
#[pyclass(frozen, get_all, module = "dscore._core")]
pub(crate) struct Notes {
    arrivals: Py<PyList>,
    restored: usize,
    closed: Py<PyList>,
    lost: Py<PyList>,
    disconnected: Py<PyList>,
    changed: Py<PyList>,
    settled: Py<PyList>,
    watchers: Py<PyList>,
    faults: Py<PyList>,
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
    Ok(Some(Notes {
        arrivals: list(py, arrivals.into_iter())?,
        restored: notes.restored,
        closed: list(py, notes.closed.iter().map(|conn| conn.to_u64()))?,
        lost: list(py, notes.lost.iter().map(lost_row))?,
        disconnected: list(py, disconnected.into_iter())?,
        changed: list(py, changed.into_iter())?,
        settled: list(py, notes.settled.iter().map(settled_row))?,
        watchers: list(py, notes.watchers.iter().map(|conn| conn.to_u64()))?,
        faults: list(py, notes.faults.iter())?,
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

fn lost_row(lost: &Lost) -> (&str, u64, u16, &str, &str, &str) {
    let info = &lost.closed.info;
    (
        &lost.agent_id,
        lost.closed.conn.to_u64(),
        info.code,
        &info.reason,
        info.initiator.name(),
        &info.cause,
    )
}

fn settled_row(settled: &Settled) -> (u64, Option<&str>, String, &str, f64, &str, bool, bool) {
    let outcome = &settled.outcome;
    (
        outcome.conn.to_u64(),
        settled.agent_id.as_deref(),
        outcome.request.to_string(),
        outcome.kind.name(),
        outcome.latency_ms(),
        &outcome.message,
        outcome.incomplete,
        outcome.drain,
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
