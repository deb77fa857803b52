//! `Fleet`: its connections.

use dscore_fleet::{Connection, Dialect, Who};
use dscore_traffic::ConnId;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::fleet::Fleet;
use crate::row::AgentRow;
use crate::words::word;

/// What a connection has shown before it is introduced.
#[pyclass(frozen, get_all, module = "dscore._core")]
pub(crate) struct Unauthenticated {
    ip: String,
    dialect: &'static str,
    token: Option<String>,
    is_token_wrong: bool,
    auth: Option<Py<PyBytes>>,
    certificate_names: Vec<String>,
}

#[pymethods]
impl Fleet {
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
            let conn = ConnId::from_u64(conn);
            let connection = fleet.connections.get(conn)?;
            let ip = fleet.address(conn).map(ToString::to_string);
            let shown = connection.shown()?.clone();
            (ip.unwrap_or_default(), connection.dialect, shown)
        };
        Some(Unauthenticated {
            ip,
            dialect: dialect.name(),
            token: shown.token.map(Into::into),
            is_token_wrong: shown.is_token_wrong,
            auth: shown.auth.map(|auth| PyBytes::new(py, &auth).unbind()),
            certificate_names: shown
                .certificate_names
                .map(|names| names.to_vec())
                .unwrap_or_default(),
        })
    }

    fn may_introduce(&self, conn: u64) -> bool {
        let fleet = self.lock();
        let connection = fleet.connections.get(ConnId::from_u64(conn));
        connection.is_some_and(Connection::may_introduce)
    }

    fn leave_main(&self, conn: u64) {
        self.lock().leave_main(ConnId::from_u64(conn));
    }

    fn join_main(&self, conn: u64) -> Option<AgentRow> {
        let mut fleet = self.settle();
        let key = fleet.join_main(ConnId::from_u64(conn))?;
        Some(self.row(&mut fleet, key))
    }

    fn is_deaf(&self, agent: &AgentRow) -> bool {
        self.lock().is_deaf(agent.key)
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
        let address = fleet.address(ConnId::from_u64(conn));
        address.map_or_else(String::new, ToString::to_string)
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
            .filter(|(_, agent)| agent.conn().is_some());
        let mut counts = [0; 2];
        connected.for_each(|(_, agent)| counts[agent.dialect as usize] += 1);
        let names = Dialect::ALL.iter().map(|dialect| dialect.name());
        names.zip(counts).collect()
    }
}
