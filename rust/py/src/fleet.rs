//! `Fleet` and `AgentRow`: convert, lock, call. Documented in `_core.pyi`.

use std::sync::{Arc, Mutex, MutexGuard};

use dscore_fleet::{
    AgentKey, Connection, Introducer, Introduction, MissingCell, Monitoring, Reading, Sort, State,
    Tables,
};
use dscore_traffic::ConnId;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::classes::LastSeen;
use crate::facets::Filter;
use crate::notes;
use crate::orders::Acks;
use crate::row::{AgentRow, Shared, Table};
use crate::scan::{ConnectedScan, FacetsScan, Order, PageScan, SortValue, StatusScan};
use crate::words::word;

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct Fleet {
    pub(crate) shared: Table,
    pub(crate) acks: Mutex<Arc<Acks>>,
}

/// What an introduction has changed.
#[pyclass(frozen, get_all, module = "dscore._core")]
pub(crate) struct Introduced {
    agent: Py<AgentRow>,
    previous: u64,
    was_away: bool,
    changed: bool,
}

type Cell = (String, String, String, String, Option<String>);

#[pymethods]
impl Fleet {
    #[new]
    #[pyo3(signature = (table, *, max_disconnected, now_ms = 0))]
    fn new(table: Vec<Cell>, max_disconnected: usize, now_ms: i64) -> PyResult<Self> {
        let mut tables = Tables::default();
        for (state, input, next, grace, reason) in &table {
            tables
                .put((state, input), (next, grace, reason.as_deref()))
                .map_err(|error| PyValueError::new_err(error.to_string()))?;
        }
        let fleet = dscore_fleet::Fleet::new(tables, max_disconnected, now_ms);
        Ok(Self {
            shared: Shared::new(fleet),
            acks: Mutex::default(),
        })
    }

    #[pyo3(signature = (*, max_missed, heartbeat_grace_ms, reconnection_grace_ms, offline_timeout_ms))]
    fn configure(
        &self,
        max_missed: u32,
        heartbeat_grace_ms: i64,
        reconnection_grace_ms: i64,
        offline_timeout_ms: i64,
    ) {
        self.lock().monitoring = Monitoring {
            max_missed,
            heartbeat_grace_ms,
            reconnection_grace_ms,
            offline_timeout_ms,
        };
    }

    fn agent(&self, agent_id: &str) -> Option<AgentRow> {
        let mut fleet = self.lock();
        let key = fleet.agents.find(agent_id)?;
        Some(self.row(&mut fleet, key))
    }

    fn agents(&self) -> Vec<AgentRow> {
        self.rows_where(|_| true)
    }

    fn connected(&self) -> Vec<AgentRow> {
        self.rows_where(|agent| agent.conn().is_some())
    }

    fn scan_connected(&self) -> ConnectedScan {
        ConnectedScan::new(self.shared.clone())
    }

    fn scan_statuses(&self) -> StatusScan {
        StatusScan::new(self.shared.clone())
    }

    fn states(&self) -> Vec<(&'static str, usize)> {
        let fleet = self.lock();
        let mut counts = [0; State::ALL.len()];
        fleet
            .agents
            .iter()
            .for_each(|(_, agent)| counts[agent.state as usize] += 1);
        let names = State::ALL.iter().map(|state| state.name());
        names.zip(counts).collect()
    }

    #[pyo3(signature = (filter, *, sort, limit, after, offset, times))]
    fn scan_page(
        &self,
        filter: Filter,
        sort: &str,
        limit: usize,
        after: Option<(SortValue, String)>,
        offset: usize,
        times: (i64, i64, i64),
    ) -> PyResult<PageScan> {
        let order = Order {
            sort: word(Sort::from_name, sort.trim_start_matches('-'), "sort")?,
            is_descending: sort.starts_with('-'),
            after,
            offset,
            limit,
            times: notes::times(times),
        };
        PageScan::new(self.shared.clone(), filter, order)
    }

    fn scan_facets(&self, filter: Filter) -> PyResult<FacetsScan> {
        FacetsScan::new(self.shared.clone(), filter)
    }

    fn owner(&self, conn: u64) -> Option<AgentRow> {
        let mut fleet = self.lock();
        let key = fleet.owner(ConnId::from_u64(conn))?;
        Some(self.row(&mut fleet, key))
    }

    fn named_by(&self, conn: u64) -> Option<AgentRow> {
        let mut fleet = self.lock();
        let key = fleet.named_by(ConnId::from_u64(conn))?;
        Some(self.row(&mut fleet, key))
    }

    fn __len__(&self) -> usize {
        self.lock().agents.len()
    }

