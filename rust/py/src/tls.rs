//! `TlsConfig`: what handshakes are done by. Documented in `_core.pyi`.

use std::path::PathBuf;
use std::sync::Arc;

use dscore_tls::{CertificateFiles, ClientAuth, RecordLayerKind, TlsError, TlsFiles};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct TlsConfig {
    pub(crate) config: Arc<dscore_tls::TlsConfig>,
}

#[pymethods]
impl TlsConfig {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    #[pyo3(signature = (certificates, *, client_ca = None, client_auth = "none", client_crl = vec![], ticket_keys = None, record_layer = "rustls", previous = None))]
    fn new(
        py: Python<'_>,
        certificates: Vec<(PathBuf, PathBuf)>,
        client_ca: Option<PathBuf>,
        client_auth: &str,
        client_crl: Vec<PathBuf>,
        ticket_keys: Option<PathBuf>,
        record_layer: &str,
        previous: Option<&Self>,
    ) -> PyResult<Self> {
        let client_auth = ClientAuth::from_name(client_auth).ok_or_else(|| {
            PyValueError::new_err(format!(
                "client_auth: {client_auth:?} is not none, optional or required"
            ))
        })?;
        let record_layer = RecordLayerKind::from_name(record_layer).ok_or_else(|| {
            PyValueError::new_err(format!(
                "record_layer: {record_layer:?} is not rustls or own"
            ))
        })?;
        let files = TlsFiles {
            certificates: certificates.into_iter().map(pair).collect(),
            client_ca,
            client_auth,
            client_crl,
            ticket_keys,
            record_layer,
        };
        let previous = previous.map(|previous| previous.config.clone());
        let loaded = py.detach(|| match previous {
            Some(previous) => previous.reload(&files),
            None => dscore_tls::TlsConfig::load(&files),
        });
        let config = loaded.map_err(|error: TlsError| PyValueError::new_err(error.to_string()))?;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    #[getter]
    fn certificates(&self) -> Vec<(String, i64)> {
        let all = self.config.certificates().iter();
        all.map(|one| (one.path.display().to_string(), one.not_after_s))
            .collect()
    }

    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.config.warnings().to_vec()
    }
}

fn pair((certificate, key): (PathBuf, PathBuf)) -> CertificateFiles {
    CertificateFiles { certificate, key }
}
