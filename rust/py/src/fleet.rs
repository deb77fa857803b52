//! `Fleet` and `AgentRow`: convert, lock, call. Documented in `_core.pyi`.

use std::sync::MutexGuard;

use dscore_fleet::{
    AgentKey, Connection, Dialect, Input, Introduction, MissingCell, Monitoring, Query, Reason,
    Restored, Sort, State, Tables, Times, Value, Who,
};
use dscore_traffic::ConnId;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::row::{AgentRow, Shared, Table};

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct Fleet {
    shared: Table,
}

/// What a connection has shown before it is introduced.
#[pyclass(frozen, get_all, module = "dscore._core")]
pub(crate) struct Unauthenticated {
    ip: String,
    dialect: &'static str,
    token: Option<String>,
    is_token_wrong: bool,
    auth: Option<Py<PyBytes>>,
}

/// What an introduction has changed.
#[pyclass(frozen, get_all, module = "dscore._core")]
pub(crate) struct Introduced {
    agent: Py<AgentRow>,
    previous: u64,
    was_away: bool,
    changed: bool,
}

/// What a page was sorted by.
#[derive(FromPyObject)]
enum SortValue {
    Text(String),
    Seconds(f64),
}

impl SortValue {
    /// One that is of another order names an agent before all others.
    fn of(&self, sort: Sort) -> Value<'_> {
        match (self, sort) {
            (Self::Text(text), Sort::Id | Sort::Status | Sort::State) => Value::Text(text),
            (Self::Seconds(seconds), Sort::ConnectedAt | Sort::LastHeartbeat) => {
                Value::Seconds(*seconds)
            }
            (_, Sort::Id | Sort::Status | Sort::State) => Value::Text(""),
            (_, Sort::ConnectedAt | Sort::LastHeartbeat) => Value::Seconds(0.0),
        }
    }
}

type Cell = (String, String, String, String, Option<String>);

