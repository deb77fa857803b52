//! `ReactorPool`: what is said of a program's own app, beside its answers. Documented in `_core.pyi`.

use dscore_traffic::command::{AcceptUpgrade, Command};
use pyo3::prelude::*;

use crate::pool::ReactorPool;

#[pymethods]
impl ReactorPool {
    #[pyo3(signature = (conn, *, subprotocol = None, headers = vec![]))]
    fn accept_upgrade(
        &self,
        py: Python<'_>,
        conn: u64,
        subprotocol: Option<String>,
        headers: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> PyResult<()> {
        let accept = AcceptUpgrade {
            subprotocol,
            headers,
        };
        self.give(py, conn, Command::AcceptUpgrade(Box::new(accept)))
    }

    fn read_on(&self, py: Python<'_>, conn: u64) -> PyResult<()> {
        self.give(py, conn, Command::ReadOn)
    }

    fn read_body(&self, py: Python<'_>, conn: u64) -> PyResult<()> {
        self.give(py, conn, Command::ReadBody)
    }
}
