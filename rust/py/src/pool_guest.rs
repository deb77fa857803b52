//! `ReactorPool`: what is said of a program's own app, beside its answers. Documented in `_core.pyi`.

use dscore_traffic::command::Command;
use pyo3::prelude::*;

use crate::pool::ReactorPool;

#[pymethods]
impl ReactorPool {
    fn read_body(&self, py: Python<'_>, conn: u64) -> PyResult<()> {
        self.give(py, conn, Command::ReadBody)
    }
}
