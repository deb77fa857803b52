//! The rule of origins for what Python answers: the reactors' own.

use std::net::{IpAddr, SocketAddr};

use dscore_proto::origin::{Addressed, Admitted, OriginRules as Rules};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::config::origin_rules;

/// Which pages may reach the server.
#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct OriginRules(Rules);

#[pymethods]
impl OriginRules {
    #[new]
    #[pyo3(signature = (origins, names = vec![]))]
    fn new(origins: Vec<String>, names: Vec<String>) -> PyResult<Self> {
        origin_rules(&origins, &names).map(Self)
    }

    /// What of the answer names who may read it, and why there is none.
    #[pyo3(signature = (origins, host, local, *, check_host))]
    fn judge<'py>(
        &self,
        py: Python<'py>,
        origins: Vec<PyBackedBytes>,
        host: Option<&[u8]>,
        local: (String, u16),
        check_host: bool,
    ) -> PyResult<(Option<Bound<'py, PyBytes>>, Option<String>)> {
        let address: IpAddr = (local.0.parse())
            .map_err(|_| PyValueError::new_err(format!("local: {:?} is no address", local.0)))?;
        let request = Addressed {
            host,
            local: SocketAddr::new(address, local.1),
            check_host,
        };
        Ok(
            match self
                .0
                .judge(origins.iter().map(|origin| &origin[..]), &request)
            {
                Ok(Admitted::SameOrigin) => (None, None),
                Ok(Admitted::Any) => (Some(PyBytes::new(py, b"*")), None),
                Ok(Admitted::Named(origin)) => (Some(PyBytes::new(py, origin)), None),
                Err(refusal) => (None, Some(refusal.to_string())),
            },
        )
    }
}
