//! `AgentRow`: the handle of one agent, which reads the table. Documented in `_core.pyi`.
//!
//! The table is behind a lock, which is never held while Python runs: what is made of it is copied out first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dscore_fleet::{Agent, AgentKey};
use dscore_traffic::ConnId;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// What the parts of a fleet share with the handles of its agents.
pub(crate) struct Shared {
    fleet: Mutex<dscore_fleet::Fleet>,
    /// Handles that Python has let go of: they are counted out at the next call, for a collection may run anywhere.
    dropped: Mutex<Vec<AgentKey>>,
}

impl Shared {
    pub(crate) fn new(fleet: dscore_fleet::Fleet) -> Table {
        Arc::new(Self {
            fleet: Mutex::new(fleet),
            dropped: Mutex::new(Vec::new()),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, dscore_fleet::Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn let_go(&self, key: AgentKey) {
        self.dropped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(key);
    }

    /// Counts out the handles that were let go of.
    pub(crate) fn settle(&self) -> MutexGuard<'_, dscore_fleet::Fleet> {
        let dropped =
            std::mem::take(&mut *self.dropped.lock().unwrap_or_else(PoisonError::into_inner));
        let mut fleet = self.lock();
        for key in dropped {
            fleet.agents.release(key);
        }
        fleet
    }
}

/// The table that a handle reads.
pub(crate) type Table = Arc<Shared>;

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct AgentRow {
    table: Table,
    pub(crate) key: AgentKey,
    pub(crate) id: Arc<str>,
}

impl AgentRow {
    /// Names an agent, which stays in the table for as long.
    pub(crate) fn new(table: &Table, fleet: &mut dscore_fleet::Fleet, key: AgentKey) -> Self {
        fleet.agents.retain(key);
        Self::adopt(table, fleet, key)
    }

    /// The same for one that was counted in already.
    pub(crate) fn adopt(table: &Table, fleet: &dscore_fleet::Fleet, key: AgentKey) -> Self {
        let agent = fleet.agents.get(key);
        Self {
            table: table.clone(),
            key,
            id: agent.map_or_else(|| "".into(), |agent| agent.id.clone()),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Agent) -> T) -> Option<T> {
        self.table.lock().agents.get(self.key).map(read)
    }
}

impl Drop for AgentRow {
    fn drop(&mut self) {
        self.table.let_go(self.key);
    }
}

#[pymethods]
impl AgentRow {
    #[getter]
    fn agent_id(&self) -> &str {
        &self.id
    }

    #[getter]
    fn number(&self) -> u64 {
        self.read(|agent| agent.number).unwrap_or(0)
    }

    #[getter]
    fn conn(&self) -> u64 {
        self.read(Agent::conn).flatten().map_or(0, ConnId::to_u64)
    }

    #[getter]
    fn generation(&self) -> u64 {
        self.read(|agent| agent.generation).unwrap_or(0).into()
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.read(|agent| agent.state.name()).unwrap_or("offline")
    }

    #[getter]
    fn status(&self) -> &'static str {
        self.read(|agent| agent.state.status()).unwrap_or("offline")
    }

    #[getter]
    fn reason_code(&self) -> Option<&'static str> {
        self.read(|agent| agent.reason)?.map(|reason| reason.name())
    }

    #[getter]
    fn ip(&self) -> Option<String> {
        self.read(|agent| agent.ip.to_string())
    }

    #[getter]
    fn dialect(&self) -> &'static str {
        self.read(|agent| agent.dialect.name()).unwrap_or("raw")
    }

    #[getter]
    fn introduced_by(&self) -> Option<&'static str> {
        self.read(|agent| agent.introduced_by.name())
    }

    #[getter]
    fn last_heartbeat(&self) -> Option<i64> {
        self.read(|agent| agent.last_heartbeat()).flatten()
    }

    #[getter]
    fn connected_at(&self) -> i64 {
        self.read(|agent| agent.connected_at).unwrap_or(0)
    }

    #[getter]
    fn changed_at(&self) -> i64 {
        self.read(|agent| agent.changed_at).unwrap_or(0)
    }

    #[getter]
    fn rtt_us(&self) -> u32 {
        self.read(|agent| agent.rtt_us).unwrap_or(0)
    }

    #[getter]
    fn has_grace(&self) -> bool {
        self.read(Agent::has_grace).unwrap_or(false)
    }

    #[getter]
    fn is_known(&self) -> bool {
        self.read(Agent::is_known).unwrap_or(false)
    }

    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let config = self.read(|agent| agent.config().map(<[u8]>::to_vec))??;
        Some(PyBytes::new(py, &config))
    }

    #[getter]
    fn labels<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let labels: Option<Vec<String>> =
            self.read(|agent| agent.labels().map(str::to_owned).collect());
        PyTuple::new(py, labels.unwrap_or_default())
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        let other = other.cast::<Self>();
        other.is_ok_and(|other| {
            let other = other.get();
            other.key == self.key && Arc::ptr_eq(&other.table, &self.table)
        })
    }

    fn __hash__(&self) -> u64 {
        self.key.to_u64()
    }

    fn __repr__(&self) -> String {
        format!("AgentRow({:?}, {})", &*self.id, self.state())
    }
}
