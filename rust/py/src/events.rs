//! A batch of Rust events to Python objects, in one visit to the interpreter.

use dscore_proto::agent::Kind;
use dscore_reactor::event::{self, Ending, Event, Initiator};
use dscore_reactor::settings::Endpoint;
use dscore_reactor::table::ConnId;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

/// A frozen class whose fields are all readable.
macro_rules! event_class {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        #[pyclass(frozen, get_all, module = "dscore._core")]
        pub(crate) struct $name {
            $($field: $type),*
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
        }
    };
}

event_class!(Opened { conn: u64, endpoint: Py<PyString>, path: String, peer: String, bearer: Option<String> });
event_class!(Introduction { conn: u64, kind: Py<PyString>, text: Py<PyBytes> });
event_class!(Message { conn: u64, kind: Py<PyString>, data: Py<PyBytes>, binary: bool });
event_class!(Beat { conn: u64, kind: Py<PyString> });
event_class!(Missed {
    conn: u64,
    misses: u32,
    silent_ms: u64
});
event_class!(Answer {
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
    latency_ms: f64,
    message: String,
    drain: bool,
});
event_class!(Closed {
    conn: u64,
    code: u16,
    reason: String,
    initiator: Py<PyString>,
    cause: String,
    answer: u16,
    heartbeat_ms: u64,
    rtt_us: u32,
});
event_class!(Drained { conn: u64 });
event_class!(HttpRequest {
    conn: u64,
    method: String,
    target: String,
    version: Py<PyString>,
    headers: Py<PyList>,
    body: Py<PyBytes>,
    peer: String,
    peer_port: u16,
});
event_class!(HttpGone { conn: u64 });
event_class!(LastSeen {
    conns: Vec<u64>,
    seen_ms: Vec<u64>,
    heartbeat_ms: Vec<u64>,
    rtt_us: Vec<u32>,
});

/// Turns a whole batch.
pub(crate) fn to_python<'py>(py: Python<'py>, batch: Vec<Event>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for event in batch {
        list.append(convert(py, event)?)?;
    }
    Ok(list)
}

fn convert(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    match event {
        Event::Opened(opened) => any(py, convert_opened(py, *opened)),
        Event::Introduction { conn, kind, text } => {
            let (kind, text) = (kind_name(py, kind), bytes(py, &text));
            any(
                py,
                Introduction {
                    conn: conn.to_u64(),
                    kind,
                    text,
                },
            )
        }
        Event::Message {
            conn,
            kind,
            data,
            binary,
        } => {
            let kind = PyString::new(py, &kind).unbind();
            any(
                py,
                Message {
                    conn: conn.to_u64(),
                    kind,
                    data: bytes(py, &data),
                    binary,
                },
            )
        }
        Event::Beat { conn, kind } => any(
            py,
            Beat {
                conn: conn.to_u64(),
                kind: kind_name(py, kind),
            },
        ),
        Event::Missed {
            conn,
            misses,
            silent_ms,
        } => any(
            py,
            Missed {
                conn: conn.to_u64(),
                misses,
                silent_ms,
            },
        ),
        Event::Answer(answer) => any(
            py,
            Answer {
                conn: answer.conn.to_u64(),
                request_id: answer.request.to_string(),
                status: answer.status,
                message: answer.message,
            },
        ),
        Event::Progress(progress) => any(
            py,
            Progress {
                conn: progress.conn.to_u64(),
                request_id: progress.request.to_string(),
                stage: progress.stage,
                granted_ms: progress.granted_ms,
            },
        ),
        Event::Outcome(outcome) => any(py, convert_outcome(py, *outcome)),
        Event::Closed(conn, closed) => any(py, convert_closed(py, conn, *closed)),
        Event::Drained(conn) => any(
            py,
            Drained {
                conn: conn.to_u64(),
            },
        ),
        Event::HttpRequest(request) => any(py, convert_request(py, *request)?),
        Event::HttpGone(conn) => any(
            py,
            HttpGone {
                conn: conn.to_u64(),
            },
        ),
        Event::LastSeen(seen) => {
            let event::LastSeen {
                conns,
                seen_ms,
                heartbeat_ms,
                rtt_us,
            } = *seen;
            any(
                py,
                LastSeen {
                    conns,
                    seen_ms,
                    heartbeat_ms,
                    rtt_us,
                },
            )
        }
    }
}