#[pymethods]
impl Fleet {
    #[new]
    #[pyo3(signature = (table, *, max_absent, now_ms = 0))]
    fn new(table: Vec<Cell>, max_absent: usize, now_ms: i64) -> PyResult<Self> {
        let mut tables = Tables::default();
        for (state, input, next, grace, reason) in &table {
            tables
                .put((state, input), (next, grace, reason.as_deref()))
                .map_err(|error| PyValueError::new_err(error.to_string()))?;
        }
        let fleet = dscore_fleet::Fleet::new(tables, max_absent, now_ms);
        Ok(Self {
            shared: Shared::new(fleet),
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

    // Connections.

    #[pyo3(signature = (conn, ip, bearer = None, *, dialect = "raw"))]
    fn open(&self, conn: u64, ip: &str, bearer: Option<&str>, dialect: &str) -> PyResult<()> {
        let dialect = word(Dialect::from_name, dialect, "dialect")?;
        self.lock()
            .open(ConnId::from_u64(conn), ip, bearer, dialect);
        Ok(())
    }

    #[pyo3(signature = (conn, token, *, is_wrong = false))]
    fn show_token(&self, conn: u64, token: &str, is_wrong: bool) {
        if let Some(shown) = self.lock().connections.shown_mut(ConnId::from_u64(conn)) {
            shown.token = Some(token.into());
            shown.is_token_wrong = is_wrong;
        }
    }

    fn show_auth(&self, conn: u64, auth: &[u8]) {
        if let Some(shown) = self.lock().connections.shown_mut(ConnId::from_u64(conn)) {
            shown.auth = Some(auth.into());
        }
    }

    fn unauthenticated(&self, py: Python<'_>, conn: u64) -> Option<Unauthenticated> {
        let (ip, dialect, shown) = {
            let fleet = self.lock();
            let connection = fleet.connections.get(ConnId::from_u64(conn))?;
            let shown = connection.shown.as_deref()?.clone();
            (connection.ip.to_string(), connection.dialect, shown)
        };
        Some(Unauthenticated {
            ip,
            dialect: dialect.name(),
            token: shown.token.map(Into::into),
            is_token_wrong: shown.is_token_wrong,
            auth: shown.auth.map(|auth| PyBytes::new(py, &auth).unbind()),
        })
    }

    fn may_introduce(&self, conn: u64) -> bool {
        let fleet = self.lock();
        let connection = fleet.connections.get(ConnId::from_u64(conn));
        connection.is_some_and(|connection| connection.shown.is_some())
    }

    fn is_open(&self, conn: u64) -> bool {
        self.lock()
            .connections
            .get(ConnId::from_u64(conn))
            .is_some()
    }

    fn is_introduced(&self, conn: u64) -> bool {
        let fleet = self.lock();
        let connection = fleet.connections.get(ConnId::from_u64(conn));
        connection.is_some_and(|connection| connection.who != Who::Unauthenticated)
    }

    fn ip(&self, conn: u64) -> String {
        let fleet = self.lock();
        fleet
            .connections
            .get(ConnId::from_u64(conn))
            .map_or_else(String::new, |connection| connection.ip.to_string())
    }

    #[pyo3(signature = (conn, *, until_introduced = false))]
    fn watch(&self, conn: u64, until_introduced: bool) {
        self.lock()
            .connections
            .watch(ConnId::from_u64(conn), until_introduced);
    }

    fn unwatch(&self, conn: u64) {
        self.lock().connections.unwatch(ConnId::from_u64(conn));
    }

    fn close(&self, conn: u64) -> bool {
        self.settle().close(ConnId::from_u64(conn))
    }

    fn counts(&self) -> (usize, usize, usize) {
        let counts = self.lock().connections.counts();
        (counts.total, counts.authenticated, counts.unauthenticated)
    }

    fn is_empty(&self) -> bool {
        self.lock().connections.is_empty()
    }

    fn is_watched(&self) -> bool {
        self.lock().connections.is_watched()
    }

    fn conns(&self) -> Vec<u64> {
        self.conns_where(|_| true)
    }

    fn only_watching(&self) -> Vec<u64> {
        self.conns_where(|connection| connection.watches && connection.who == Who::Watcher)
    }

    #[pyo3(signature = (*, unauthenticated))]
    fn audience(&self, unauthenticated: bool) -> Vec<u64> {
        self.conns_where(|connection| {
            connection.who != Who::Unauthenticated
                || (unauthenticated && connection.dialect == Dialect::Socketio)
        })
    }

    fn listeners(&self) -> Vec<u64> {
        self.conns_where(|connection| match connection.who {
            Who::Watcher => true,
            Who::Agent(_) => connection.watches || connection.dialect == Dialect::Socketio,
            Who::Unauthenticated => connection.dialect == Dialect::Socketio,
        })
    }

    fn dialects(&self) -> Vec<(&'static str, usize)> {
        let fleet = self.lock();
        let connected = fleet
            .agents
            .iter()
            .filter(|(_, agent)| agent.conn.is_some());
        let mut counts = [0; 2];
        connected.for_each(|(_, agent)| counts[agent.dialect as usize] += 1);
        let names = Dialect::ALL.iter().map(|dialect| dialect.name());
        names.zip(counts).collect()
    }

    // Agents.

    fn agent(&self, agent_id: &str) -> Option<AgentRow> {
        let mut fleet = self.lock();
        let key = fleet.agents.find(agent_id)?;
        Some(self.row(&mut fleet, key))
    }

    fn agents(&self) -> Vec<AgentRow> {
        self.rows_where(|_| true)
    }

    fn connected(&self) -> Vec<AgentRow> {
        self.rows_where(|agent| agent.conn.is_some())
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

    #[pyo3(signature = (
        *, status, state, reason, dialect, labels, text, sort, limit, after, times
    ))]
    #[expect(clippy::too_many_arguments, reason = "the parts of a query")]
    fn page(
        &self,
        status: Option<&str>,
        state: Option<&str>,
        reason: Option<&str>,
        dialect: Option<&str>,
        labels: Vec<(String, Option<String>)>,
        text: Option<&str>,
        sort: &str,
        limit: usize,
        after: Option<(SortValue, String)>,
        times: (i64, i64, i64),
    ) -> PyResult<(Vec<AgentRow>, bool)> {
        let order = word(Sort::from_name, sort.trim_start_matches('-'), "sort")?;
        let after = after.as_ref().map(|(value, id)| (value.of(order), &**id));
        let query = Query {
            is_online: status.map(|status| status == "online"),
            state: state
                .map(|state| word(State::from_name, state, "state"))
                .transpose()?,
            reason: reason
                .map(|reason| word(Reason::from_name, reason, "reason"))
                .transpose()?,
            dialect: dialect
                .map(|one| word(Dialect::from_name, one, "dialect"))
                .transpose()?,
            labels: &labels,
            text,
            sort: order,
            is_descending: sort.starts_with('-'),
            limit,
            after,
            times: Times {
                boot_ms: times.0,
                kept_offset_ms: times.1,
                offset_ms: times.2,
            },
        };
        let mut fleet = self.settle();
        let (found, has_more) = fleet.agents.page(&query);
        let found = found
            .into_iter()
            .map(|key| self.row(&mut fleet, key))
            .collect();
        Ok((found, has_more))
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
        let introduction = Introduction {
            agent_id,
            kind,
            is_heartbeat: kind == "heartbeat",
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

    fn set_introduced_by(&self, agent: &AgentRow, kind: &str) {
        let mut fleet = self.lock();
        fleet.set_introduced_by(agent.key, kind);
    }

    fn set_config(&self, agent: &AgentRow, config: Option<&[u8]>) {
        self.lock().agents.set_config(agent.key, config);
    }

    #[pyo3(signature = (agent, *, heartbeat_ms = 0, rtt_us = 0))]
    fn heard(&self, agent: &AgentRow, heartbeat_ms: i64, rtt_us: u32) {
        if let Some(agent) = self.lock().agents.get_mut(agent.key) {
            if heartbeat_ms != 0 {
                agent.last_heartbeat = Some(heartbeat_ms);
            }
            if rtt_us != 0 {
                agent.rtt_us = rtt_us;
            }
        }
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

    fn forget_absent(&self, left_before: i64) -> Vec<String> {
        let forgotten = self.settle().forget_absent(left_before);
        forgotten.iter().map(|id| id.to_string()).collect()
    }

    fn drop_configs(&self, max_bytes: usize) -> Vec<AgentRow> {
        let mut fleet = self.lock();
        let dropped = fleet.agents.drop_configs(max_bytes);
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

    #[pyo3(signature = (
        agent_id, state, reason_code, ip, dialect, generation, introduced_by, connected_at, last_heartbeat, config,
        *, left, now
    ))]
    #[expect(clippy::too_many_arguments, reason = "the columns of a row")]
    fn restore(
        &self,
        agent_id: &str,
        state: &str,
        reason_code: Option<&str>,
        ip: &str,
        dialect: &str,
        generation: u64,
        introduced_by: &str,
        connected_at: i64,
        last_heartbeat: Option<i64>,
        config: Option<&[u8]>,
        left: i64,
        now: i64,
    ) -> PyResult<()> {
        let reason = reason_code.map(|code| word(Reason::from_name, code, "reason_code"));
        let stored = Restored {
            id: agent_id,
            state: word(State::from_name, state, "state")?,
            reason: reason.transpose()?,
            ip,
            dialect: word(Dialect::from_name, dialect, "dialect")?,
            generation,
            introduced_by,
            connected_at,
            last_heartbeat,
            config,
        };
        let restored = self.lock().restore(&stored, left, now);
        restored
            .map(|_| ())
            .map_err(|missing| impossible(agent_id, missing))
    }

    // Liveness.

    fn feed(&self, agent: &AgentRow, input: &str, now: i64) -> PyResult<bool> {
        let input = word(Input::from_name, input, "input")?;
        let fed = self.lock().feed(agent.key, input, now);
        fed.map_err(|missing| impossible(&agent.id, missing))
    }

    fn missed(&self, agent: &AgentRow, misses: u32, now: i64) -> PyResult<bool> {
        let fed = self.lock().missed(agent.key, misses, now);
        fed.map_err(|missing| impossible(&agent.id, missing))
    }

    fn all_asked(&self, agents: Vec<PyRef<'_, AgentRow>>) {
        let keys: Vec<AgentKey> = agents.iter().map(|agent| agent.key).collect();
        self.lock().all_asked(&keys);
    }

    fn cut_short(&self, agent: &AgentRow, now: i64) -> PyResult<bool> {
        let cut = self.lock().cut_short(agent.key, now);
        cut.map_err(|missing| impossible(&agent.id, missing))
    }

    fn expire(&self, now: i64, limit: usize) -> Vec<AgentRow> {
        let mut fleet = self.settle();
        let over = fleet.expire(now, limit);
        over.into_iter()
            .map(|key| self.row(&mut fleet, key))
            .collect()
    }

    fn next_deadline(&self) -> Option<i64> {
        self.lock().graces.next_deadline()
    }

    fn stop_clock(&self, now: i64) {
        self.lock().graces.stop_clock(now);
    }

    fn start_clock(&self, now: i64) {
        self.lock().graces.start_clock(now);
    }

    fn skip(&self, now: i64, length: i64) {
        self.lock().graces.skip(now, length);
    }

    #[getter]
    fn missing_cells_total(&self) -> u64 {
        self.lock().missing_cells_total()
    }
}

impl Fleet {
    fn lock(&self) -> MutexGuard<'_, dscore_fleet::Fleet> {
        self.shared.lock()
    }

    fn settle(&self) -> MutexGuard<'_, dscore_fleet::Fleet> {
        self.shared.settle()
    }

    fn row(&self, fleet: &mut dscore_fleet::Fleet, key: AgentKey) -> AgentRow {
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
    fn conns_where(&self, fits: impl Fn(&Connection) -> bool) -> Vec<u64> {
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

fn word<T>(from_name: fn(&str) -> Option<T>, name: &str, what: &str) -> PyResult<T> {
    from_name(name).ok_or_else(|| PyValueError::new_err(format!("{what}: {name:?} is none")))
}

fn impossible(agent_id: &str, missing: MissingCell) -> PyErr {
    let (input, state) = (missing.input.name(), missing.state.name());
    PyRuntimeError::new_err(format!("liveness: {input} of {agent_id} while {state}"))
}
