//! `ReactorPool`: its TLS. Documented in `_core.pyi`.

use pyo3::prelude::*;

use crate::pool::ReactorPool;
use crate::tls::TlsConfig;

#[pymethods]
impl ReactorPool {
    fn tls_address(&self) -> PyResult<Option<(String, u16)>> {
        let address = self.own()?.tls_address();
        Ok(address.map(|address| (address.ip().to_string(), address.port())))
    }

    fn certify(&self, tls: &TlsConfig) -> PyResult<()> {
        self.own()?.certify(&tls.config);
        Ok(())
    }
}
