//! The classes of events, as Python sees them. Documented in `_core.pyi`.

use std::borrow::Cow;

use dscore_traffic::event;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// A frozen class whose fields are all readable; what else it can do comes behind them.
macro_rules! event_class {
    ($name:ident { $($field:ident: $type:ty),* $(,)? } $($more:item)*) => {
        #[pyclass(frozen, get_all, module = "dscore._core")]
        pub(crate) struct $name {
            $(pub(crate) $field: $type),*
        }

        #[pymethods]
        impl $name {
            #[classattr]
            fn __match_args__(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
                PyTuple::new(py, [$(stringify!($field)),*])
            }

            fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
                let mut fields = Vec::new();
                $(fields.push(format!(
                    concat!(stringify!($field), "={}"),
                    slf.getattr(stringify!($field))?.repr()?
                ));)*
                Ok(format!(concat!(stringify!($name), "({})"), fields.join(", ")))
            }

            $($more)*
        }
    };
}

event_class!(Opened {
    conn: u64,
    endpoint: Py<PyString>,
    path: String,
    peer: String,
    bearer: Option<String>,
    transport: Py<PyString>,
    certificate_names: Vec<String>,
}
    #[new]
    #[pyo3(signature = (conn, endpoint, path, peer, bearer, transport, certificate_names = vec![]))]
    fn new(
        conn: u64,
        endpoint: Py<PyString>,
        path: String,
        peer: String,
        bearer: Option<String>,
        transport: Py<PyString>,
        certificate_names: Vec<String>,
    ) -> Self {
        Self {
            conn,
            endpoint,
            path,
            peer,
            bearer,
            transport,
            certificate_names,
        }
    }
);
event_class!(Connected {
    conn: u64,
    namespace: String,
    auth: Py<PyBytes>
});
event_class!(Left {
    conn: u64,
    namespace: String
});
event_class!(Introduction { conn: u64, kind: Py<PyString>, text: Py<PyBytes> }
    #[new]
    fn new(conn: u64, kind: Py<PyString>, text: Py<PyBytes>) -> Self {
        Self { conn, kind, text }
    }
);
event_class!(Message {
    conn: u64,
    kind: Py<PyString>,
    data: Py<PyBytes>,
    binary: bool,
    namespace: Py<PyString>,
    ack: Option<u64>,
    attachments: Py<PyList>,
});
event_class!(Reply {
    conn: u64,
    id: u64,
    namespace: String,
    data: Py<PyBytes>,
    attachments: Py<PyList>,
});
event_class!(Beat { conn: u64, kind: Py<PyString> });
event_class!(Missed {
    conn: u64,
    misses: u32,
    silent_ms: u64
});
event_class!(TerminationRefused {
    conn: u64,
    request_id: String,
    status: String,
    message: String
});
event_class!(Progress {
    conn: u64,
    request_id: String,
    stage: String,
    granted_ms: u64
});
event_class!(Outcome {
    conn: u64,
    request_id: String,
    outcome: Py<PyString>,
    incomplete: bool,
    latency_ms: f64,
    message: String,
    drain: bool,
}
    #[new]
    #[pyo3(signature = (conn, request_id, outcome, *, incomplete, latency_ms, message, drain))]
    fn new(
        conn: u64,
        request_id: String,
        outcome: Py<PyString>,
        incomplete: bool,
        latency_ms: f64,
        message: String,
        drain: bool,
    ) -> Self {
        Self {
            conn,
            request_id,
            outcome,
            incomplete,
            latency_ms,
            message,
            drain,
        }
    }
);
event_class!(Closed {
    conn: u64,
    code: u16,
    reason: Cow<'static, str>,
    initiator: Py<PyString>,
    cause: Cow<'static, str>,
    answer: u16,
    heartbeat_ms: u64,
    rtt_us: u32,
}
    #[new]
    #[pyo3(signature = (conn, code, reason, initiator, cause, *, answer, heartbeat_ms, rtt_us))]
    #[expect(clippy::too_many_arguments, reason = "the fields of an event")]
    fn new(
        conn: u64,
        code: u16,
        reason: String,
        initiator: Py<PyString>,
        cause: String,
        answer: u16,
        heartbeat_ms: u64,
        rtt_us: u32,
    ) -> Self {
        Self {
            conn,
            code,
            reason: reason.into(),
            initiator,
            cause: cause.into(),
            answer,
            heartbeat_ms,
            rtt_us,
        }
    }
);
event_class!(Drained { conn: u64 });
event_class!(HttpRequest {
    conn: u64,
    method: String,
    target: String,
    version: Py<PyString>,
    headers: Py<PyList>,
    body: Py<PyBytes>,
    more: bool,
    subprotocols: Option<Vec<String>>,
    peer: String,
    peer_port: u16,
    local: String,
    local_port: u16,
    proxy: Option<String>,
    secure: bool,
    certificate_names: Vec<String>,
});
event_class!(BodyPart {
    conn: u64,
    data: Py<PyBytes>,
    more: bool,
});
event_class!(GuestMessage {
    conn: u64,
    data: Py<PyBytes>,
    binary: bool,
    is_last: bool,
});
event_class!(GuestClosed {
    conn: u64,
    code: u16,
    reason: Cow<'static, str>,
});
event_class!(HttpGone { conn: u64 });
event_class!(Looked { number: u64 });
event_class!(AddressRefused {
    limit: Py<PyString>,
    address: String,
});
event_class!(RefusedCertificate {
    names: Vec<String>,
    issuer: String,
    serial: String,
    not_before: i64,
    not_after: i64,
});
event_class!(TlsRefused {
    ip: String,
    port: u16,
    proxy: Option<String>,
    reason: &'static str,
    cause: &'static str,
    left_out: u64,
    certificate: Option<Py<RefusedCertificate>>,
});
event_class!(Gap {
    reactor: u8,
    began_ms: u64,
    length_ms: u64,
});

/// As the reactor has sent it: a fleet of ten thousand would be forty thousand numbers of Python's.
#[pyclass(frozen, module = "dscore._core")]
pub(crate) struct LastSeen(pub(crate) event::LastSeen);

#[pymethods]
impl LastSeen {
    #[new]
    #[pyo3(signature = (conns, seen_ms, heartbeat_ms, rtt_us, *, number = 0))]
    fn new(
        conns: Vec<u64>,
        seen_ms: Vec<u64>,
        heartbeat_ms: Vec<u64>,
        rtt_us: Vec<u32>,
        number: u64,
    ) -> Self {
        Self(event::LastSeen {
            number,
            conns,
            seen_ms,
            heartbeat_ms,
            rtt_us,
        })
    }

    #[getter]
    fn number(&self) -> u64 {
        self.0.number
    }

    #[getter]
    fn conns(&self) -> &[u64] {
        &self.0.conns
    }
}