fn convert_opened(py: Python<'_>, opened: event::Opened) -> Opened {
    let endpoint = match opened.endpoint {
        Endpoint::Raw => pyo3::intern!(py, "raw"),
        Endpoint::Plain => pyo3::intern!(py, "plain"),
    };
    Opened {
        conn: opened.conn.to_u64(),
        endpoint: endpoint.clone().unbind(),
        path: opened.path,
        peer: opened.peer.ip().to_string(),
        bearer: opened.bearer,
    }
}

fn convert_closed(py: Python<'_>, conn: ConnId, closed: event::Closed) -> Closed {
    let event::Ended {
        code,
        reason,
        initiator,
        cause,
    } = closed.ended;
    Closed {
        conn: conn.to_u64(),
        code,
        reason,
        initiator: initiator_name(py, initiator),
        cause,
        answer: closed.answer,
        heartbeat_ms: closed.heartbeat_ms,
        rtt_us: closed.rtt_us,
    }
}

fn convert_outcome(py: Python<'_>, outcome: event::Outcome) -> Outcome {
    let name = match outcome.ending {
        Ending::Acked => pyo3::intern!(py, "acked"),
        Ending::Failed => pyo3::intern!(py, "failed"),
        Ending::TimedOut => pyo3::intern!(py, "timed_out"),
        Ending::Vanished => pyo3::intern!(py, "vanished"),
        Ending::Notified => pyo3::intern!(py, "notified"),
    };
    Outcome {
        conn: outcome.conn.to_u64(),
        request_id: outcome.request.to_string(),
        outcome: name.clone().unbind(),
        latency_ms: outcome.latency_us as f64 / 1_000.0,
        message: outcome.message,
        drain: outcome.drain,
    }
}

fn convert_request(py: Python<'_>, request: event::HttpRequest) -> PyResult<HttpRequest> {
    let fields = request
        .headers
        .iter()
        .map(|(name, value)| (PyBytes::new(py, name), PyBytes::new(py, value)));
    let headers = PyList::new(py, fields.collect::<Vec<_>>())?.unbind();
    let version = match request.version {
        0 => pyo3::intern!(py, "1.0"),
        _ => pyo3::intern!(py, "1.1"),
    };
    Ok(HttpRequest {
        conn: request.conn.to_u64(),
        method: request.method,
        target: request.target,
        version: version.clone().unbind(),
        headers,
        body: bytes(py, &request.body),
        peer: request.peer.ip().to_string(),
        peer_port: request.peer.port(),
    })
}

fn any<'py, T>(py: Python<'py>, value: T) -> PyResult<Bound<'py, PyAny>>
where
    T: pyo3::PyClass + Into<PyClassInitializer<T>>,
{
    Ok(Bound::new(py, value)?.into_any())
}

fn bytes(py: Python<'_>, data: &[u8]) -> Py<PyBytes> {
    PyBytes::new(py, data).unbind()
}

fn kind_name(py: Python<'_>, kind: Kind) -> Py<PyString> {
    let name = match kind {
        Kind::AppReady => pyo3::intern!(py, "app_ready"),
        Kind::Heartbeat => pyo3::intern!(py, "heartbeat"),
        Kind::ConnectionCheckResponse => pyo3::intern!(py, "connection_check_response"),
        Kind::ReconnectionSuccess => pyo3::intern!(py, "reconnection_success"),
        Kind::Watch => pyo3::intern!(py, "watch"),
        // The core introduces and hears nobody in any other way.
        _ => pyo3::intern!(py, ""),
    };
    name.clone().unbind()
}

fn initiator_name(py: Python<'_>, initiator: Initiator) -> Py<PyString> {
    let name = match initiator {
        Initiator::Peer => pyo3::intern!(py, "peer"),
        Initiator::Server => pyo3::intern!(py, "server"),
        Initiator::Network => pyo3::intern!(py, "network"),
    };
    name.clone().unbind()
}
