//! Events that Python has made: those of a test, on their way into the real fleet.

use std::net::{IpAddr, SocketAddr};

use dscore_proto::agent::{self, Kind};
use dscore_traffic::close::{CloseInfo, Initiator};
use dscore_traffic::event::{self, Event, OutcomeKind, TransportKind};
use dscore_traffic::{ConnId, Endpoint};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use uuid::Uuid;

use crate::classes::{Closed, Introduction, Opened, Outcome};
use crate::words::word;

/// An event that waits for its turn.
pub(crate) enum Waiting {
    /// The fleet's to apply: it never becomes an object of Python's.
    Own(Event),
    /// Python's to deal with.
    Python(Py<PyAny>),
}

/// What waits where Python has made it.
pub(crate) fn waiting(made: &Bound<'_, PyAny>) -> PyResult<Waiting> {
    let py = made.py();
    let event = if let Ok(opened) = made.cast::<Opened>() {
        Event::Opened(Box::new(opened_of(opened.get(), py)?))
    } else if let Ok(outcome) = made.cast::<Outcome>() {
        Event::Outcome(Box::new(outcome_of(outcome.get(), py)?))
    } else if let Ok(introduction) = made.cast::<Introduction>() {
        let introduction = introduction_of(introduction.get(), py)?;
        if introduction.plain.is_none() {
            return Ok(Waiting::Python(made.clone().unbind()));
        }
        Event::Introduction(Box::new(introduction))
    } else if let Ok(closed) = made.cast::<Closed>() {
        Event::Closed(Box::new(closed_of(closed.get(), py)?))
    } else {
        return Ok(Waiting::Python(made.clone().unbind()));
    };
    Ok(Waiting::Own(event))
}

fn opened_of(opened: &Opened, py: Python<'_>) -> PyResult<event::Opened> {
    let ip: IpAddr = opened
        .peer
        .parse()
        .map_err(|_| PyValueError::new_err(format!("peer: {:?} is no address", opened.peer)))?;
    let transport = match opened.transport.bind(py).to_str()? {
        "polling" => TransportKind::Polling,
        _ => TransportKind::WebSocket,
    };
    Ok(event::Opened {
        conn: ConnId::from_u64(opened.conn),
        endpoint: word(
            Endpoint::from_name,
            opened.endpoint.bind(py).to_str()?,
            "endpoint",
        )?,
        transport,
        path: opened.path.clone(),
        peer: SocketAddr::new(ip, 0),
        bearer: opened.bearer.clone(),
        certificate_names: Some(opened.certificate_names.as_slice().into()),
    })
}

fn introduction_of(introduction: &Introduction, py: Python<'_>) -> PyResult<event::Introduction> {
    let kind = Kind::of(introduction.kind.bind(py).to_str()?);
    let text = introduction.text.bind(py).as_bytes();
    let plain = std::str::from_utf8(text)
        .ok()
        .and_then(|text| agent::scan(text).ok()?.plain_introduction());
    Ok(event::Introduction {
        conn: ConnId::from_u64(introduction.conn),
        kind,
        text: text.into(),
        plain: plain.map(Box::new),
    })
}

fn outcome_of(outcome: &Outcome, py: Python<'_>) -> PyResult<event::Outcome> {
    let request = outcome.request_id.as_str();
    Ok(event::Outcome {
        conn: ConnId::from_u64(outcome.conn),
        request: word(|id| Uuid::parse_str(id).ok(), request, "request_id")?,
        kind: word(
            OutcomeKind::from_name,
            outcome.outcome.bind(py).to_str()?,
            "outcome",
        )?,
        incomplete: outcome.incomplete,
        latency_us: (outcome.latency_ms * 1_000.0).round() as u64,
        message: outcome.message.clone(),
        drain: outcome.drain,
    })
}

fn closed_of(closed: &Closed, py: Python<'_>) -> PyResult<event::Closed> {
    let initiator = closed.initiator.bind(py).to_str()?;
    Ok(event::Closed {
        conn: ConnId::from_u64(closed.conn),
        info: CloseInfo {
            code: closed.code,
            reason: closed.reason.clone(),
            initiator: word(Initiator::from_name, initiator, "initiator")?,
            cause: closed.cause.clone(),
        },
        answer: closed.answer,
        heartbeat_ms: closed.heartbeat_ms,
        rtt_us: closed.rtt_us,
    })
}