    #[pyo3(signature = (conn, agent_id, kind, now, *, ip = None))]
    fn introduce(
        &self,
        py: Python<'_>,
        conn: u64,
        agent_id: &str,
        kind: &str,
        now: i64,
        ip: Option<&str>,
    ) -> PyResult<Option<Introduced>> {
        let by = word(Introducer::from_name, kind, "kind")?;
        let introduction = Introduction {
            agent_id: &agent_id.into(),
            by,
            ip,
        };
        let mut fleet = self.settle();
        let introduced = fleet.introduce(ConnId::from_u64(conn), &introduction, now);
        let Some(introduced) = introduced.map_err(|missing| impossible(agent_id, missing))? else {
            return Ok(None);
        };
        let row = self.row(&mut fleet, introduced.key);
        drop(fleet);
        Ok(Some(Introduced {
            agent: Py::new(py, row)?,
            previous: introduced.previous.map_or(0, ConnId::to_u64),
            was_away: introduced.was_away,
            changed: introduced.changed,
        }))
    }

    fn set_introduced_by(&self, agent: &AgentRow, kind: &str) -> PyResult<()> {
        let by = word(Introducer::from_name, kind, "kind")?;
        self.lock().set_introduced_by(agent.key, by);
        Ok(())
    }

    fn set_config(&self, agent: &AgentRow, config: Option<&[u8]>) {
        self.lock().set_config(agent.key, config);
    }

    #[pyo3(signature = (agent, *, heartbeat_ms = 0, rtt_us = 0, seen_ms = 0, is_kept = true))]
    fn heard(&self, agent: &AgentRow, heartbeat_ms: i64, rtt_us: u32, seen_ms: i64, is_kept: bool) {
        let reading = Reading {
            seen_ms,
            heartbeat_ms,
            rtt_us,
        };
        self.lock().hear(agent.key, &reading, is_kept);
    }

    #[pyo3(signature = (seen, at, *, is_kept = true))]
    fn hear_some(&self, seen: &LastSeen, at: usize, is_kept: bool) -> Option<usize> {
        self.lock().hear_some(&seen.0, at, is_kept)
    }

    fn report_back(&self, agent: &AgentRow) -> bool {
        let mut fleet = self.lock();
        let agent = fleet.agents.get_mut(agent.key);
        agent.is_some_and(|agent| !std::mem::replace(&mut agent.reported_back, true))
    }

    fn release(&self, agent: &AgentRow, now: i64) {
        self.lock().release(agent.key, now);
    }

    fn forget(&self, agent: &AgentRow) {
        self.lock().forget(agent.key);
    }

    fn forget_absent(&self, left_before: i64) {
        self.settle().forget_absent(left_before);
    }

    fn drop_configs(&self, max_bytes: usize) -> Vec<AgentRow> {
        let mut fleet = self.lock();
        let dropped = fleet.drop_configs(max_bytes);
        dropped
            .into_iter()
            .map(|key| self.row(&mut fleet, key))
            .collect()
    }

    fn is_full(&self, agent_id: &str) -> bool {
        self.lock().is_full(agent_id)
    }

    fn longest_absent(&self) -> Option<AgentRow> {
        let mut fleet = self.lock();
        let key = fleet.longest_absent()?;
        Some(self.row(&mut fleet, key))
    }
}

impl Fleet {
    pub(crate) fn lock(&self) -> MutexGuard<'_, dscore_fleet::Fleet> {
        self.shared.lock()
    }

    pub(crate) fn settle(&self) -> MutexGuard<'_, dscore_fleet::Fleet> {
        self.shared.settle()
    }

    pub(crate) fn row(&self, fleet: &mut dscore_fleet::Fleet, key: AgentKey) -> AgentRow {
        AgentRow::new(&self.shared, fleet, key)
    }

    fn rows_where(&self, fits: impl Fn(&dscore_fleet::Agent) -> bool) -> Vec<AgentRow> {
        let mut fleet = self.settle();
        let found: Vec<AgentKey> = fleet
            .agents
            .iter()
            .filter(|(_, agent)| fits(agent))
            .map(|(key, _)| key)
            .collect();
        found
            .into_iter()
            .map(|key| self.row(&mut fleet, key))
            .collect()
    }

    /// In the order of their numbers.
    pub(crate) fn conns_where(&self, fits: impl Fn(&Connection) -> bool) -> Vec<u64> {
        let fleet = self.lock();
        let found = fleet
            .connections
            .iter()
            .filter(|(_, connection)| fits(connection));
        let mut conns: Vec<u64> = found.map(|(conn, _)| conn.to_u64()).collect();
        conns.sort_unstable();
        conns
    }
}

pub(crate) fn impossible(agent_id: &str, missing: MissingCell) -> PyErr {
    let (input, state) = (missing.input.name(), missing.state.name());
    PyRuntimeError::new_err(format!("liveness: {input} of {agent_id} while {state}"))
}
