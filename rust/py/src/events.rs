//! A batch of Rust events to Python objects, in one visit to the interpreter.

use dscore_proto::agent::Kind;
use dscore_traffic::close::CloseInfo;
use dscore_traffic::event::{self, AddressLimit, Event, EventParts, TransportKind};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::classes::{
    AddressRefused, Beat, BodyPart, Closed, Connected, Drained, Gap, GuestClosed, GuestMessage,
    HttpGone, HttpRequest, Introduction, LastSeen, Left, Looked, Message, Missed, Opened, Outcome,
    Progress, RefusedCertificate, Reply, TerminationRefused, TlsRefused,
};

/// Turns a whole batch.
pub(crate) fn to_python<'py>(py: Python<'py>, batch: Vec<Event>) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for event in batch {
        list.append(convert(py, event)?)?;
    }
    Ok(list)
}

pub(crate) fn convert(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyAny>> {
    match event {
        Event::Opened(opened) => any(py, convert_opened(py, *opened)),
        Event::Introduction(introduction) => any(py, convert_introduction(py, &introduction)),
        Event::Message(message) => any(py, convert_message(py, *message)?),
        Event::Connected(connected) => any(py, convert_connected(py, *connected)),
        Event::Left(left) => {
            let (conn, namespace) = (left.conn.to_u64(), left.namespace.into());
            any(py, Left { conn, namespace })
        }
        Event::Reply(reply) => any(py, convert_reply(py, *reply)?),
        Event::Beat { conn, kind } => {
            let (conn, kind) = (conn.to_u64(), kind_name(py, kind));
            any(py, Beat { conn, kind })
        }
        Event::Missed(missed) => any(
            py,
            Missed {
                conn: missed.conn.to_u64(),
                misses: missed.misses,
                silent_ms: missed.silent_ms,
            },
        ),
        Event::TerminationRefused(refused) => any(py, convert_refused(*refused)),
        Event::Progress(progress) => any(py, convert_progress(*progress)),
        Event::Outcome(outcome) => any(py, convert_outcome(py, *outcome)),
        Event::Closed(closed) => any(py, convert_closed(py, *closed)),
        Event::Drained(conn) => {
            let conn = conn.to_u64();
            any(py, Drained { conn })
        }
        Event::HttpRequest(request) => any(py, convert_request(py, *request)?),
        Event::BodyPart(part) => {
            let (conn, data, more) = (part.conn.to_u64(), bytes(py, &part.data), part.more);
            any(py, BodyPart { conn, data, more })
        }
        Event::GuestMessage(message) => any(py, convert_guest_message(py, &message)),
        Event::GuestClosed(closed) => any(
            py,
            GuestClosed {
                conn: closed.conn.to_u64(),
                code: closed.info.code,
                reason: closed.info.reason,
            },
        ),
        Event::HttpGone(conn) => {
            let conn = conn.to_u64();
            any(py, HttpGone { conn })
        }
        Event::LastSeen(seen) => any(py, LastSeen(*seen)),
        Event::Looked(number) => any(py, Looked { number }),
        Event::AddressRefused(refused) => any(py, convert_address_refused(py, *refused)),
        Event::TlsRefused(refused) => any(py, convert_tls_refused(py, *refused)?),
        Event::Gap(gap) => any(py, convert_gap(*gap)),
    }
}

fn convert_opened(py: Python<'_>, opened: event::Opened) -> Opened {
    let transport = match opened.transport {
        TransportKind::WebSocket => pyo3::intern!(py, "websocket"),
        TransportKind::Polling => pyo3::intern!(py, "polling"),
    };
    Opened {
        conn: opened.conn.to_u64(),
        endpoint: PyString::intern(py, opened.endpoint.name()).unbind(),
        transport: transport.clone().unbind(),
        path: opened.path,
        peer: opened.peer.ip().to_string(),
        bearer: opened.bearer,
        certificate_names: names(opened.certificate_names.as_deref()),
    }
}

fn convert_address_refused(py: Python<'_>, refused: event::AddressRefused) -> AddressRefused {
    let limit = match refused.limit {
        AddressLimit::Connections => pyo3::intern!(py, "connections_per_address"),
        AddressLimit::Introductions => pyo3::intern!(py, "introductions_per_address"),
    };
    AddressRefused {
        limit: limit.clone().unbind(),
        address: refused.address.to_canonical().to_string(),
    }
}

fn convert_tls_refused(py: Python<'_>, refused: event::TlsRefused) -> PyResult<TlsRefused> {
    let certificate = refused.certificate.map(|shown| {
        let shown = RefusedCertificate {
            names: shown.names,
            issuer: shown.issuer,
            serial: shown.serial,
            not_before: shown.not_before_s,
            not_after: shown.not_after_s,
        };
        Py::new(py, shown)
    });
    Ok(TlsRefused {
        ip: refused.peer.ip().to_canonical().to_string(),
        port: refused.peer.port(),
        proxy: refused.proxy.map(|proxy| proxy.to_canonical().to_string()),
        reason: refused.reason,
        cause: refused.cause,
        left_out: refused.left_out,
        certificate: certificate.transpose()?,
    })
}

fn convert_gap(gap: event::Gap) -> Gap {
    Gap {
        reactor: gap.reactor,
        began_ms: gap.began_ms,
        length_ms: gap.length_ms,
    }
}

fn convert_introduction(py: Python<'_>, introduction: &event::Introduction) -> Introduction {
    Introduction {
        conn: introduction.conn.to_u64(),
        kind: kind_name(py, introduction.kind),
        text: bytes(py, &introduction.text),
    }
}

fn convert_message(py: Python<'_>, message: event::Message) -> PyResult<Message> {
    let parts = message.parts.unwrap_or_default();
    Ok(Message {
        conn: message.conn.to_u64(),
        kind: PyString::new(py, &message.kind).unbind(),
        data: bytes(py, &message.data),
        binary: message.binary,
        namespace: PyString::new(py, &parts.namespace).unbind(),
        ack: parts.ack,
        attachments: attachments(py, &parts)?,
    })
}

fn convert_guest_message(py: Python<'_>, message: &event::GuestMessage) -> GuestMessage {
    GuestMessage {
        conn: message.conn.to_u64(),
        data: bytes(py, &message.data),
        binary: message.binary,
        is_last: message.is_last,
    }
}

fn convert_connected(py: Python<'_>, connected: event::Connected) -> Connected {
    let auth = match &*connected.auth {
        [] => b"{}",
        auth => auth,
    };
    Connected {
        conn: connected.conn.to_u64(),
        namespace: connected.namespace.into(),
        auth: bytes(py, auth),
    }
}

fn convert_reply(py: Python<'_>, reply: event::Reply) -> PyResult<Reply> {
    let attachments = attachments(py, &reply.parts)?;
    Ok(Reply {
        conn: reply.conn.to_u64(),
        id: reply.id,
        namespace: reply.parts.namespace.into_owned(),
        data: bytes(py, &reply.data),
        attachments,
    })
}

fn attachments(py: Python<'_>, parts: &EventParts) -> PyResult<Py<PyList>> {
    let attachments = parts.attachments.iter();
    Ok(PyList::new(py, attachments.map(|data| PyBytes::new(py, data)))?.unbind())
}

fn convert_refused(refused: event::TerminationRefused) -> TerminationRefused {
    TerminationRefused {
        conn: refused.conn.to_u64(),
        request_id: refused.request.to_string(),
        status: refused.status,
        message: refused.message,
    }
}

fn convert_progress(progress: event::Progress) -> Progress {
    Progress {
        conn: progress.conn.to_u64(),
        request_id: progress.request.to_string(),
        stage: progress.stage,
        granted_ms: progress.granted_ms,
    }
}

fn convert_closed(py: Python<'_>, closed: event::Closed) -> Closed {
    let CloseInfo {
        code,
        reason,
        initiator,
        cause,
    } = closed.info;
    Closed {
        conn: closed.conn.to_u64(),
        code,
        reason,
        initiator: PyString::intern(py, initiator.name()).unbind(),
        cause,
        answer: closed.answer,
        heartbeat_ms: closed.heartbeat_ms,
        rtt_us: closed.rtt_us,
    }
}

fn convert_outcome(py: Python<'_>, outcome: event::Outcome) -> Outcome {
    Outcome {
        conn: outcome.conn.to_u64(),
        request_id: outcome.request.to_string(),
        outcome: PyString::intern(py, outcome.kind.name()).unbind(),
        incomplete: outcome.incomplete,
        latency_ms: outcome.latency_ms(),
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
        more: request.more,
        subprotocols: request.upgrade,
        peer: request.ends.peer.ip().to_string(),
        peer_port: request.ends.peer.port(),
        local: request.ends.local.ip().to_canonical().to_string(),
        local_port: request.ends.local.port(),
        proxy: request
            .ends
            .proxy
            .map(|proxy| proxy.to_canonical().to_string()),
        secure: request.ends.is_secure,
        certificate_names: names(request.certificate_names.as_deref()),
    })
}

fn names(names: Option<&[String]>) -> Vec<String> {
    names.unwrap_or_default().to_vec()
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
        // The core takes no other introduction.
        _ => pyo3::intern!(py, ""),
    };
    name.clone().unbind()
}
