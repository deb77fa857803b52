//! `Fleet`: timelines, what is not saved, and what an earlier process has left.

use dscore_fleet::{Dialect, Introducer, Moment, Reason, Restored, State, Times};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::changes::Changes;
use crate::fleet::Fleet;
use crate::notes;
use crate::row::AgentRow;
use crate::words::word;

type EntryRow<'py> = (u64, i64, String, Bound<'py, PyBytes>);

#[pymethods]
impl Fleet {
    fn record(&self, agent: Option<&AgentRow>, at: i64, kind: &str, data: &[u8]) {
        let key = agent.map(|agent| agent.key);
        self.lock().record(key, at, kind, data);
    }

    #[pyo3(signature = (agent, *, limit, before = None))]
    fn timeline<'py>(
        &self,
        py: Python<'py>,
        agent: Option<&AgentRow>,
        limit: usize,
        before: Option<u64>,
    ) -> Vec<EntryRow<'py>> {
        let fleet = self.lock();
        let entries = fleet.timeline(agent.map(|agent| agent.key), limit, before);
        let rows = entries.iter().map(|entry| {
            let data = PyBytes::new(py, &entry.data);
            (entry.number, entry.at, entry.kind.to_owned(), data)
        });
        rows.collect()
    }

    #[getter]
    fn last_entry(&self) -> u64 {
        self.lock().timelines.last_number
    }

    #[getter]
    fn lost_entries_total(&self) -> u64 {
        self.lock().timelines.lost_total
    }

    fn bound_timelines(&self, max_bytes: usize) {
        self.lock().timelines.max_bytes = max_bytes;
    }

    fn prune_timelines(&self, to: u64) {
        let mut fleet = self.lock();
        fleet.timelines.forgotten_to = fleet.timelines.forgotten_to.max(to);
    }

    fn keep_changes(&self, is_wanted: bool) {
        self.lock().keep_changes(is_wanted);
    }

    fn has_unsaved(&self) -> bool {
        self.lock().has_unsaved()
    }

    fn unsaved_total(&self) -> usize {
        self.lock().unsaved_total()
    }

    fn unsaved(&self, age: i64, times: (i64, i64, i64)) -> Changes {
        let moment = Moment {
            age,
            times: notes::times(times),
        };
        Changes(self.settle().unsaved(&moment))
    }

    fn saved(&self, version: u64) {
        self.settle().saved(version);
    }

    #[pyo3(signature = (rows, *, last_entry, age, now, times))]
    fn restore(
        &self,
        rows: Vec<Bound<'_, PyTuple>>,
        last_entry: u64,
        age: i64,
        now: i64,
        times: (i64, i64, i64),
    ) -> PyResult<()> {
        let times = notes::times(times);
        let mut fleet = self.settle();
        fleet.timelines.last_number = fleet.timelines.last_number.max(last_entry);
        for row in rows {
            restore(&mut fleet, &row, &times, (age, now))?;
        }
        Ok(())
    }
}

/// One row, in the order of its columns.
fn restore(
    fleet: &mut dscore_fleet::Fleet,
    row: &Bound<'_, PyTuple>,
    times: &Times,
    (age, now): (i64, i64),
) -> PyResult<()> {
    let text = |index: usize| row.get_item(index)?.extract::<String>();
    let number = |index: usize| row.get_item(index)?.extract::<Option<i64>>();
    let kept_ms = |unix_ms: i64| (unix_ms - times.kept_offset_ms).min(times.boot_ms);
    let (id, ip) = (text(1)?, text(4)?);
    let reason = row.get_item(3)?.extract::<Option<String>>()?;
    let reason = reason.map(|code| word(Reason::from_name, &code, "reason_code"));
    let config = row.get_item(15)?.extract::<Option<Vec<u8>>>()?;
    let last_close = row.get_item(12)?.extract::<Option<u16>>()?;
    let left_at = number(13)?;
    let dropped: u64 = row.get_item(14)?.extract()?;
    let changed_at = number(9)?.unwrap_or(age);
    let stored = Restored {
        number: row.get_item(0)?.extract()?,
        id: &id,
        state: word(State::from_name, &text(2)?, "state")?,
        reason: reason.transpose()?,
        ip: &ip,
        dialect: word(Dialect::from_name, &text(5)?, "dialect")?,
        generation: row.get_item(6)?.extract()?,
        introduced_by: Introducer::from_name(&text(7)?).unwrap_or_default(),
        connected_at: kept_ms(number(8)?.unwrap_or(0)),
        heard_at: number(10)?.map(kept_ms),
        last_heartbeat: number(11)?.map(kept_ms),
        config: config.as_deref(),
        session: last_close.map(|code| (code, left_at, dropped)),
    };
    let left = now - (age - changed_at).max(0);
    let restored = fleet.restore(&stored, left, now);
    restored.map_err(|missing| PyValueError::new_err(format!("{missing}: {id}")))?;
    Ok(())
}
