//! `Fleet`: the account of a drain.

use dscore_fleet::DrainCounts;
use dscore_traffic::ConnId;
use dscore_traffic::event::OutcomeKind;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::fleet::Fleet;
use crate::row::AgentRow;

#[pymethods]
impl Fleet {
    #[pyo3(signature = (now, *, asked, spared))]
    fn begin_drain(&self, now: i64, asked: bool, spared: Vec<u64>) {
        let spared = spared.into_iter().map(ConnId::from_u64).collect();
        self.settle().begin_drain(asked, &spared, now);
    }

    fn notified(&self, conns: Vec<u64>) {
        let conns: Vec<ConnId> = conns.into_iter().map(ConnId::from_u64).collect();
        self.lock().notified(&conns);
    }

    fn give_up_drain(&self) {
        self.lock().give_up_drain();
    }

    fn drain_pending(&self) -> usize {
        self.lock()
            .drain()
            .map_or(0, |account| account.counts.pending)
    }

    fn drain_left(&self, limit: usize) -> Vec<(u64, AgentRow)> {
        let mut fleet = self.lock();
        let left = fleet.drain_left(limit).into_iter();
        left.map(|(conn, key)| (conn.to_u64(), self.row(&mut fleet, key)))
            .collect()
    }

    fn drain_counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counted = self.lock().drain().map(|account| account.counts);
        counts(py, &counted.unwrap_or_default())
    }

    fn drain_report<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let account = self.lock().drain().map(|account| {
            let not_acked = account.not_acked.clone();
            (account.counts, account.latencies(), not_acked)
        });
        let (counted, latencies, not_acked) = account.unwrap_or_default();
        let report = counts(py, &counted)?;
        let latency_ms = PyDict::new(py);
        for (name, of) in [("p50", 0), ("p99", 1), ("max", 2)] {
            let us = latencies.map(|latencies| [latencies.p50, latencies.p99, latencies.max][of]);
            latency_ms.set_item(name, us.map(|us| us as f64 / 1_000.0))?;
        }
        report.set_item("latency_ms", latency_ms)?;
        let not_acked = not_acked.iter().map(|id| &**id);
        report.set_item("not_acked", not_acked.collect::<Vec<_>>())?;
        Ok(report)
    }
}

fn counts<'py>(py: Python<'py>, counted: &DrainCounts) -> PyResult<Bound<'py, PyDict>> {
    let counts = PyDict::new(py);
    counts.set_item("total", counted.total)?;
    for kind in OutcomeKind::ALL {
        counts.set_item(kind.name(), counted.of(kind))?;
    }
    counts.set_item("incomplete", counted.incomplete)?;
    Ok(counts)
}
