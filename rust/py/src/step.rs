//! A batch of events into the table, as far as nothing is to be decided, and what is to be done about it.

use dscore_fleet::{Dialect, Entry, Lost, Settled, Times};
use dscore_traffic::ConnId;
use dscore_traffic::event::OutcomeKind;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::classes::{Closed, Opened, Outcome};
use crate::row::{AgentRow, Table};
use crate::words::word;

/// What is to be done about a batch. Documented in `_core.pyi`.
#[pyclass(frozen, get_all, module = "dscore._core")]
pub(crate) struct Notes {
    entries: Py<PyList>,
    closed: Py<PyList>,
    lost: Py<PyList>,
    disconnected: Py<PyList>,
    kept: Py<PyList>,
    changed: Py<PyList>,
    settled: Py<PyList>,
    watchers: Py<PyList>,
    has_configs: bool,
    faults: Py<PyList>,
}

/// Applies events from `start` on, in order. Returns the number of the next one, and whether it is Python's: if not, the
/// notes are to be taken first.
pub(crate) fn step(
    table: &Table,
    py: Python<'_>,
    events: &Bound<'_, PyList>,
    start: usize,
    now: i64,
) -> PyResult<(usize, bool)> {
    let mut fleet = table.settle();
    for index in start..events.len() {
        let event = events.get_item(index)?;
        let stops = if let Ok(event) = event.cast::<Outcome>() {
            fleet.outcome(outcome(event.get(), py)?, now)
        } else if let Ok(event) = event.cast::<Closed>() {
            fleet.closed(closed(event.get(), py)?, now)
        } else if let Ok(event) = event.cast::<Opened>() {
            let event = event.get();
            let is_socketio = event.endpoint.bind(py).to_str()? == "socketio";
            let dialect = if is_socketio {
                Dialect::Socketio
            } else {
                Dialect::Raw
            };
            let conn = ConnId::from_u64(event.conn);
            fleet.open(conn, &event.peer, event.bearer.as_deref(), dialect);
            false
        } else {
            return Ok((index, true));
        };
        if stops {
            return Ok((index + 1, false));
        }
    }
    Ok((events.len(), false))
}

/// What was gathered since they were taken last; `None`: nothing.
pub(crate) fn notes(table: &Table, py: Python<'_>) -> PyResult<Option<Notes>> {
    let (notes, disconnected, kept, changed) = {
        let mut fleet = table.lock();
        let mut notes = fleet.take_notes();
        if notes.is_empty() {
            return Ok(None);
        }
        let row = |key| AgentRow::adopt(table, &fleet, key);
        let disconnected = notes.disconnected.drain(..);
        let disconnected: Vec<_> = disconnected
            .map(|(key, code, reason)| (row(key), code, reason))
            .collect();
        let kept = notes.kept.drain(..);
        let kept: Vec<_> = kept.map(|(key, is_heard)| (row(key), is_heard)).collect();
        let changed: Vec<_> = notes.changed.drain(..).map(row).collect();
        (notes, disconnected, kept, changed)
    };
    let entries = notes.entries.iter().map(|entry| entry_row(py, entry));
    Ok(Some(Notes {
        entries: list(py, entries)?,
        closed: list(py, notes.closed.iter().map(|conn| conn.to_u64()))?,
        lost: list(py, notes.lost.iter().map(lost_row))?,
        disconnected: list(py, disconnected.into_iter())?,
        kept: list(py, kept.into_iter())?,
        changed: list(py, changed.into_iter())?,
        settled: list(py, notes.settled.iter().map(settled_row))?,
        watchers: list(py, notes.watchers.iter().map(|conn| conn.to_u64()))?,
        has_configs: notes.has_configs,
        faults: list(py, notes.faults.iter())?,
    }))
}

fn list<'py, T: IntoPyObject<'py>>(
    py: Python<'py>,
    items: impl ExactSizeIterator<Item = T>,
) -> PyResult<Py<PyList>> {
    Ok(PyList::new(py, items)?.unbind())
}

fn entry_row<'a>(py: Python<'_>, entry: &'a Entry) -> (&'a str, &'static str, Py<PyBytes>) {
    (
        &entry.agent_id,
        entry.kind,
        PyBytes::new(py, &entry.data).unbind(),
    )
}

fn lost_row(lost: &Lost) -> (&str, u64, u16, &str, &str, &str) {
    let closed = &lost.closed;
    let conn = closed.conn.to_u64();
    (
        &lost.agent_id,
        conn,
        closed.code,
        &closed.reason,
        &closed.initiator,
        &closed.cause,
    )
}

fn settled_row(settled: &Settled) -> (u64, Option<&str>, &str, &str, f64, &str, bool, bool) {
    let outcome = &settled.outcome;
    (
        outcome.conn.to_u64(),
        settled.agent_id.as_deref(),
        &outcome.request,
        outcome.kind.name(),
        outcome.latency_ms(),
        &outcome.message,
        outcome.incomplete,
        outcome.drain,
    )
}

fn outcome(event: &Outcome, py: Python<'_>) -> PyResult<dscore_fleet::Outcome> {
    Ok(dscore_fleet::Outcome {
        conn: ConnId::from_u64(event.conn),
        request: event.request_id.clone(),
        kind: word(
            OutcomeKind::from_name,
            event.outcome.bind(py).to_str()?,
            "outcome",
        )?,
        latency_us: (event.latency_ms * 1_000.0).round() as u64,
        message: event.message.clone(),
        incomplete: event.incomplete,
        drain: event.drain,
    })
}

fn closed(event: &Closed, py: Python<'_>) -> PyResult<dscore_fleet::Closed> {
    Ok(dscore_fleet::Closed {
        conn: ConnId::from_u64(event.conn),
        code: event.code,
        reason: event.reason.to_string(),
        initiator: event.initiator.bind(py).to_str()?.to_owned(),
        cause: event.cause.to_string(),
        answer: event.answer,
        heartbeat_ms: i64::try_from(event.heartbeat_ms).unwrap_or(i64::MAX),
        rtt_us: event.rtt_us,
    })
}

/// How times are shown: see `WallClock.offsets`.
pub(crate) fn times((boot_ms, kept_offset_ms, offset_ms): (i64, i64, i64)) -> Times {
    Times {
        boot_ms,
        kept_offset_ms,
        offset_ms,
    }
}
